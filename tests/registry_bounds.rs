//! Limits on the cost of the rules of the registry: ordinary tags do not allocate.

use tower_tagging::{
    Metadata,
    registry::{Claims, Contract, ContractMode, KeyStyle, Names, Otherwise, Screening, ScreeningAction, ScreeningKind},
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
