use opentelemetry::{Key, KeyValue, StringValue};

use crate::text::truncated;

use super::attribute_limits::AttributeLimits;

/// The attributes of one span or log record, within the limits.
pub(super) struct AttributeList {
    list: Vec<KeyValue>,
    limits: AttributeLimits,
    dropped: u32,
}

impl AttributeList {
    pub(super) fn new(limits: AttributeLimits) -> Self {
        Self { list: Vec::with_capacity(24), limits, dropped: 0 }
    }

    /// Adds an attribute, or counts it as dropped if the list is full.
    pub(super) fn push(&mut self, attribute: KeyValue) {
        if self.list.len() < self.limits.count {
            self.list.push(attribute);
        } else {
            self.dropped += 1;
        }
    }

    /// Adds text, truncated to the longest allowed value.
    pub(super) fn text(&mut self, name: impl Into<Key>, value: &str) {
        let value = truncated(value, self.limits.value_chars);
        self.push(KeyValue::new(name, StringValue::from(value.to_owned())));
    }

    /// Adds a tag, unless its name is taken. Names must be unique, and existing attributes take precedence.
    pub(super) fn tag(&mut self, name: String, value: &str) {
        if self.list.iter().any(|attribute| attribute.key.as_str() == name) {
            self.dropped += 1;
        } else {
            self.text(name, value);
        }
    }

    pub(super) fn fixed(&mut self, name: &'static str, value: &'static str) {
        self.push(KeyValue::new(name, value));
    }

    pub(super) fn number(&mut self, name: &'static str, value: u64) {
        self.push(KeyValue::new(name, i64::try_from(value).unwrap_or(i64::MAX)));
    }

    /// Returns the attributes and the number of dropped ones.
    pub(super) fn finish(self) -> (Vec<KeyValue>, u32) {
        (self.list, self.dropped)
    }
}
