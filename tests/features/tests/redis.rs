//! The ledger in Redis, without a server.

use std::time::Duration;

use tower_tagging::limit::Ledger;

#[test]
fn opens_without_waiting_for_the_server() {
    let ledger = Ledger::from_url("redis://127.0.0.1:1", Duration::from_millis(100)).unwrap();
    assert_eq!(ledger.status().kind, "redis");
    assert!(Ledger::from_url("redis://", Duration::from_millis(100)).is_err());
}
