//! Contracts: the supported part of JSON Schema draft-07 behaves as the validator of the `jsonschema` crate does, and
//! everything else is refused with its location.
//!
//! <https://json-schema.org/draft-07/json-schema-validation>

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tower_tagging::{
    Metadata,
    registry::{Contract, ContractMode, Violation, ViolationKind},
    tags,
};

fn contract(schema: &Value) -> Contract {
    Contract::new(ContractMode::Reject, schema).unwrap_or_else(|errors| panic!("{errors:?} in {schema}"))
}

/// Returns a schema with these properties.
fn schema(properties: &Value) -> Value {
    json!({ "type": "object", "additionalProperties": true, "properties": properties })
}

fn kinds(violations: &[Violation]) -> Vec<(&str, ViolationKind)> {
    violations.iter().map(|violation| (violation.key.as_str(), violation.kind)).collect()
}

/// Returns the result of the validator of the `jsonschema` crate for the whole schema.
fn is_valid(schema: &Value, metadata: &Metadata) -> bool {
    let validator = jsonschema::draft7::options().offline().build(schema).unwrap();
    validator.is_valid(&serde_json::to_value(metadata).unwrap())
}

#[test]
fn every_keyword_behaves_as_draft_07_specifies() {
    use ViolationKind::{NotAllowed, Pattern, TooLong, TooShort};
    let table: &[(Value, &str, &[ViolationKind])] = &[
        (json!({}), "anything", &[]),
        (json!({ "enum": ["a", "b"] }), "b", &[]),
        (json!({ "enum": ["a", "b"] }), "c", &[NotAllowed]),
        (json!({ "enum": ["a", "b"] }), "A", &[NotAllowed]),
        (json!({ "enum": ["a", "a"] }), "a", &[]),
        (json!({ "enum": ["é"] }), "e\u{301}", &[NotAllowed]),
        (json!({ "enum": [""] }), "", &[]),
        // Patterns are not anchored.
        (json!({ "pattern": "b" }), "abc", &[]),
        (json!({ "pattern": "^b" }), "abc", &[Pattern]),
        (json!({ "pattern": "^a.c$" }), "abc", &[]),
        (json!({ "pattern": "^(a|b)$" }), "b", &[]),
        (json!({ "pattern": "^(a|b)$" }), "ab", &[Pattern]),
        (json!({ "pattern": "" }), "", &[]),
        (json!({ "pattern": "^\\d+$" }), "12", &[]),
        // In ECMA-262, `\d` matches only ASCII digits.
        (json!({ "pattern": "^\\d+$" }), "\u{0661}", &[Pattern]),
        (json!({ "pattern": "^\\w+$" }), "é", &[Pattern]),
        (json!({ "pattern": "^\\S+$" }), "a b", &[Pattern]),
        (json!({ "pattern": "^\\p{Lu}" }), "Éa", &[]),
        (json!({ "pattern": "^(?!test)" }), "test-user", &[Pattern]),
        (json!({ "pattern": "^(?=.*\\d)[a-z0-9]+$" }), "a1", &[]),
        (json!({ "pattern": "^(a)\\1$" }), "aa", &[]),
        (json!({ "pattern": "^[a-z0-9-]{1,63}$" }), "team-1", &[]),
        // Lengths count code points, not bytes or UTF-16 units.
        (json!({ "minLength": 2 }), "é", &[TooShort]),
        (json!({ "minLength": 2 }), "\u{1f600}", &[TooShort]),
        (json!({ "minLength": 2 }), "e\u{301}", &[]),
        (json!({ "maxLength": 1 }), "\u{1f600}", &[]),
        (json!({ "maxLength": 1 }), "ab", &[TooLong]),
        (json!({ "maxLength": 0 }), "", &[]),
        (json!({ "minLength": 0 }), "", &[]),
        (json!({ "minLength": 2.0, "maxLength": 2.0 }), "ab", &[]),
        (json!({ "maxLength": 1e30 }), "ab", &[]),
        (json!({ "enum": ["abc"], "pattern": "b$", "maxLength": 2 }), "abd", &[NotAllowed, Pattern, TooLong]),
        (json!({ "default": "x" }), "y", &[]),
    ];
    for (keywords, value, expected) in table {
        let mut property = keywords.clone();
        property["type"] = json!("string");
        let schema = schema(&json!({ "key": property }));
        let metadata = tags! { "key" => *value };
        let violations = contract(&schema).violations(&metadata);
        let found: Vec<_> = violations.iter().map(|violation| violation.kind).collect();
        assert_eq!(found, *expected, "{keywords} {value:?}");
        assert_eq!(expected.is_empty(), is_valid(&schema, &metadata), "{keywords} {value:?}");
        assert!(!violations.iter().any(|violation| violation.to_string().contains(&format!("\"{value}\""))));
    }
}

