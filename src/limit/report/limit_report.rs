use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, SystemTime},
};

use jiff::Timestamp;

use crate::{
    analytics::{Answer, Filter, Grant, Group, Measure, Query, TimeRange},
    event::Outcome,
    row::Field,
    time::{signed_micros, time_of_micros},
};

use super::{
    super::{
        ledger::LedgerError,
        limiter::{
            LimitUsage, Limiter, RuleUsage,
            rule_set::{CompiledRule, RuleSet},
        },
        rules::{Amount, LimitKind, LimitRule},
        series,
    },
    BudgetEntry, LimitSource, RateEntry,
    visibility::{sees_group, sees_rule},
};

/// The time for which rejections of rates are counted.
const RATE_TIME: Duration = Duration::from_secs(24 * 60 * 60);

/// The limits that a caller sees: a page of the groups of budgets, and the rates.
///
/// It is read in two steps, because its user runs the [queries](Self::queries) for rejections.
#[derive(Clone, Debug)]
pub(crate) struct LimitReport {
    pub(crate) now: SystemTime,
    /// The number of groups on all pages.
    pub(crate) total: usize,
    /// The groups of the page: those with the largest used share first.
    pub(crate) budgets: Vec<BudgetEntry>,
    pub(crate) rates: Vec<RateEntry>,
    /// The titles of the rules with more groups than are read, by their names. Groups of them may be missing.
    pub(crate) cut: Vec<(String, String)>,
    /// The rules that the caller sees, by their names, with their titles.
    #[cfg_attr(not(feature = "dashboard"), allow(dead_code, reason = "only the page lists all rules"))]
    pub(crate) rules: Vec<(String, String)>,
}

impl Limiter {
    /// Returns the groups of budgets and the rates that a grant covers: all, or those of one rule.
    pub(crate) async fn report(
        &self,
        grant: &Grant,
        rule: Option<&str>,
        (skip, size): (usize, usize),
        now: SystemTime,
    ) -> Result<LimitReport, LedgerError> {
        let set = Arc::clone(&self.current());
        let configured = set.configured.iter().map(|compiled| (LimitSource::Config, Arc::clone(compiled)));
        let stored = set.stored.iter().map(|compiled| (LimitSource::Api, Arc::clone(compiled)));
        let all: Vec<(LimitSource, Arc<CompiledRule>)> = configured.chain(stored).collect();
        let (mut budgets, mut rates, mut cut, mut rules) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (source, compiled) in &all {
            let source = *source;
            if !sees_rule(grant, &compiled.rule) {
                continue;
            }
            let names = || (compiled.rule.name().to_owned(), compiled.rule.title().to_owned());
            rules.push(names());
            if rule.is_some_and(|name| name != compiled.rule.name()) {
                continue;
            }
            if !compiled.rule.is_budget() {
                rates.push(RateEntry { rule: Arc::clone(&compiled.rule), source, rejected: None });
                continue;
            }
            let RuleUsage { groups: mut usage, is_cut } = self.usage_of(&set, compiled, now).await?;
            cut.extend(is_cut.then(names));
            usage.extend(unused(&set, compiled, &usage, now));
            let visible = usage.into_iter().filter(|usage| sees_group(grant, &usage.rule, &usage.group));
            budgets.extend(visible.map(|usage| BudgetEntry { usage, source, rejected: None }));
        }
        budgets.sort_by(|one, other| {
            other.share().total_cmp(&one.share()).then_with(|| one.usage.series.cmp(&other.usage.series))
        });
        let total = budgets.len();
        let budgets = budgets.into_iter().skip(skip).take(size).collect();
        Ok(LimitReport { now, total, budgets, rates, cut, rules })
    }
}

/// Returns the only group of a budget without groups, if nothing is counted of it yet.
fn unused(set: &RuleSet, compiled: &CompiledRule, usage: &[LimitUsage], now: SystemTime) -> Option<LimitUsage> {
    let LimitKind::Budget { window, .. } = compiled.rule.kind() else { return None };
    if !compiled.rule.group_by.is_empty() || !usage.is_empty() {
        return None;
    }
    let period = window.period(signed_micros(now));
    let mut series = compiled.prefix.clone();
    series::write_group(&mut series, std::iter::empty::<Option<&str>>());
    let mut limit = compiled.rule.amount_at(now);
    limit.count = limit.count.saturating_add(set.credit(&series, period.slot));
    let zero = Amount::of_count(compiled.rule.unit().clone(), 0);
    let at = |micros: i64| time_of_micros(micros);
    Some(LimitUsage {
        rule: Arc::clone(&compiled.rule),
        group: Vec::new(),
        series,
        from: at(period.from),
        to: at(period.end),
        limit,
        settled: zero.clone(),
        reserved: zero,
    })
}

