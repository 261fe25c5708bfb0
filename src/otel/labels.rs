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

/// The tags that are labels of metrics, each with so many values at most: a metrics backend holds a series for every one.
#[derive(Debug)]
pub(super) struct TagLabels {
    keys: Vec<(String, String)>,
    max_values: usize,
    seen: Mutex<HashMap<usize, HashSet<String>>>,
}

impl TagLabels {
    pub(super) fn new(keys: &[String], max_values: usize, names: &TagAttributes) -> Self {
        let keys = keys.iter().filter_map(|key| Some((key.clone(), names.name_of(key)?))).collect();
        Self { keys, max_values, seen: Mutex::default() }
    }

    /// The labels of an event, and how many of them are an overflow.
    pub(super) fn of(&self, event: &Event, labels: &mut Vec<KeyValue>) -> u64 {
        let mut overflows = 0;
        for (at, (key, name)) in self.keys.iter().enumerate() {
            let Some(value) = event.metadata().get(key) else { continue };
            let value = crate::metadata::limits::truncated(value, MAX_CHARS);
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let values = seen.entry(at).or_default();
            let is_known =
                values.contains(value) || (values.len() < self.max_values && values.insert(value.to_owned()));
            if is_known {
                labels.push(KeyValue::new(name.clone(), value.to_owned()));
            } else {
                overflows += 1;
                labels.push(KeyValue::new(name.clone(), OTHER));
            }
        }
        overflows
    }
}