#[test]
fn required_keys_must_be_present_and_may_be_empty() {
    let schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "additionalProperties": true,
        "required": ["team", "_user"],
        "properties": { "team": { "type": "string", "minLength": 1 }, "env": { "type": "string" } },
    });
    let contract = contract(&schema);
    assert!(contract.keys().eq(["_user", "env", "team"]));
    assert!(contract.required_keys().eq(["_user", "team"]));
    for metadata in [tags! {}, tags! { "_user" => "" }, tags! { "_user" => "", "team" => "" }, tags! { "team" => "a" }]
    {
        let violations = contract.violations(&metadata);
        assert_eq!(violations.is_empty(), is_valid(&schema, &metadata));
        assert!(!violations.is_empty(), "{metadata:?}");
    }
    assert_eq!(
        kinds(&contract.violations(&tags! {})),
        [("_user", ViolationKind::Missing), ("team", ViolationKind::Missing)]
    );
    let other = tags! { "_user" => "", "team" => "a", "other" => "x" };
    assert!(contract.violations(&other).is_empty() && is_valid(&schema, &other));
    assert_eq!(kinds(&contract.violations_of_present(&tags! { "team" => "" })), [("team", ViolationKind::TooShort)]);
    assert!(contract.violations_of_present(&tags! {}).is_empty());
}

#[test]
fn rules_are_described_without_the_value() {
    let contract = contract(&json!({
        "type": "object",
        "additionalProperties": true,
        "required": ["missing"],
        "properties": {
            "one": { "type": "string", "enum": ["a"] },
            "few": { "type": "string", "enum": ["a", "b"] },
            "many": { "type": "string", "enum": (0..25).map(|n| n.to_string()).collect::<Vec<_>>() },
            "pattern": { "type": "string", "pattern": "^a+$" },
            "short": { "type": "string", "minLength": 50 },
            "long": { "type": "string", "maxLength": 1 },
        },
    }));
    let value = "s3cret-value";
    let metadata: Metadata =
        ["one", "few", "many", "pattern", "short", "long"].map(|key| (key, value)).into_iter().collect();
    let text: Vec<_> = contract.violations(&metadata).iter().map(ToString::to_string).collect();
    let many = (0..20).map(|n| format!("\"{n}\"")).collect::<Vec<_>>().join(", ");
    assert_eq!(
        text,
        [
            "few: expected one of \"a\", \"b\"".to_owned(),
            "long: expected at most 1 character".to_owned(),
            format!("many: expected one of {many}, and 5 more"),
            "missing: expected a tag with this key".to_owned(),
            "one: expected \"a\"".to_owned(),
            "pattern: expected text that matches the pattern ^a+$".to_owned(),
            "short: expected at least 50 characters".to_owned(),
        ]
    );
}

