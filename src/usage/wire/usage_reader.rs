use serde_json::{Map, Value};

use crate::usage::{
    Operation, Unit, normalized_usage::NormalizedUsage, response_report::ResponseReport, values::whole_number,
};

/// Reads the counts of one response and collects their normalized form.
pub(super) struct UsageReader<'a> {
    pub(super) provider: Option<&'a str>,
    pub(super) model: Option<&'a str>,
    pub(super) operation: Option<&'a Operation>,
    pub(super) response: &'a ResponseReport,
    /// The counts as the provider reported them.
    pub(super) report: &'a Map<String, Value>,
    pub(super) normalized: NormalizedUsage,
}

impl<'a> UsageReader<'a> {
    /// Creates a reader for other counts of the same call.
    pub(super) fn for_report<'b>(&self, report: &'b Map<String, Value>) -> UsageReader<'b>
    where
        'a: 'b,
    {
        let Self { provider, model, operation, response, .. } = *self;
        UsageReader { provider, model, operation, response, report, normalized: NormalizedUsage::default() }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.report.contains_key(key)
    }

    pub(super) fn has_any(&self, keys: &[&str]) -> bool {
        keys.iter().any(|key| self.has(key))
    }

    pub(super) fn has_object(&self, key: &str) -> bool {
        self.report.get(key).is_some_and(Value::is_object)
    }

    /// Returns the count at a path. Values that cannot be counts are noted as inconsistencies.
    pub(super) fn count(&mut self, path: &[&str]) -> Option<u64> {
        let (first, rest) = path.split_first()?;
        let mut value = self.report.get(*first)?;
        for key in rest {
            value = value.get(key)?;
        }
        // Placeholders.
        if value.is_null() || value == "" {
            return None;
        }
        self.number(value, || path.join("."))
    }

    /// Returns a number, or a text of digits, as a count. Other values are noted as inconsistencies of `name`.
    pub(super) fn number(&mut self, value: &Value, name: impl Fn() -> String) -> Option<u64> {
        let count = match value {
            Value::Number(number) => number.as_u64().or_else(|| whole_number(number.as_f64()?)),
            Value::String(digits) => digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit())),
            _ => None,
        };
        if count.is_none() {
            self.normalized.inconsistencies.push(format!("{} is {value}", name()));
        }
        count
    }

    /// Returns the count at the first path that has one.
    pub(super) fn first(&mut self, paths: &[&[&str]]) -> Option<u64> {
        paths.iter().find_map(|path| self.count(path))
    }

    /// Sets a unit to the count at a path, if there is one.
    pub(super) fn set(&mut self, unit: Unit, path: &[&str]) {
        self.set_first(unit, &[path]);
    }

    /// Sets a unit to the count at the first path that has one.
    pub(super) fn set_first(&mut self, unit: Unit, paths: &[&[&str]]) {
        if let Some(count) = self.first(paths) {
            self.normalized.usage.set(unit, count);
        }
    }

    /// Adds a count to a unit, if it is known.
    pub(super) fn add(&mut self, unit: Unit, count: Option<u64>) {
        if let Some(count) = count {
            self.normalized.usage.add(unit, count);
        }
    }

    /// Adds a count of what may not have been used at all.
    pub(super) fn add_nonzero(&mut self, unit: Unit, count: u64) {
        self.add(unit, (count > 0).then_some(count));
    }

    /// Adds cache reads and writes that the provider does not count as input.
    pub(super) fn add_cache_outside_input(&mut self, read: Option<u64>, write: Option<u64>) {
        if self.normalized.usage.input_tokens().is_some() {
            self.add(Unit::InputTokens, read);
            self.add(Unit::InputTokens, write);
        }
        self.add(Unit::CacheReadTokens, read);
        self.add(Unit::CacheWriteTokens, write);
    }
}