impl LimitReport {
    /// Returns the rules of the budgets of the page, in their order.
    fn budget_rules(&self) -> Vec<Arc<LimitRule>> {
        let mut seen = BTreeSet::new();
        let rules = self.budgets.iter().map(|entry| &entry.usage.rule);
        rules.filter(|rule| seen.insert(rule.name())).map(Arc::clone).collect()
    }

    /// Returns the queries whose answers have the rejections.
    pub(crate) fn queries(&self) -> Vec<Query> {
        let mut queries: Vec<Query> = self.budget_rules().iter().filter_map(|rule| self.budget_query(rule)).collect();
        if !self.rates.is_empty() {
            let names = self.rates.iter().map(|entry| entry.rule.name().to_owned()).collect();
            let query = self.rejections(self.now.checked_sub(RATE_TIME).unwrap_or(SystemTime::UNIX_EPOCH));
            queries.extend(query.map(|query| {
                query
                    .filter(Filter::In(Field::LimitRule.into(), names))
                    .group_by(Field::LimitRule)
                    .limit(Query::MAX_LIMIT)
            }));
        }
        queries
    }

    fn rejections(&self, from: SystemTime) -> Option<Query> {
        let time = |time: SystemTime| Timestamp::try_from(time).ok();
        let range = TimeRange::new(time(from)?, time(self.now)?).ok()?;
        let query = Query::new(range).measure(Measure::Requests);
        Some(query.filter(Filter::is(Field::Outcome, Outcome::Rejected.as_str())))
    }

    fn budget_query(&self, rule: &LimitRule) -> Option<Query> {
        let entries = || self.budgets.iter().filter(|entry| entry.usage.rule.name() == rule.name());
        let query = self.rejections(entries().next()?.usage.from)?;
        let mut query = query.filter(Filter::is(Field::LimitRule, rule.name())).limit(Query::MAX_LIMIT);
        if rule.group_by.len() > Query::MAX_GROUP_BY {
            return Some(query);
        }
        query.group_by.clone_from(&rule.group_by);
        // Only the groups of the page, unless one of them is that of requests without a value.
        let values: Option<Vec<String>> =
            entries().map(|entry| entry.usage.group.first().and_then(|(_, value)| value.clone())).collect();
        if let (Some(values), Some(dimension)) = (values, rule.group_by.first()) {
            let values: BTreeSet<String> = values.into_iter().collect();
            query = query.filter(Filter::In(dimension.clone(), values.into_iter().collect()));
        }
        Some(query)
    }

    /// Adds the rejections from the answers to the [queries](Self::queries), in their order. `None` is a query that failed.
    pub(crate) fn add_rejections(&mut self, answers: &[Option<Answer>]) {
        let mut answers = answers.iter();
        for rule in self.budget_rules() {
            if self.budget_query(&rule).is_none() {
                continue;
            }
            let Some(Some(answer)) = answers.next() else { continue };
            let is_grouped = !rule.group_by.is_empty();
            if is_grouped && answer.group_by.is_empty() {
                // The groups have too many dimensions for a query.
                continue;
            }
            for entry in self.budgets.iter_mut().filter(|entry| entry.usage.rule.name() == rule.name()) {
                let values = || entry.usage.group.iter().map(|(_, value)| value);
                let is_own = |group: &Group| group.values.iter().eq(values());
                entry.rejected = if is_grouped { requests(answer, is_own) } else { Some(answer.total.totals.requests) };
            }
        }
        let Some(Some(answer)) = answers.next() else { return };
        for entry in &mut self.rates {
            let name = entry.rule.name();
            let is_own = |group: &Group| group.values.first().and_then(Option::as_deref) == Some(name);
            entry.rejected = requests(answer, is_own);
        }
    }
}

/// Returns the requests of a group. `None` if the group may be on another page of the answer.
fn requests(answer: &Answer, is_group: impl Fn(&Group) -> bool) -> Option<u64> {
    match answer.groups.iter().find(|group| is_group(group)) {
        Some(group) => Some(group.cell.totals.requests),
        None => answer.next.is_none().then_some(0),
    }
}