#[test]
fn defaults_are_tags_and_do_not_count_as_present() {
    let schema = json!({
        "type": "object",
        "additionalProperties": true,
        "required": ["env"],
        "properties": { "env": { "type": "string", "enum": ["dev", "prod"], "default": "dev" } },
    });
    let contract = contract(&schema);
    assert_eq!(*contract.defaults(), tags! { "env" => "dev" });
    assert_eq!(contract.violations(&tags! {}).len(), 1);
    assert!(contract.violations(contract.defaults()).is_empty());
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn refuses_everything_else_with_its_location() {
    let with = |keyword: &str, value: Value| {
        let mut schema = schema(&json!({}));
        schema[keyword] = value;
        schema
    };
    let property = |keywords: Value| {
        let mut property = keywords;
        property["type"] = json!("string");
        schema(&json!({ "a/b~c": property }))
    };
    let at = |keyword: &str| format!("/properties/a~1b~0c/{keyword}");
    let mut table = vec![
        (json!(true), vec![String::new()]),
        (json!([]), vec![String::new()]),
        (json!({}), vec![String::new(), String::new()]),
        (json!({ "type": "object" }), vec![String::new()]),
        (json!({ "additionalProperties": true }), vec![String::new()]),
        (with("type", json!("array")), vec!["/type".into()]),
        (with("type", json!(["object"])), vec!["/type".into()]),
        (with("additionalProperties", json!(false)), vec!["/additionalProperties".into()]),
        (with("additionalProperties", json!({})), vec!["/additionalProperties".into()]),
        (with("properties", json!([])), vec!["/properties".into()]),
        (with("required", json!("a")), vec!["/required".into()]),
        (with("required", json!(["a", 1, "a"])), vec!["/required/1".into(), "/required/2".into()]),
        (with("$schema", json!("https://json-schema.org/draft/2020-12/schema")), vec!["/$schema".into()]),
        (with("$schema", json!(7)), vec!["/$schema".into()]),
        (schema(&json!({ "a": true })), vec!["/properties/a".into()]),
        (schema(&json!({ "a": {} })), vec!["/properties/a".into()]),
        (schema(&json!({ "a": { "type": "integer" } })), vec!["/properties/a/type".into()]),
        (schema(&json!({ "a": { "type": ["string", "null"] } })), vec!["/properties/a/type".into()]),
        (
            schema(&json!({ "a": { "type": "object", "properties": {} } })),
            vec!["/properties/a/type".into(), "/properties/a/properties".into()],
        ),
        (
            schema(&json!({ "a": { "$ref": "#/properties/b" } })),
            vec!["/properties/a".into(), "/properties/a/$ref".into()],
        ),
        (property(json!({ "enum": "a" })), vec![at("enum")]),
        (property(json!({ "enum": [] })), vec![at("enum")]),
        (property(json!({ "enum": ["a", 1, null] })), vec![at("enum/1"), at("enum/2")]),
        (property(json!({ "default": 1 })), vec![at("default")]),
        (property(json!({ "default": "x", "enum": ["a"] })), vec![at("default")]),
        (property(json!({ "default": "x", "pattern": "^a", "minLength": 2 })), vec![at("default"), at("default")]),
        (property(json!({ "pattern": 1 })), vec![at("pattern")]),
        (property(json!({ "pattern": "(" })), vec![at("pattern")]),
        (property(json!({ "pattern": "[z-a]" })), vec![at("pattern")]),
        (property(json!({ "minLength": -1 })), vec![at("minLength")]),
        (property(json!({ "minLength": 1.5 })), vec![at("minLength")]),
        (property(json!({ "minLength": "1" })), vec![at("minLength")]),
        (property(json!({ "maxLength": null })), vec![at("maxLength")]),
        (property(json!({ "minLength": 3, "maxLength": 2 })), vec![at("minLength")]),
    ];
    for keyword in [
        "$ref",
        "$id",
        "$comment",
        "title",
        "description",
        "default",
        "examples",
        "enum",
        "const",
        "definitions",
        "allOf",
        "anyOf",
        "oneOf",
        "not",
        "if",
        "then",
        "else",
        "patternProperties",
        "propertyNames",
        "dependencies",
        "minProperties",
        "maxProperties",
        "items",
        "readOnly",
        "unknown",
    ] {
        table.push((with(keyword, json!({})), vec![format!("/{keyword}")]));
    }
    for keyword in [
        "$ref",
        "$id",
        "$schema",
        "$comment",
        "title",
        "description",
        "examples",
        "const",
        "format",
        "allOf",
        "anyOf",
        "oneOf",
        "not",
        "if",
        "contentEncoding",
        "contentMediaType",
        "minimum",
        "items",
        "properties",
        "nullable",
    ] {
        table.push((property(json!({ keyword: {} })), vec![at(keyword)]));
    }
    for (schema, expected) in table {
        let errors = Contract::new(ContractMode::Report, &schema).expect_err(&schema.to_string());
        let pointers: Vec<_> = errors.iter().map(|error| error.pointer.clone()).collect();
        assert_eq!(pointers, expected, "{schema}: {errors:?}");
        for error in errors {
            assert!(schema.pointer(&error.pointer).is_some(), "{schema}: {error}");
            assert!(!error.message.is_empty() && !error.message.ends_with('.'), "{error}");
        }
    }
}

#[test]
fn remote_references_are_refused_and_never_fetched() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}/schema.json", listener.local_addr().unwrap());
    let top = json!({ "type": "object", "additionalProperties": true, "$ref": url });
    let inner = schema(&json!({ "a": { "type": "string", "$ref": url } }));
    let version = json!({ "$schema": url, "type": "object", "additionalProperties": true });
    for (schema, pointer) in [(top, "/$ref"), (inner, "/properties/a/$ref"), (version, "/$schema")] {
        let errors = Contract::new(ContractMode::Reject, &schema).unwrap_err();
        assert_eq!(errors.len(), 1);
        assert_eq!(errors[0].pointer, pointer);
        assert!(errors[0].to_string().ends_with(&format!("at \"{pointer}\"")), "{}", errors[0]);
    }
    assert!(listener.accept().is_err(), "a reference was fetched");
}

