use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use crate::tagging::Rejection;

use super::{
    super::access::ErrorStyle,
    refusal::{BrokenRule, Refusal},
};

/// The page that describes the answers.
const DOCUMENTATION: &str = "https://docs.rs/tower-tagging/latest/tower_tagging/registry/index.html#answers";

/// Creates the answer to a refused request.
pub(crate) fn answer(refusal: &Refusal, style: ErrorStyle) -> Rejection {
    let rejection = match style {
        ErrorStyle::Problem => problem(refusal),
        ErrorStyle::Portkey => portkey(refusal),
    };
    if rejection.status() == StatusCode::UNAUTHORIZED {
        // RFC 9110, section 15.5.2, requires a challenge.
        return rejection.with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    rejection
}

/// Problem details, RFC 9457.
fn problem(refusal: &Refusal) -> Rejection {
    let status = refusal.status();
    let mut body = json!({
        "type": DOCUMENTATION,
        "title": title(refusal),
        "status": status.as_u16(),
        "detail": refusal.detail(),
        "code": refusal.reason(),
    });
    if let Refusal::Contract(rules) = refusal
        && let Some(members) = body.as_object_mut()
    {
        members.insert("violations".to_owned(), violations(rules));
    }
    Rejection::new(status, refusal.reason()).with_body("application/problem+json", body.to_string())
}

fn title(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::UnknownKey => "Unknown API key",
        Refusal::ExpiredKey => "Expired API key",
        Refusal::DisabledKey => "Disabled API key",
        Refusal::InvalidToken(_) => "Invalid token",
        Refusal::Claim(_) => "Tag not allowed",
        Refusal::Contract(_) => "Required tags are missing or invalid",
        Refusal::Tag(..) => "Invalid tags",
        Refusal::UnknownVirtualKey(_) => "Unknown virtual key",
        Refusal::ForbiddenVirtualKey(_) => "Virtual key not allowed",
        Refusal::ExpiredVirtualKey(_) => "Expired virtual key",
        Refusal::ExhaustedVirtualKey(_) => "Exhausted virtual key",
    }
}

fn violations(rules: &[BrokenRule]) -> Value {
    let violation = |rule: &BrokenRule| {
        let problem = if rule.is_missing { "missing" } else { "invalid" };
        json!({"key": rule.key, "problem": problem, "expected": rule.expected})
    };
    rules.iter().map(violation).collect()
}

/// The statuses and shapes of Portkey's gateway, with our own texts.
fn portkey(refusal: &Refusal) -> Rejection {
    let detail = refusal.detail();
    let coded = |code: &str| {
        let message = format!("{detail}. Error Code: {code}");
        json!({"status": "failure", "message": message, "error": {"message": message, "code": code}})
    };
    let typed = |kind: &str, code: Option<&str>| json!({"error": {"message": detail, "type": kind, "param": null, "code": code}});
    let (status, body) = match refusal {
        Refusal::UnknownKey | Refusal::DisabledKey | Refusal::InvalidToken(_) => (401, coded("03")),
        Refusal::ExpiredKey => (401, coded("01")),
        Refusal::Claim(_) | Refusal::ForbiddenVirtualKey(_) => (403, coded("033")),
        Refusal::UnknownVirtualKey(_) | Refusal::Tag(..) => (400, json!({"status": "failure", "message": detail})),
        Refusal::ExpiredVirtualKey(_) => (401, typed("virtual_key_expired_error", Some("01"))),
        Refusal::ExhaustedVirtualKey(_) => (412, typed("virtual_key_exhaust_error", Some("04"))),
        Refusal::Contract(rules) => {
            let mut body = typed("hooks_failed", None);
            if let Some(members) = body.as_object_mut() {
                let check = json!({"id": "metadata", "verdict": false, "data": {"violations": violations(rules)}});
                let hook = json!({"id": "contract", "type": "guardrail", "verdict": false, "checks": [check]});
                let results = json!({"before_request_hooks": [hook], "after_request_hooks": []});
                members.insert("hook_results".to_owned(), results);
            }
            (446, body)
        }
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    Rejection::new(status, refusal.reason()).with_body("application/json", body.to_string())
}
