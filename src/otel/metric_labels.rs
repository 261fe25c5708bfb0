use std::{
    collections::{HashMap, HashSet},
    sync::Mutex,
};

use opentelemetry::{
    KeyValue,
    metrics::{Counter, Meter},
};

use crate::{Event, sync::lock, text::truncated};

use super::tag_attributes::TagAttributes;

/// Value of a label beyond the limit.
const OTHER: &str = "__other__";
/// Number of routes that are always distinguished: most of them are templates of the app's router.
const MIN_ROUTES: usize = 1000;
/// Maximum length of a label value, in characters.
const MAX_CHARS: usize = 128;

/// The labels whose values clients choose. Each label has a limited number of values, because a metrics backend stores a
/// series for each of them.
pub(super) struct MetricLabels {
    /// Tags, and the names of their labels.
    tags: Vec<(String, String)>,
    max_values: usize,
    seen: Mutex<HashMap<String, HashSet<String>>>,
    overflows: Counter<u64>,
}

impl MetricLabels {
    pub(super) fn new(meter: &Meter, keys: &[String], max_values: usize, names: &TagAttributes) -> Self {
        let mut tags: Vec<(String, String)> = Vec::new();
        for key in keys {
            // Label names must be unique.
            if let Some(name) = names.name_of(key).filter(|name| tags.iter().all(|(_, other)| other != name)) {
                tags.push((key.clone(), name));
            }
        }
        let overflows = meter
            .u64_counter("tower_tagging.label.overflows")
            .with_description("Label values that were recorded as `__other__`.")
            .build();
        Self { tags, max_values, seen: Mutex::default(), overflows }
    }

    /// Adds the labels of the event's tags, except those whose names are taken.
    pub(super) fn add_tags(&self, event: &Event, labels: &mut Vec<KeyValue>) {
        for (key, name) in &self.tags {
            if let Some(value) = event.metadata().get(key)
                && labels.iter().all(|label| label.key.as_str() != name)
            {
                labels.push(self.capped(name, value));
            }
        }
    }

    /// Returns a label, with the value `__other__` if the label already has the maximum number of values.
    pub(super) fn capped(&self, name: &str, value: &str) -> KeyValue {
        self.within(self.max_values, name, value)
    }

    /// Returns the label of a route. The paths of gRPC calls are routes too, and handlers can set any route.
    pub(super) fn route(&self, route: &str) -> KeyValue {
        self.within(self.max_values.max(MIN_ROUTES), "http.route", route)
    }

    fn within(&self, max_values: usize, name: &str, value: &str) -> KeyValue {
        let value = truncated(value, MAX_CHARS);
        if self.is_within_limit(max_values, name, value) {
            return KeyValue::new(name.to_owned(), value.to_owned());
        }
        self.overflows.add(1, &[]);
        KeyValue::new(name.to_owned(), OTHER)
    }

    fn is_within_limit(&self, max_values: usize, name: &str, value: &str) -> bool {
        let mut seen = lock(&self.seen);
        if !seen.contains_key(name) {
            seen.insert(name.to_owned(), HashSet::new());
        }
        seen.get_mut(name).is_some_and(|values| {
            values.contains(value) || (values.len() < max_values && values.insert(value.to_owned()))
        })
    }
}
