//! The list `alerts`.

use std::collections::HashMap;

use http::Uri;

use crate::{
    ConfigError,
    registry::{Glob, Place, Problems, Reader, SecretSource, Table, closest},
    usage::Money,
};

use super::{
    super::{
        alerts::{AlertSettings, AlertTrigger, WebhookShape},
        rules::LimitUnit,
    },
    values::{amount, conditions, duration, fail, flag, parsed},
};

const KEYS: &[&str] = &[
    "allow_private_addresses",
    "allow_tag_values",
    "cooldown",
    "exclude",
    "minimum_cost",
    "minimum_requests",
    "on",
    "secret_env",
    "secret_file",
    "shape",
    "thresholds",
    "webhook",
    "when",
    "window",
];

const SHAPES: &[(&str, WebhookShape)] = &[("plain", WebhookShape::Plain), ("slack", WebhookShape::Slack)];

/// Reads the list. Alerts whose trigger has a problem are left out.
pub(super) fn alerts(
    reader: &mut Reader<'_>,
    items: &[Place<'_>],
    rules: &HashMap<String, bool>,
) -> Vec<AlertSettings> {
    let mut alerts: Vec<AlertSettings> = Vec::new();
    for place in items {
        let Some(settings) = alert(reader, place, rules) else { continue };
        // An entry of another kind was reported when it was read.
        let table = place.any_table(&mut Problems::default());
        if let Some(webhook) = table.get("webhook")
            && alerts.iter().any(|other| differs(other, &settings))
        {
            webhook.fail(
                &mut reader.problems,
                "webhook: another alert has the same URL: expected the same secret and allow_private_addresses there",
            );
        }
        alerts.push(settings);
    }
    alerts
}

/// Returns `true` if two alerts have the same receiver with different settings, so that those of one would have no effect.
fn differs(one: &AlertSettings, other: &AlertSettings) -> bool {
    let receiver = |alert: &AlertSettings| alert.webhook.clone().map(|url| (url, alert.shape));
    let settings =
        |alert: &AlertSettings| (alert.secret_env.clone(), alert.secret_file.clone(), alert.allow_private_addresses);
    receiver(one).is_some() && receiver(one) == receiver(other) && settings(one) != settings(other)
}

/// Reads an alert. Returns `None` if its trigger has a problem.
fn alert(reader: &mut Reader<'_>, place: &Place<'_>, rules: &HashMap<String, bool>) -> Option<AlertSettings> {
    let before = reader.problems.len();
    let table = place.table(KEYS, &mut reader.problems);
    table.require("on", &mut reader.problems);
    let on = parsed(reader, &table, "on", |text| trigger(text, rules));
    // The other keys are checked in any case.
    let mut settings = AlertSettings::new(on.clone().unwrap_or(AlertTrigger::BurnRate));
    settings.when = conditions(reader, &table, "when");
    settings.exclude = conditions(reader, &table, "exclude");
    settings.thresholds = thresholds(reader, &table);
    settings.window = duration(reader, &table, "window");
    settings.cooldown = duration(reader, &table, "cooldown");
    settings.minimum_cost = minimum_cost(reader, &table);
    let requests = table.get("minimum_requests").and_then(|place| place.count(&mut reader.problems));
    settings.minimum_requests = requests.and_then(|count| u64::try_from(count).ok());
    settings.allow_tag_values = flag(reader, &table, "allow_tag_values");
    settings.allow_private_addresses = flag(reader, &table, "allow_private_addresses");
    let shape = table.get("shape").map(|place| place.choice(SHAPES, &mut reader.problems));
    settings.shape = shape.flatten().unwrap_or_default();
    settings.webhook = parsed(reader, &table, "webhook", webhook);
    secret(reader, &table, &mut settings, shape != Some(None));
    let on = on?;
    // What depends on the trigger, such as the number of thresholds.
    if reader.problems.len() == before
        && let Err(error) = settings.to_rule()
    {
        fail(reader, place, &format!("alert on {on}"), &error);
    }
    Some(settings)
}

/// Parses a trigger. A limit that it names must exist, and be a budget. A pattern may match limits that are created later.
fn trigger(text: &str, rules: &HashMap<String, bool>) -> Result<AlertTrigger, ConfigError> {
    let trigger: AlertTrigger = text.parse()?;
    let AlertTrigger::Limit(name) = &trigger else { return Ok(trigger) };
    if name.contains('*') {
        return match Glob::parse(name) {
            Some(_) => Ok(trigger),
            None => Err(ConfigError::new(format!("invalid pattern {name:?}: it ends within an escape"))),
        };
    }
    match rules.get(&**name) {
        Some(true) => Ok(trigger),
        Some(false) => Err(ConfigError::new(format!("limit {name:?} is not a budget: only budgets have thresholds"))),
        None => {
            // Sorted, so that the message is always the same.
            let mut names: Vec<&str> = rules.keys().map(String::as_str).collect();
            names.sort_unstable();
            let hint = closest(name, names).map(|close| format!(": did you mean {close:?}?")).unwrap_or_default();
            Err(ConfigError::new(format!("unknown limit rule {name:?}{hint}")))
        }
    }
}

fn thresholds(reader: &mut Reader<'_>, table: &Table<'_>) -> Vec<f64> {
    let Some(place) = table.get("thresholds") else { return Vec::new() };
    let items = place.list(&mut reader.problems);
    if items.is_empty() {
        place.fail(&mut reader.problems, "thresholds: expected at least one number, such as 0.8");
    }
    let mut thresholds = Vec::new();
    for item in items {
        match item.number(&mut reader.problems) {
            Some(threshold) if threshold.is_finite() && threshold > 0.0 => thresholds.push(threshold),
            Some(_) => item.fail(&mut reader.problems, "thresholds: expected a number greater than zero"),
            None => {}
        }
    }
    thresholds
}

fn minimum_cost(reader: &mut Reader<'_>, table: &Table<'_>) -> Option<Money> {
    let cost = amount(reader, table, "minimum_cost")?;
    if *cost.unit() != LimitUnit::Cost
        && let Some(place) = table.get("minimum_cost")
    {
        place.fail(&mut reader.problems, format!("minimum_cost: expected an amount in USD, found {cost}"));
        return None;
    }
    u64::try_from(cost.count()).ok().map(Money::from_nano_usd)
}

/// Checks a URL. The error does not quote it, because it may be a secret.
fn webhook(text: &str) -> Result<String, ConfigError> {
    let invalid = || ConfigError::new("expected an http or https URL, such as \"https://hooks.example/llm\"");
    let url: Uri = text.parse().map_err(|_| invalid())?;
    let is_http = matches!(url.scheme_str(), Some("http" | "https"));
    let has_host = url.host().is_some_and(|host| !host.is_empty());
    if is_http && has_host { Ok(text.to_owned()) } else { Err(invalid()) }
}

/// Reads the place of the secret of a webhook, and checks that there is one.
fn secret(reader: &mut Reader<'_>, table: &Table<'_>, settings: &mut AlertSettings, has_shape: bool) {
    let place = table.get("secret_env").or_else(|| table.get("secret_file"));
    let source = reader.secret_source(table, "secret_env", "secret_file");
    if let (Some(Err(message)), Some(place)) = (source.as_ref().map(SecretSource::read), &place) {
        place.fail(&mut reader.problems, message);
    }
    match source {
        Some(SecretSource::Env(name)) => settings.secret_env = Some(name),
        Some(SecretSource::File(path)) => settings.secret_file = Some(path),
        Some(SecretSource::Given(_)) | None => {}
    }
    match (table.get("webhook"), place) {
        (Some(webhook), None) if has_shape && settings.shape == WebhookShape::Plain => {
            webhook.fail(&mut reader.problems, "webhook: expected the key \"secret_env\" or \"secret_file\" as well");
        }
        (None, Some(secret)) => secret.fail(&mut reader.problems, "expected the key \"webhook\" as well"),
        _ => {}
    }
}
