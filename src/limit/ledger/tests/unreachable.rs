//! Ledgers whose server does not exist, or never answers, and settings that are invalid.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use tokio::runtime;

use super::{
    super::{
        Ledger, LedgerError, PostgresLedger, RedisLedger,
        backend::{Reserved, Settlement},
    },
    support::{MINUTE, budget, id, reserve, wait},
};

const SECOND: Duration = Duration::from_secs(1);
const KINDS: [&str; 2] = ["redis", "postgres"];

fn take(ledger: &Ledger) -> Result<Reserved, LedgerError> {
    reserve(ledger.backend(), "[\"a\"]", id(), MINUTE, &[("", true, budget(1, 1))], false)
}

fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

#[test]
fn fails_while_the_server_does_not_exist() {
    for kind in KINDS {
        let (listener, address) = listener();
        drop(listener);
        let ledger = Ledger::from_url(&format!("{kind}://user:secret@{address}/0"), MINUTE).unwrap();
        assert_eq!((ledger.status().is_available, ledger.status().kind), (true, kind));
        let error = take(&ledger).unwrap_err().to_string();
        assert!(error.starts_with(&format!("the ledger in {kind} is not available: ")), "{error}");
        assert!(!error.contains("secret") && !format!("{ledger:?}").contains("secret"), "{error}");
        let refused = take(&ledger).unwrap_err().to_string();
        assert!(refused.contains("the last call failed"), "{refused}");
        assert!(wait(ledger.backend().scan("", "", 0, 1)).is_err());
        assert_eq!((ledger.status().errors, ledger.status().is_available), (3, false));
    }
}

#[test]
fn waits_no_longer_than_the_timeout_for_a_server_that_does_not_answer() {
    for kind in KINDS {
        // Connections are established, and nothing reads from them.
        let (_listener, address) = listener();
        let ledger = Ledger::from_url(&format!("{kind}://user@{address}/0"), SECOND / 5).unwrap();
        let start = Instant::now();
        let replies: Vec<_> = (0..500)
            .map(|_| {
                let settlement = Settlement { id: id(), time: 0, charges: vec![], rates: vec![] };
                ledger.backend().settle(vec![settlement])
            })
            .collect();
        replies.into_iter().for_each(|reply| drop(wait(reply).unwrap_err()));
        assert!(start.elapsed() < 5 * SECOND, "{:?}", start.elapsed());
        assert_eq!(ledger.status().errors, 500);
    }
}

#[test]
fn answers_after_the_runtime_of_the_service_has_ended() {
    let (_listener, address) = listener();
    let ledger = Ledger::from_url(&format!("redis://{address}/0"), SECOND / 5).unwrap();
    let runtime = runtime::Builder::new_current_thread().build().unwrap();
    let settlement = Settlement { id: id(), time: 0, charges: vec![], rates: vec![] };
    let reply = runtime.block_on(async { ledger.backend().settle(vec![settlement]) });
    runtime.shutdown_background();
    let error = wait(reply).unwrap_err().to_string();
    assert!(error.contains("no answer within 200ms"), "{error}");
}

#[test]
fn rejects_invalid_settings() {
    let texts =
        ["", "mysql://user:secret@localhost", "postgres://user:secret@/db", "postgres://[secret", "redis://[secret"];
    for text in texts.into_iter().chain(["rediss://user:secret@localhost"]) {
        let error = Ledger::from_url(text, SECOND).unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }
    for kind in KINDS {
        assert!(Ledger::from_url(&format!("{kind}://localhost"), Duration::ZERO).is_err());
    }
    let postgres = || PostgresLedger::from_url("postgres://localhost").unwrap();
    let redis = || RedisLedger::from_url("redis://localhost").unwrap();
    for namespace in ["a b", "\"", "a-b", "A", "123456789012345678901"] {
        assert!(postgres().namespace(namespace).open().is_err(), "{namespace}");
    }
    for namespace in ["", "{a", "a}"] {
        assert!(redis().namespace(namespace).open().is_err(), "{namespace}");
    }
    assert!(!format!("{:?}", RedisLedger::from_url("redis://:secret@localhost").unwrap()).contains("secret"));
}
