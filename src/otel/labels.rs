use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, PoisonError},
};

use opentelemetry::KeyValue;

use crate::Event;

use super::TagAttributes;

/// What stands in place of a value too many.
const OTHER: &str = "__other__";
/// Longest value of a label, in characters.
const MAX_CHARS: usize = 128;

/// The values of labels that callers choose, so many of each at most: a metrics backend holds a series for every one.
#[derive(Debug)]
pub(super) struct CappedValues {
    max_values: usize,
    seen: Mutex<HashMap<String, HashSet<String>>>,
}

impl CappedValues {
    pub(super) fn new(max_values: usize) -> Self {
        Self { max_values, seen: Mutex::default() }
    }

    /// The label, with its own value or as one of the others; and whether it is one of those.
    pub(super) fn label(&self, name: &str, value: &str) -> (KeyValue, bool) {
        let value = crate::text::truncated(value, MAX_CHARS);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if !seen.contains_key(name) {
            seen.insert(name.to_owned(), HashSet::new());
        }
        let is_known = seen.get_mut(name).is_some_and(|values| {
            values.contains(value) || (values.len() < self.max_values && values.insert(value.to_owned()))
        });
        (KeyValue::new(name.to_owned(), if is_known { value.to_owned() } else { OTHER.to_owned() }), !is_known)
    }
}

/// The tags that are labels of metrics.
#[derive(Debug)]
pub(super) struct TagLabels {
    /// Keys, and the names of their labels.
    keys: Vec<(String, String)>,
    values: CappedValues,
}

impl TagLabels {
    pub(super) fn new(keys: &[String], max_values: usize, names: &TagAttributes) -> Self {
        let mut labels: Vec<(String, String)> = Vec::new();
        for key in keys {
            // Names are unique.
            if let Some(name) = names.name_of(key).filter(|name| labels.iter().all(|(_, other)| other != name)) {
                labels.push((key.clone(), name));
            }
        }
        Self { keys: labels, values: CappedValues::new(max_values) }
    }

    /// Adds the labels of an event. Returns how many of them are an overflow.
    pub(super) fn add(&self, event: &Event, labels: &mut Vec<KeyValue>) -> u64 {
        let mut overflows = 0;
        for (key, name) in &self.keys {
            let Some(value) = event.metadata().get(key) else { continue };
            let (label, is_other) = self.values.label(name, value);
            if labels.iter().any(|known| known.key == label.key) {
                continue;
            }
            overflows += u64::from(is_other);
            labels.push(label);
        }
        overflows
    }

    /// A label whose value callers choose, within the same bound.
    pub(super) fn capped(&self, name: &str, value: &str) -> (KeyValue, bool) {
        self.values.label(name, value)
    }
}
