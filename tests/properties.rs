//! Properties of merges, limits, and the parsers of headers and bodies that hold for every input.

mod common;

use std::{collections::BTreeMap, convert::Infallible};

use axum::body::Body;
use common::Recorder;
use futures_util::FutureExt;
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};
use tower_tagging::{
    Event, Metadata, MetadataLayer, TaggingLayer,
    metadata::{Limits, Overflow, Precedence, Scope, Scopes},
    sources::TagSources,
};

type Tags = BTreeMap<String, String>;

fn tags() -> impl Strategy<Value = Tags> {
    prop::collection::btree_map("[a-e]{1,2}", "[a-z]{0,3}", 0..8)
}

fn as_map(metadata: &Metadata) -> Tags {
    metadata.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn as_metadata(tags: &Tags) -> Metadata {
    tags.iter().collect()
}

/// Sends one request with these headers and body chunks, and returns its event.
fn event(
    sources: TagSources,
    limits: Limits,
    headers: &[(&'static str, Vec<u8>)],
    body: Option<Vec<Vec<u8>>>,
) -> std::sync::Arc<Event> {
    let recorder = Recorder::new();
    let metadata = MetadataLayer::builder().sources(sources).limits(limits);
    let layer = TaggingLayer::builder().metadata(metadata).sink(recorder.clone()).build().unwrap();
    let service = layer.layer(service_fn(async |request: Request<_>| {
        let body: tower_tagging::tagging::RequestBody<Body> = request.into_body();
        body.collect().await.unwrap();
        Ok::<_, Infallible>(Response::new(String::new()))
    }));
    let body = body.map_or_else(Body::empty, |chunks| {
        Body::from_stream(futures_util::stream::iter(chunks.into_iter().map(Ok::<_, Infallible>)))
    });
    let mut request = Request::post("/").header("content-type", "application/json").body(body).unwrap();
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            request.headers_mut().append(*name, value);
        }
    }
    service.oneshot(request).now_or_never().unwrap().unwrap();
    recorder.single()
}

#[derive(Debug, Clone)]
enum Change {
    Insert(String, String),
    Remove(String),
    Snapshot,
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// A `Metadata` behaves like a sorted map, and a clone does not change.
    #[test]
    fn metadata_behaves_like_a_map(changes in vec(prop_oneof![
        ("[a-d]{0,2}", ".{0,8}").prop_map(|(key, value)| Change::Insert(key, value)),
        "[a-d]{0,2}".prop_map(Change::Remove),
        Just(Change::Snapshot),
    ], 0..40)) {
        let (mut metadata, mut model) = (Metadata::new(), Tags::new());
        let mut snapshots = Vec::new();
        for change in changes {
            match change {
                Change::Insert(key, value) => {
                    metadata.insert(&key, &value);
                    model.insert(key, value);
                }
                Change::Remove(key) => prop_assert_eq!(metadata.remove(&key), model.remove(&key)),
                Change::Snapshot => snapshots.push((metadata.clone(), model.clone())),
            }
            prop_assert_eq!(metadata.len(), model.len());
        }
        snapshots.push((metadata, model));
        for (metadata, model) in snapshots {
            prop_assert!(metadata.iter().eq(model.iter().map(|(key, value)| (key.as_str(), value.as_str()))));
            for (key, value) in &model {
                prop_assert_eq!(metadata.get(key), Some(value.as_str()));
            }
            prop_assert_eq!(metadata.text_bytes(), model.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>());
            let json = serde_json::to_string(&metadata).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Metadata>(&json).unwrap(), &metadata);
        }
    }

    /// Each key has the value of the strongest scope that sets it, regardless of the order in which the scopes were
    /// filled.
    #[test]
    fn merge_takes_the_strongest_scope(
        maps in vec(tags(), Scope::ALL.len()),
        order in Just((0..Scope::ALL.len()).collect::<Vec<_>>()).prop_shuffle(),
        legacy: bool,
    ) {
        let precedence = if legacy { Precedence::Legacy } else { Precedence::Strict };
        let mut scopes = Scopes::new();
        for at in order {
            scopes.add(Scope::ALL[at], as_metadata(&maps[at]));
        }
        let (effective, sources) = scopes.merge(precedence);
        let mut expected: BTreeMap<&str, (&str, Scope)> = BTreeMap::new();
        for scope in precedence.strongest_first() {
            let at = Scope::ALL.iter().position(|other| other == scope).unwrap();
            for (key, value) in &maps[at] {
                expected.entry(key).or_insert((value, *scope));
            }
        }
        let actual: BTreeMap<&str, (&str, Scope)> =
            effective.iter().zip(sources).map(|((key, value), scope)| (key, (value, scope))).collect();
        prop_assert_eq!(actual, expected);
    }

    /// Adding tags to a scope is associative and idempotent, and the last value of a key wins.
    #[test]
    fn adding_to_a_scope_is_associative(a in tags(), b in tags(), c in tags()) {
        let scope = |maps: &[&Tags]| {
            let mut scopes = Scopes::new();
            for tags in maps {
                scopes.add(Scope::Workspace, as_metadata(tags));
            }
            scopes
        };
        let (mut left, mut right) = (scope(&[&a, &b]), scope(&[&a]));
        left.add_all(&scope(&[&c]));
        right.add_all(&scope(&[&b, &c]));
        prop_assert_eq!(&left, &right);
        let mut model = a;
        model.extend(b);
        model.extend(c.clone());
        prop_assert_eq!(as_map(left.get(Scope::Workspace)), model);
        left.add_all(&scope(&[&c]));
        prop_assert_eq!(left, right);
    }

    /// No input exceeds a limit or causes a panic, and every change is recorded.
    #[test]
    fn limits_hold(
        // Headers cannot contain DEL, and JSON does not escape it.
        members in prop::collection::hash_map("[^\u{7f}]{0,12}", "[^\u{7f}]{0,12}", 0..12),
        value_chars in 0_usize..8,
        key_chars in 1_usize..8,
        total_bytes in 0_usize..80,
        count in 0_usize..6,
        drop: bool,
    ) {
        let overflow = if drop { Overflow::Drop } else { Overflow::Truncate };
        let limits = Limits::default()
            .value_chars(value_chars)
            .key_chars(key_chars)
            .total_bytes(total_bytes)
            .tags(count)
            .overflow(overflow);
        let header = json!(members).to_string().into_bytes();
        let event = event(TagSources::portkey(), limits, &[("x-portkey-metadata", header)], None);
        let actual = as_map(event.metadata());
        prop_assert!(actual.len() <= count);
        prop_assert!(event.metadata().text_bytes() <= total_bytes);
        for (key, value) in &actual {
            prop_assert!(!key.is_empty() && key.chars().count() <= key_chars && value.chars().count() <= value_chars);
            prop_assert!(!key.contains(char::is_control) && !value.contains(char::is_control));
            let plain = |text: &str| text.replace(char::is_control, "");
            let is_prefix = members.iter().any(|(k, v)| plain(k).starts_with(key.as_str()) && plain(v).starts_with(value.as_str()));
            prop_assert!(is_prefix, "{key:?}: {value:?} is not a prefix of any tag that was sent");
        }
        let unchanged = members.iter().all(|(key, value)| actual.get(key) == Some(value));
        prop_assert_eq!(event.diagnostics().is_empty(), unchanged);
        prop_assert!(limits.check(event.metadata()).is_ok());
    }

    /// No bytes in any header cause a panic.
    #[test]
    fn any_header_bytes_are_accepted(values in vec(vec(any::<u8>(), 0..40), 6)) {
        let names = ["x-portkey-metadata", "x-majordomo-any", "baggage", "traceparent", "x-portkey-trace-id", "x-majordomo-span-path"];
        let headers: Vec<_> = names.into_iter().zip(values).collect();
        event(TagSources::all(), Limits::default(), &headers, None);
    }

    /// In a JSON object, strings are used as they are, numbers and booleans become text, and nulls are ignored.
    #[test]
    fn json_values_become_text(members in prop::collection::btree_map("[a-z]{1,4}", prop_oneof![
        "[^\\p{C}]{0,20}".prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
        vec(any::<i32>(), 0..4).prop_map(Value::from),
    ], 0..8)) {
        let header = json!(members).to_string().into_bytes();
        let event = event(TagSources::portkey(), Limits::default(), &[("x-portkey-metadata", header)], None);
        let expected: Tags = members
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key, value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
            .collect();
        prop_assert_eq!(as_map(event.metadata()), expected);
    }

    /// Percent-encoded baggage is decoded, with any white space and properties around it.
    #[test]
    fn baggage_is_decoded(tags in prop::collection::btree_map("[a-z0-9_.-]{1,6}", "[^\\p{C}]{0,12}", 0..6), spaces in "[ \t]{0,2}") {
        let members: Vec<String> = tags
            .iter()
            .map(|(key, value)| format!("{spaces}{key}{spaces}={spaces}{}{spaces};p=1;q", utf8_percent_encode(value, NON_ALPHANUMERIC)))
            .collect();
        let event = event(TagSources::new().baggage(true), Limits::default(), &[("baggage", members.join(",").into_bytes())], None);
        prop_assert_eq!(as_map(event.metadata()), tags);
    }

    /// `user` is found in any JSON object, regardless of how it is split into chunks.
    #[test]
    fn user_is_found_in_any_body(
        mut body in prop::collection::btree_map("[a-z\"\\\\]{0,6}", json_value(), 0..6),
        user in prop::option::of("[^\\p{C}]{0,20}"),
        cuts in vec(1_usize..9, 1..40),
    ) {
        body.remove("user");
        if let Some(user) = &user {
            body.insert("user".to_owned(), json!(user));
        }
        let text = serde_json::to_vec_pretty(&body).unwrap();
        let mut rest = text.as_slice();
        let mut chunks = Vec::new();
        for cut in cuts.iter().cycle() {
            let (chunk, after) = rest.split_at((*cut).min(rest.len()));
            chunks.push(chunk.to_vec());
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        let event = event(TagSources::new().body_user(true), Limits::default(), &[], Some(chunks));
        prop_assert_eq!(event.metadata().get("_user"), user.as_deref());
        prop_assert_eq!(event.request_body_bytes(), Some(text.len() as u64));
    }

    /// Any body is passed on and counted.
    #[test]
    fn any_body_is_counted(chunks in vec(vec(prop_oneof![any::<u8>(), prop::sample::select(b"{}[]\":,\\ user".to_vec())], 0..20), 1..8)) {
        let bytes: usize = chunks.iter().map(Vec::len).sum();
        let event = event(TagSources::new(), Limits::default(), &[], Some(chunks));
        prop_assert_eq!(event.request_body_bytes(), Some(bytes as u64));
    }

    /// A `traceparent` is continued if and only if it follows the grammar.
    #[test]
    fn valid_traceparents_are_continued(text in "(00|01|cc|ff|0)-(0{32}|[0-9a-fA-F]{31,33})-(0{16}|[0-9a-f]{15,17})-[0-9a-f]{1,3}(-[a-z]{0,3})?") {
        let parts: Vec<&str> = text.split('-').collect();
        let is_hex = |text: &str, digits: usize| text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let is_valid = is_hex(parts[0], 2)
            && parts[0] != "ff"
            && is_hex(parts[1], 32)
            && parts[1] != "0".repeat(32)
            && is_hex(parts[2], 16)
            && parts[2] != "0".repeat(16)
            && is_hex(parts[3], 2)
            && (parts.len() == 4 || parts[0] != "00");
        let event = event(TagSources::new(), Limits::default(), &[("traceparent", text.clone().into_bytes())], None);
        prop_assert_eq!(event.trace().trace_id().as_str() == parts[1], is_valid);
        prop_assert_eq!(event.diagnostics().is_empty(), is_valid);
    }
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        any::<i32>().prop_map(Value::from)
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("user|[a-z]{0,3}", inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}
