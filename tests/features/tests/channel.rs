//! The feature `channel`.

use tower_tagging::sink::ChannelSink;
use tower_tagging_feature_tests::{request, serve, tagging};

#[test]
fn events_are_sent_to_the_channel() {
    let (sink, mut events) = ChannelSink::new(1);
    serve(&tagging().sink(sink).build().unwrap(), request());
    let event = events.try_recv().unwrap();
    assert_eq!(event.metadata().get("_user"), Some("ada"));
    assert!(events.try_recv().is_err());
}
