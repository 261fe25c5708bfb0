//! The list `limits`.

use std::{collections::HashMap, time::Duration};

use http::StatusCode;

use crate::{
    ConfigError,
    registry::{Place, Problems, Reader, Table, without_secrets},
};

use super::{
    super::{
        rules::{Amount, LimitDecision, LimitMode, LimitRule, LimitRuleBuilder, LimitUnit, NO_DECISION, OnMissing},
        window::Window,
    },
    values::{amount, conditions, duration, fail, parsed},
};

const KEYS: &[&str] = &[
    "amount",
    "burst",
    "charge_unknown",
    "chunk",
    "concurrent",
    "cut_streams",
    "estimate",
    "exclude",
    "fiscal_start",
    "group_by",
    "kind",
    "mode",
    "name",
    "on_missing",
    "on_store_error",
    "on_unpriced",
    "raises",
    "status",
    "title",
    "when",
    "window",
    "zone",
];

const DECISIONS: &[(&str, LimitDecision)] = &[("allow", LimitDecision::Allow), ("deny", LimitDecision::Deny)];
const MISSING: &[(&str, OnMissing)] =
    &[("skip", OnMissing::Skip), ("deny", OnMissing::Deny), ("bucket", OnMissing::Bucket)];
const MODES: &[(&str, LimitMode)] =
    &[("off", LimitMode::Off), ("shadow", LimitMode::Shadow), ("enforce", LimitMode::Enforce)];
const KINDS: &[(&str, Kind)] = &[("budget", Kind::Budget), ("rate", Kind::Rate)];

#[derive(Clone, Copy)]
enum Kind {
    Budget,
    Rate,
}

