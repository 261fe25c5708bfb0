//! The feature `schema`.

use tower_tagging::{
    registry::{Contract, ContractMode, Registry, TagPolicy, ViolationKind},
    tags,
};

#[test]
fn a_contract_names_each_violation() {
    let schema = serde_json::json!({
        "type": "object", "additionalProperties": true, "required": ["_user"],
        "properties": {"environment": {"type": "string", "enum": ["production", "development"]}}
    });
    let contract = Contract::new(ContractMode::Reject, &schema).unwrap();
    let violations = contract.violations(&tags! { "environment" => "test" });
    let found: Vec<_> = violations.iter().map(|violation| (violation.key.as_str(), violation.kind)).collect();
    assert_eq!(found, [("_user", ViolationKind::Missing), ("environment", ViolationKind::NotAllowed)]);
}

#[test]
fn a_policy_is_a_contract_of_a_registry() {
    let policy = TagPolicy::new().required("_user").one_of("environment", ["production"]);
    let registry = Registry::builder().policy(policy, ContractMode::Report).build().unwrap();
    let coverage = registry.coverage();
    assert_eq!(coverage.iter().map(|tag| tag.key.as_str()).collect::<Vec<_>>(), ["_user", "environment"]);
    let broken = TagPolicy::new().one_of("environment", ["production"]).default_value("environment", "test");
    assert!(Registry::builder().policy(broken, ContractMode::Report).build().is_err());
}
