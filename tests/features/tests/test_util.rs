//! The feature `test-util`.

use std::time::Duration;

use tower_tagging::{EventLayer, event::ManualClock, sink::MockSink, trace::SequentialIds};
use tower_tagging_feature_tests::{request, serve, tagging};

#[test]
fn times_and_ids_are_predictable() {
    let once = || {
        let (sink, clock) = (MockSink::new(), ManualClock::new());
        clock.advance(Duration::from_secs(1));
        let layer = tagging().events(EventLayer::new(sink.clone()).clock(clock)).ids(SequentialIds::new());
        serve(&layer.build().unwrap(), request());
        serde_json::to_string(&*sink.single()).unwrap()
    };
    assert_eq!(once(), once());
}
