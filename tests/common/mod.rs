//! Helpers that the tests share.

#![allow(dead_code, reason = "each test uses its part")]

pub(crate) mod delivery;

use std::{
    io,
    path::PathBuf,
    sync::{Arc, LazyLock, Mutex},
};

use serde_json::Value;
use tower_tagging::{Event, Sink, sink::MockSink};

mod schema;

static SCHEMA: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(include_str!("../event.schema.json")).unwrap());

/// Panics unless the value is a valid event according to the schema.
#[track_caller]
pub(crate) fn assert_schema(event: &Value) {
    let problems = schema::violations(&SCHEMA, event);
    assert!(problems.is_empty(), "{problems:#?}\nin {event:#}");
    // The format is stricter than the schema.
    let time = event["time"].as_str().unwrap();
    assert_eq!((time.len(), time.ends_with('Z')), (27, true), "not in UTC with microseconds: {time}");
}

/// Serializes an event, and panics unless it matches the schema and survives a round trip.
#[track_caller]
pub(crate) fn json(event: &Event) -> Value {
    let text = serde_json::to_string(event).unwrap();
    let back: Event = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string(&back).unwrap(), text);
    let value = serde_json::from_str(&text).unwrap();
    assert_schema(&value);
    value
}

/// Collects the output of a `tracing` subscriber.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Returns the output since the last call.
    pub(crate) fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut self.0.lock().unwrap())).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A [`MockSink`] that validates its events against the schema when they are read.
#[derive(Clone, Default)]
pub(crate) struct Recorder(pub(crate) MockSink);

impl Recorder {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    #[track_caller]
    pub(crate) fn events(&self) -> Vec<Arc<Event>> {
        let events = self.0.events();
        for event in &events {
            json(event);
        }
        events
    }

    /// Returns the events so far and removes them.
    #[track_caller]
    pub(crate) fn take(&self) -> Vec<Arc<Event>> {
        let events = self.events();
        self.0.clear();
        events
    }

    #[track_caller]
    pub(crate) fn single(&self) -> Arc<Event> {
        let event = self.0.single();
        json(&event);
        event
    }

    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Arc<Event>> {
        let events = self.0.wait_for(count).await;
        for event in &events {
            json(event);
        }
        assert_eq!(events.len(), count, "{events:#?}");
        events
    }
}

impl Sink for Recorder {
    fn emit(&self, event: Arc<Event>) {
        self.0.emit(event);
    }
}

/// A folder for one test, removed when the test ends.
pub(crate) struct TempFolder(pub(crate) PathBuf);

impl TempFolder {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tower-tagging-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &std::path::Path {
        &self.0
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Returns the peak resident memory of this process, in bytes.
pub(crate) fn peak_memory() -> u64 {
    status_bytes("VmHWM:")
}

/// Returns the current resident memory of this process, in bytes.
pub(crate) fn memory() -> u64 {
    status_bytes("VmRSS:")
}

fn status_bytes(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}

/// Hides expected panics from the output of a test. Their messages start with `prefix`.
pub(crate) fn expect_panics(prefix: &'static str) {
    std::panic::set_hook(Box::new(move |info| {
        if !info.payload().downcast_ref::<&str>().is_some_and(|text| text.starts_with(prefix)) {
            eprintln!("{info}");
        }
    }));
}