/// Returns the names of all rules, with `true` for those that may be budgets. A name that occurs twice is a problem.
pub(super) fn names(rules: &[Place<'_>], reader: &mut Reader<'_>) -> HashMap<String, bool> {
    let mut names = HashMap::new();
    for rule in rules {
        // A rule that is not a table is reported when it is read.
        let mut ignored = Problems::default();
        let table = rule.any_table(&mut ignored);
        let Some(place) = table.get("name") else { continue };
        let Some(name) = place.text_if_any() else { continue };
        let is_rate = table.get("kind").is_some_and(|kind| kind.text_if_any() == Some("rate"));
        if names.insert(name.to_owned(), !is_rate).is_some() {
            fail(reader, &place, "name", &ConfigError::new(format!("duplicate limit rule {name:?}")));
        }
    }
    names
}

/// Reads a rule. Returns `None` if it has a problem.
pub(super) fn rule(reader: &mut Reader<'_>, place: &Place<'_>) -> Option<LimitRule> {
    let before = reader.problems.len();
    let table = place.table(KEYS, &mut reader.problems);
    let name = table.require("name", &mut reader.problems);
    let name = reader.owned_text(name);
    let kind = table.require("kind", &mut reader.problems)?.choice(KINDS, &mut reader.problems)?;
    let builder = match kind {
        Kind::Budget => budget(reader, &table, name.as_deref().unwrap_or_default()),
        Kind::Rate => rate(reader, &table, name.as_deref().unwrap_or_default()),
    };
    // Without an amount, the other keys are still checked.
    let unit = builder.as_ref().map(|(_, unit)| unit.clone());
    let is_complete = builder.is_some();
    let builder = builder.map_or_else(|| LimitRule::concurrency("", 1), |(builder, _)| builder);
    let builder = common(reader, &table, builder, unit.as_ref());
    if !is_complete || name.is_none() {
        // The other problems of the builder depend on what is missing.
        if table.get("on_store_error").is_none() {
            place.fail(&mut reader.problems, NO_DECISION);
        }
        return None;
    }
    let result = builder.build();
    match result {
        Ok(rule) => Some(rule).filter(|_| reader.problems.len() == before),
        Err(error) => {
            report(reader, &table, &error);
            None
        }
    }
}

/// Reports the problems of a rule at the keys that they name. Keys with another problem are not reported again.
fn report(reader: &mut Reader<'_>, table: &Table<'_>, error: &ConfigError) {
    for (_, message) in error.problems() {
        let key = KEYS.iter().find(|key| message.strip_prefix(**key).is_some_and(|rest| rest.starts_with(':')));
        let key = key.copied().or_else(|| message.starts_with("invalid name").then_some("name"));
        let place = key.and_then(|key| table.get(key));
        place.as_ref().unwrap_or(table.place).fail(&mut reader.problems, without_secrets(message));
    }
}

fn budget(reader: &mut Reader<'_>, table: &Table<'_>, name: &str) -> Option<(LimitRuleBuilder, LimitUnit)> {
    table.require("amount", &mut reader.problems);
    table.require("window", &mut reader.problems);
    let (amount, window) = (amount(reader, table, "amount"), window(reader, table));
    let concurrent = count(reader, table, "concurrent");
    let amount = amount?;
    let unit = amount.unit().clone();
    let builder = LimitRule::budget(name, amount, window?);
    // The builder reports it.
    Some((concurrent.map_or(builder.clone(), |requests| builder.concurrent(requests)), unit))
}

/// Reads a window. The problems of its parts are reported at their keys.
fn window(reader: &mut Reader<'_>, table: &Table<'_>) -> Option<Window> {
    let before = reader.problems.len();
    let zone = parsed(reader, table, "zone", |zone| Window::hour(zone).map(|_| zone.to_owned()));
    let window = parsed(reader, table, "window", |text| Window::parse(text, zone.as_deref().unwrap_or("UTC"), None))?;
    let with_start = |start: &str| window.clone().with_fiscal_start(start);
    let started = parsed(reader, table, "fiscal_start", with_start);
    (reader.problems.len() == before).then(|| started.unwrap_or(window))
}

/// Reads a rate, or a limit on running requests alone.
fn rate(reader: &mut Reader<'_>, table: &Table<'_>, name: &str) -> Option<(LimitRuleBuilder, LimitUnit)> {
    if let Some(place) = table.get("fiscal_start") {
        place.fail(&mut reader.problems, "fiscal_start: only budgets have one");
    }
    let _: Option<String> = parsed(reader, table, "zone", |zone| Window::hour(zone).map(|_| zone.to_owned()));
    let concurrent = count(reader, table, "concurrent");
    if table.get("amount").is_none() && table.get("concurrent").is_some() {
        for key in ["window", "burst"] {
            if let Some(place) = table.get(key) {
                place.fail(&mut reader.problems, format!("{key}: expected the key \"amount\" as well"));
            }
        }
        return Some((LimitRule::concurrency(name, concurrent?), LimitUnit::Requests));
    }
    table.require("amount", &mut reader.problems);
    table.require("window", &mut reader.problems);
    let (amount, per): (_, Option<Duration>) = (amount(reader, table, "amount"), duration(reader, table, "window"));
    let amount = amount?;
    let unit = amount.unit().clone();
    let builder = LimitRule::rate(name, amount, per?);
    Some((concurrent.map_or(builder.clone(), |requests| builder.concurrent(requests)), unit))
}

fn count(reader: &mut Reader<'_>, table: &Table<'_>, key: &str) -> Option<u32> {
    let place = table.get(key)?;
    let count = place.count(&mut reader.problems)?;
    let found = u32::try_from(count).ok();
    if found.is_none() {
        place.fail(&mut reader.problems, format!("{key}: expected at most {}", u32::MAX));
    }
    found
}

/// Reads an amount, or a number in the unit of the rule.
fn amount_or_number(reader: &mut Reader<'_>, table: &Table<'_>, key: &str, unit: Option<&LimitUnit>) -> Option<Amount> {
    let place = table.get(key)?;
    let Some(number) = place.number_if_any() else { return amount(reader, table, key) };
    match format!("{number} {}", unit?).parse() {
        Ok(amount) => Some(amount),
        Err(error) => {
            fail(reader, &place, key, &error);
            None
        }
    }
}

/// Reads the keys that budgets and rates have.
fn common(
    reader: &mut Reader<'_>,
    table: &Table<'_>,
    mut builder: LimitRuleBuilder,
    unit: Option<&LimitUnit>,
) -> LimitRuleBuilder {
    for (property, patterns) in conditions(reader, table, "when") {
        builder = builder.when(&property, patterns);
    }
    for (property, patterns) in conditions(reader, table, "exclude") {
        builder = builder.exclude(&property, patterns);
    }
    builder = group_by(reader, table, builder);
    builder = decisions(reader, table, builder);
    if let Some(title) = reader.owned_text(table.get("title")) {
        builder = builder.title(title);
    }
    if let Some(status) = status(reader, table) {
        builder = builder.status(status);
    }
    if let Some(estimate) = amount(reader, table, "estimate") {
        builder = builder.estimate(estimate);
    }
    if let Some(burst) = amount_or_number(reader, table, "burst", unit) {
        builder = builder.burst(burst);
    }
    if let Some(chunk) = amount_or_number(reader, table, "chunk", unit) {
        builder = builder.chunk(chunk);
    }
    if let Some(factor) = table.get("cut_streams").and_then(|place| place.number(&mut reader.problems)) {
        builder = builder.cut_streams(factor);
    }
    if let Some(is_charged) = table.get("charge_unknown").and_then(|place| place.boolean(&mut reader.problems)) {
        builder = builder.charge_unknown(is_charged);
    }
    raises(reader, table, builder)
}

fn group_by(reader: &mut Reader<'_>, table: &Table<'_>, mut builder: LimitRuleBuilder) -> LimitRuleBuilder {
    let Some(place) = table.get("group_by") else { return builder };
    for item in place.list(&mut reader.problems) {
        let Some(property) = item.text(&mut reader.problems) else { continue };
        reader.check_property(&item, property);
        let rule = LimitRule::concurrency("group_by", 1).on_store_error(LimitDecision::Deny);
        match rule.group_by(property).build() {
            Ok(_) => builder = builder.group_by(property),
            Err(error) => fail(reader, &item, "group_by", &error),
        }
    }
    builder
}

fn decisions(reader: &mut Reader<'_>, table: &Table<'_>, mut builder: LimitRuleBuilder) -> LimitRuleBuilder {
    if let Some(mode) = table.get("mode").and_then(|place| place.choice(MODES, &mut reader.problems)) {
        builder = builder.mode(mode);
    }
    if let Some(missing) = table.get("on_missing").and_then(|place| place.choice(MISSING, &mut reader.problems)) {
        builder = builder.on_missing(missing);
    }
    // A decision that cannot be read is not missing.
    if let Some(place) = table.get("on_unpriced") {
        let decision = place.choice(DECISIONS, &mut reader.problems);
        builder = builder.on_unpriced(decision.unwrap_or(LimitDecision::Deny));
    }
    if let Some(place) = table.get("on_store_error") {
        let decision = place.choice(DECISIONS, &mut reader.problems);
        builder = builder.on_store_error(decision.unwrap_or(LimitDecision::Deny));
    }
    builder
}

fn status(reader: &mut Reader<'_>, table: &Table<'_>) -> Option<StatusCode> {
    let place = table.get("status")?;
    let count = place.count(&mut reader.problems)?;
    let status = u16::try_from(count).ok().and_then(|status| StatusCode::from_u16(status).ok());
    if status.is_none() {
        place.fail(&mut reader.problems, "status: expected a status from 400 to 499");
    }
    status
}

fn raises(reader: &mut Reader<'_>, table: &Table<'_>, mut builder: LimitRuleBuilder) -> LimitRuleBuilder {
    let Some(place) = table.get("raises") else { return builder };
    for item in place.list(&mut reader.problems) {
        let raise = item.table(&["amount", "until"], &mut reader.problems);
        raise.require("amount", &mut reader.problems);
        let until = raise.require("until", &mut reader.problems).and_then(|place| place.time(&mut reader.problems));
        if let (Some(amount), Some(until)) = (amount(reader, &raise, "amount"), until) {
            builder = builder.raise(amount, until);
        }
    }
    builder
}
