use http::HeaderName;

use crate::{Metadata, TagSources, metadata::Limits};

use super::super::{
    access::{Access, TrustedHeader},
    problem::Problems,
    quote::quoted,
    snapshot::{CheckedAccess, CheckedHeader, KeyHeader},
};

/// Checks the headers that identify callers.
pub(super) fn check(access: Access, problems: &mut Problems) -> CheckedAccess {
    let key_headers = check_key_headers(&access.key_headers, problems);
    CheckedAccess {
        unknown_keys: access.unknown_keys,
        errors: access.errors,
        trusted_headers: check_trusted_headers(access.trusted_headers, &key_headers, problems),
        key_headers,
    }
}

fn check_key_headers(names: &[String], problems: &mut Problems) -> Vec<KeyHeader> {
    let mut headers: Vec<KeyHeader> = Vec::new();
    for (at, text) in names.iter().enumerate() {
        let at = at.to_string();
        let path = ["access", "key_headers", &at];
        match text.trim().parse::<HeaderName>() {
            Ok(name) if headers.iter().any(|header| header.name == name) => {
                problems.add(&path, format!("{} is listed twice", quoted(text)));
            }
            Ok(name) if has_another_meaning(name.as_str()) => {
                problems.add(&path, format!("{} has another meaning, and would show keys", quoted(text)));
            }
            Ok(name) => headers.push(KeyHeader::new(name)),
            Err(_) => problems.add(&path, format!("invalid header name {}", quoted(text))),
        }
    }
    headers
}

/// Returns `true` for headers that are read as tags or trace ids, or that describe the message.
fn has_another_meaning(name: &str) -> bool {
    let is_of_gateway = ["x-portkey-", "x-majordomo-"].iter().any(|prefix| name.starts_with(prefix));
    let is_for_keys = ["x-portkey-api-key", "x-majordomo-key"].contains(&name);
    (is_of_gateway && !is_for_keys)
        || ["baggage", "content-length", "content-type", "host", "traceparent", "tracestate", "transfer-encoding"]
            .contains(&name)
}

fn check_trusted_headers(
    headers: Vec<TrustedHeader>,
    key_headers: &[KeyHeader],
    problems: &mut Problems,
) -> Vec<CheckedHeader> {
    let mut checked: Vec<CheckedHeader> = Vec::new();
    for TrustedHeader { header, key, scope } in headers {
        let path = ["access", "trusted_headers", &header];
        let name = match header.parse::<HeaderName>() {
            Ok(name) if checked.iter().any(|other| other.name == name) => {
                problems.add(&path, format!("{} is defined twice", quoted(&header)));
                continue;
            }
            // Secrets are not tags.
            Ok(name)
                if key_headers.iter().any(|header| header.name == name)
                    || TagSources::new().allow_list(name.as_str()).check().is_err() =>
            {
                let message = format!("the header {} is for credentials, which cannot be tags", quoted(&header));
                problems.add(&path, message);
                continue;
            }
            Ok(name) => name,
            Err(_) => {
                problems.add(&path, format!("invalid header name {}", quoted(&header)));
                continue;
            }
        };
        if !scope.is_trusted() {
            let message = "expected a trusted scope: \"fallback\", \"api_key\", \"workspace\", or \"forced\"";
            problems.add(&[&path[..], &["scope"]].concat(), message);
        }
        if Limits::default().check(&Metadata::from([(key.as_str(), "")])).is_err() {
            problems.add(&[&path[..], &["key"]].concat(), "expected the key of a tag: 1 to 128 characters");
        }
        checked.push(CheckedHeader { name, key, scope });
    }
    checked
}
