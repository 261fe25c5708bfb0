//! The feature `spool`.

use tower_tagging::sink::{Queued, Spool, SpoolMode};
use tower_tagging_feature_tests::{Collector, TempFolder, request, serve, tagging, wait_for};

#[test]
fn events_pass_through_the_spool() {
    let folder = TempFolder::new("spool");
    let spool = Spool::builder(&folder.0).mode(SpoolMode::Always).open().unwrap();
    let collector = Collector::default();
    let layer = tagging().sink(Queued::builder("collector", collector.clone()).spool(spool).build()).build().unwrap();
    serve(&layer, request());
    assert!(std::fs::read_dir(&folder.0).unwrap().count() > 0, "nothing on disk");
    wait_for(&layer.delivery());
    assert_eq!(collector.single()["metadata"]["_user"], "ada");
}
