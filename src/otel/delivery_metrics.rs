use std::{
    collections::BTreeMap,
    iter,
    sync::{Arc, Mutex},
};

use opentelemetry::{
    KeyValue,
    metrics::{AsyncInstrument, Meter},
};

use crate::{
    sink::{Delivery, DropReason, SinkReport},
    sync::lock,
};

/// The deliveries whose counts are reported when metrics are collected.
#[derive(Clone, Debug, Default)]
pub(super) struct ObservedDeliveries(Arc<Mutex<Vec<Delivery>>>);

/// The counts of all sinks with the same name, which share one series.
#[derive(Default)]
struct Counts {
    fates: BTreeMap<&'static str, u64>,
    retried: u64,
    in_memory: u64,
    in_spool: u64,
}

/// A value with its label, in addition to the name of the sink.
type Point = (u64, Option<KeyValue>);

impl ObservedDeliveries {
    /// Adds the parts of a delivery that are not observed yet.
    pub(super) fn add(&self, delivery: &Delivery) {
        let mut deliveries = lock(&self.0);
        let new = delivery.without(&deliveries);
        if !new.is_none() {
            deliveries.push(new);
        }
    }

    /// Registers the instruments `tower_tagging.delivery.…`.
    pub(super) fn register(&self, meter: &Meter) {
        meter
            .u64_observable_counter("tower_tagging.delivery.events")
            .with_unit("{event}")
            .with_description("Events by fate: delivered, or the reason why they were dropped.")
            .with_callback(self.callback(Counts::fates))
            .build();
        meter
            .u64_observable_counter("tower_tagging.delivery.retries")
            .with_unit("{event}")
            .with_description("Events that were written again, counted at each attempt.")
            .with_callback(self.callback(Counts::retries))
            .build();
        meter
            .u64_observable_gauge("tower_tagging.delivery.waiting")
            .with_unit("{event}")
            .with_description("Events that wait for delivery, in memory or in the spool.")
            .with_callback(self.callback(Counts::waiting))
            .build();
    }

    fn callback(&self, points: fn(&Counts) -> Vec<Point>) -> impl Fn(&dyn AsyncInstrument<u64>) + Send + Sync + use<> {
        let deliveries = self.clone();
        move |instrument| {
            for (sink, counts) in deliveries.counts() {
                for (value, label) in points(&counts) {
                    let labels: Vec<_> = iter::once(KeyValue::new("sink", sink.clone())).chain(label).collect();
                    instrument.observe(value, &labels);
                }
            }
        }
    }

    fn counts(&self) -> BTreeMap<String, Counts> {
        let deliveries = lock(&self.0).clone();
        let mut counts: BTreeMap<String, Counts> = BTreeMap::new();
        for sink in deliveries.iter().flat_map(|delivery| delivery.report().sinks) {
            counts.entry(sink.name.clone()).or_default().add(&sink);
        }
        counts
    }
}

impl Counts {
    fn add(&mut self, sink: &SinkReport) {
        *self.fates.entry("delivered").or_default() += sink.delivered;
        for reason in DropReason::ALL {
            let dropped = sink.dropped_for(*reason);
            if dropped > 0 {
                *self.fates.entry(reason.as_str()).or_default() += dropped;
            }
        }
        self.retried += sink.retried;
        self.in_spool += sink.spool.waiting;
        self.in_memory += sink.in_flight().saturating_sub(sink.spool.waiting);
    }

    fn fates(&self) -> Vec<Point> {
        self.fates.iter().map(|(fate, count)| (*count, Some(KeyValue::new("fate", *fate)))).collect()
    }

    fn retries(&self) -> Vec<Point> {
        vec![(self.retried, None)]
    }

    fn waiting(&self) -> Vec<Point> {
        let places = [("memory", self.in_memory), ("spool", self.in_spool)];
        places.map(|(place, count)| (count, Some(KeyValue::new("place", place)))).to_vec()
    }
}
