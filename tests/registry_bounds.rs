//! Limits on the cost of the rules of the registry: ordinary tags do not allocate, and unknown keys take no memory.

mod common;
#[path = "registry/governed.rs"]
#[allow(dead_code, reason = "each test uses its part")]
mod governed;

use axum::{Router, routing::post};
use common::memory;
use governed::{Governed, handler, key};
use tower_tagging::{
    Metadata, TagSources, TaggingLayer,
    registry::{
        ApiKey, Claims, Contract, ContractMode, KeyCounters, KeyStyle, Names, Otherwise, Registry, RegistryLayer,
        Screening, ScreeningAction, ScreeningKind, UnknownKeys,
    },
    sink,
};

/// The tags of an ordinary request.
const TAGS: [(&str, &str); 5] = [
    ("_user", "usr_4f9a1c"),
    ("environment", "production"),
    ("feature", "invoice-summary"),
    ("session_id", "0190c8a2-7f3e-7c1d-9b2a-3f4e5d6c7b8a"),
    ("team", "growth"),
];

/// Returns the number of allocations of a function, after a warm-up.
fn allocations(run: impl Fn()) -> u64 {
    for _ in 0..3 {
        run();
    }
    allocation_counter::measure(run).count_total
}

fn screening() -> Screening {
    let kinds = ScreeningKind::ALL.iter().filter(|kind| **kind != ScreeningKind::HighEntropy);
    let builder = kinds.fold(Screening::builder(), |builder, kind| builder.kind(*kind, ScreeningAction::Mask));
    builder.tag("secret_note", ScreeningAction::Drop).build().unwrap()
}

#[test]
fn names_of_ordinary_keys_do_not_allocate() {
    let aliases = ["user_id", "userId", "x-user-id", "user-id"];
    for style in KeyStyle::ALL {
        let builder =
            aliases.iter().fold(Names::builder().style(*style), |builder, alias| builder.alias(*alias, "_user"));
        let names = builder.build().unwrap();
        assert_eq!(allocations(|| TAGS.iter().for_each(|(key, _)| assert_eq!(names.apply(key), *key))), 0);
        // An alias allocates its key.
        assert_eq!(allocations(|| assert_eq!(names.apply("user_id"), "_user")), 1);
    }
    assert_eq!(allocations(|| assert_eq!(Names::typo("enviroment", TAGS.map(|(key, _)| key)), Some("environment"))), 0);
}

#[test]
fn claims_do_not_allocate() {
    let allow = ["_user", "feature", "environment=prod*", "session*", "te?m=g*"];
    let claims = Claims::new(allow, Otherwise::Drop).unwrap();
    assert_eq!(allocations(|| assert!(TAGS.iter().all(|(key, value)| claims.allows(key, value)))), 0);
    assert_eq!(allocations(|| assert!(!claims.allows("tenant", "acme"))), 0);
}

#[test]
fn screening_of_ordinary_tags_does_not_allocate() {
    let screening = screening();
    let error =
        "upstream error 503 at 2026-11-30 10:15:00: connection to 10.0.0.12:8080 refused, retry in 30 s ".repeat(10);
    assert_eq!(
        allocations(|| {
            for (key, value) in TAGS {
                assert_eq!(screening.screen_tag(key, value).0.as_deref(), Some(value));
                assert_eq!(screening.screen(key), key);
            }
            assert_eq!(screening.screen(&error), error);
        }),
        0
    );
}

#[test]
fn contracts_of_ordinary_tags_do_not_allocate() {
    let schema = serde_json::json!({
        "type": "object",
        "additionalProperties": true,
        "required": ["_user", "environment", "team"],
        "properties": {
            "_user": { "type": "string", "minLength": 1, "maxLength": 64 },
            "environment": { "type": "string", "enum": ["production", "staging", "development"] },
            "feature": { "type": "string", "pattern": "^[a-z][a-z0-9-]*$" },
            "session_id": { "type": "string", "pattern": "^[0-9a-f]{8}-[0-9a-f-]{27}$" },
            "team": { "type": "string", "pattern": "^(growth|search)$" },
        },
    });
    let contract = Contract::new(ContractMode::Reject, &schema).unwrap();
    let metadata: Metadata = TAGS.into_iter().collect();
    assert_eq!(allocations(|| assert!(contract.violations(&metadata).is_empty())), 0);
}

/// What a registry remembers does not depend on the keys that clients invent.
#[tokio::test]
async fn unknown_keys_leave_nothing_behind() {
    const REQUESTS: usize = 10_000;
    for unknown_keys in [UnknownKeys::Anonymous, UnknownKeys::Reject] {
        let registry = Registry::builder().unknown_keys(unknown_keys).api_key(key("web")).build().unwrap();
        let tagging = TaggingLayer::builder().sources(TagSources::portkey()).sink(sink::from_fn(|_| {}));
        let layer = RegistryLayer::new(registry.clone(), tagging.build().unwrap());
        let app = Router::new().route("/", post(handler)).layer(layer);
        let governed = Governed { recorder: common::Recorder::new(), registry, app };
        let run = async |from: usize, to: usize| {
            for number in from..to {
                let unknown = ApiKey::generate("gw").unwrap();
                let (user, slug) = (format!(r#"{{"_user":"u{number}"}}"#), format!("slug-{number}"));
                let headers = [
                    ("authorization", unknown.expose()),
                    ("x-portkey-metadata", user.as_str()),
                    ("x-portkey-virtual-key", slug.as_str()),
                ];
                governed.send(&headers, "").await;
            }
        };
        // Buffers that are kept for the next request are filled first.
        run(0, 200).await;
        let before = memory();
        run(200, REQUESTS).await;
        let grown = memory().saturating_sub(before);
        // A hundred bytes per key would be a megabyte.
        assert!(grown < 1_000_000, "{grown} bytes more after {REQUESTS} unknown keys");
        let report = governed.registry.report();
        let counted = |counters: KeyCounters| (counters.requests, counters.rejected);
        let rejected = if unknown_keys == UnknownKeys::Reject { REQUESTS as u64 } else { 0 };
        assert_eq!(counted(report.anonymous), (REQUESTS as u64, rejected));
        assert_eq!((report.keys.len(), report.workspaces.len()), (1, 0));
    }
}