#[test]
fn the_version_may_be_named_with_and_without_a_fragment() {
    for version in ["http://json-schema.org/draft-07/schema", "http://json-schema.org/draft-07/schema#"] {
        contract(&json!({ "$schema": version, "type": "object", "additionalProperties": true }));
    }
}

#[test]
fn a_pattern_that_backtracks_is_given_up() {
    let schema = schema(&json!({ "key": { "type": "string", "pattern": "^(a|a)*(?=b)c$" } }));
    let violations = contract(&schema).violations(&tags! { "key" => "a".repeat(1000) });
    assert_eq!(kinds(&violations), [("key", ViolationKind::Pattern)]);
}

prop_compose! {
    fn keywords()(
        values in proptest::option::of(proptest::collection::vec("[ab]{0,3}", 1..4)),
        pattern in proptest::option::of(prop_oneof![
            Just("^a"), Just("b$"), Just("ab"), Just("^[ab]+$"), Just("^.{2}$"), Just("(?!b)a"), Just("^\\S*$"), Just("é|b"),
        ]),
        min in proptest::option::of(0_u64..3),
        extra in proptest::option::of(0_u64..3),
    ) -> Value {
        let mut keywords = Map::from_iter([("type".to_owned(), json!("string"))]);
        let optional = [
            ("enum", values.map(|values| json!(values))),
            ("pattern", pattern.map(|pattern| json!(pattern))),
            ("minLength", min.map(|min| json!(min))),
            ("maxLength", extra.map(|extra| json!(min.unwrap_or(0) + extra))),
        ];
        keywords.extend(optional.into_iter().filter_map(|(keyword, value)| Some((keyword.to_owned(), value?))));
        Value::Object(keywords)
    }
}

proptest! {
    #[test]
    fn agrees_with_the_validator_of_the_jsonschema_crate(
        properties in proptest::collection::btree_map("[k-n]", keywords(), 0..4),
        required in proptest::collection::btree_set("[k-o]", 0..3),
        metadata in proptest::collection::vec(
            proptest::collection::btree_map("[k-p]", "[abé ]{0,4}", 0..5), 1..8),
    ) {
        let schema = json!({
            "type": "object", "additionalProperties": true, "properties": properties, "required": required,
        });
        let contract = contract(&schema);
        for metadata in metadata {
            let metadata: Metadata = metadata.into_iter().collect();
            let violations = contract.violations(&metadata);
            prop_assert_eq!(violations.is_empty(), is_valid(&schema, &metadata), "{} {:?}", schema, metadata);
            let present = contract.violations_of_present(&metadata);
            let of_present: Vec<_> = violations.into_iter().filter(|it| it.kind != ViolationKind::Missing).collect();
            prop_assert_eq!(present, of_present);
        }
    }
}
