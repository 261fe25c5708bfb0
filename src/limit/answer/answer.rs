use std::{fmt::Write, time::SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::json;

use crate::{registry::ErrorStyle, tagging::Rejection};

use super::{
    super::rules::LimitRule,
    standing::{Quota, Standing},
};

/// The headers of draft-ietf-httpapi-ratelimit-headers-11.
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// The problem types that the same draft registers.
const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";
const REDUCED_CAPACITY: &str = "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity";
const ABOUT_BLANK: &str = "about:blank";

/// The answer to a request whose checks were asked from the ledger.
pub(in crate::limit) struct Answer {
    standings: Vec<Standing>,
    now: SystemTime,
}

impl Answer {
    pub(in crate::limit) fn new(standings: Vec<Standing>, now: SystemTime) -> Self {
        Self { standings, now }
    }

    /// Returns the positions of the rules that reject the request.
    pub(in crate::limit) fn violated(&self) -> impl Iterator<Item = usize> {
        let mut violated: Vec<usize> = self.violations().map(|standing| standing.at).collect();
        violated.dedup();
        violated.into_iter()
    }

    fn violations(&self) -> impl Iterator<Item = &Standing> {
        self.standings.iter().filter(|standing| standing.is_violated())
    }

    /// Returns the headers that report quotas of requests.
    pub(in crate::limit) fn headers(&self) -> HeaderMap {
        let (mut policies, mut limits) = (String::new(), String::new());
        for standing in &self.standings {
            let Some(quota) = standing.quota(self.now) else { continue };
            // Concurrency that a rate limits as well has its own policy.
            let suffix = if quota.unit.is_some() && !standing.is_concurrency_rule() { " concurrent" } else { "" };
            let Some(name) = structured(&format!("{}{suffix}", standing.rule.name())) else { continue };
            write_policy(&mut policies, &name, &quota, standing.partition());
            write_limit(&mut limits, &name, &quota, standing.partition());
        }
        let mut headers = HeaderMap::new();
        for (name, text) in [(RATE_LIMIT_POLICY, policies), (RATE_LIMIT, limits)] {
            if let Some(value) = HeaderValue::from_str(&text).ok().filter(|_| !text.is_empty()) {
                headers.insert(name, value);
            }
        }
        headers
    }

    /// Creates the answer to a request that exceeds a limit.
    ///
    /// It names the rule for which the client has to wait longest.
    pub(in crate::limit) fn rejection(&self, style: ErrorStyle) -> Rejection {
        let longest = self.violations().max_by_key(|standing| standing.wait(self.now));
        let Some(standing) = longest else {
            // The ledger rejects only what violates a rule that is enforced.
            return Rejection::new(StatusCode::TOO_MANY_REQUESTS, RATE);
        };
        let mut names: Vec<&str> = self.violations().map(|standing| standing.rule.name()).collect();
        names.dedup();
        let mut rejection = exceeded(&standing.rule, &names, style);
        if let Some(seconds) = standing.retry_after(self.now) {
            rejection = rejection.with_header(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        for (name, value) in self.headers() {
            if let Some(name) = name {
                rejection = rejection.with_header(name, value);
            }
        }
        rejection
    }
}

/// The largest integer of a structured field, RFC 9651, section 3.3.1.
const MAX_INTEGER: i64 = 999_999_999_999_999;

/// The reasons on the event.
const BUDGET: &str = "budget";
const RATE: &str = "rate_limit";

pub(super) fn reason(rule: &LimitRule) -> &'static str {
    if rule.is_budget() { BUDGET } else { RATE }
}

fn exceeded(rule: &LimitRule, violated: &[&str], style: ErrorStyle) -> Rejection {
    let name = rule.name();
    let detail = format!("the limit {name:?} is exceeded");
    if style == ErrorStyle::Portkey {
        return portkey(rule, &detail);
    }
    let title = "Request cannot be satisfied as assigned quota has been exceeded";
    problem(rule, rule.status, QUOTA_EXCEEDED, title, &detail, violated)
}

/// Creates the answer to a request without a property of a rule.
pub(in crate::limit) fn missing(rule: &LimitRule, style: ErrorStyle) -> Rejection {
    let detail = format!("the request lacks a tag or property that the limit {:?} needs", rule.name());
    refused(rule, StatusCode::BAD_REQUEST, &detail, style)
}

/// Creates the answer to a call of a model without a known price.
pub(in crate::limit) fn unpriced(rule: &LimitRule, style: ErrorStyle) -> Rejection {
    let detail = format!("the model has no known price, which the limit {:?} needs", rule.name());
    refused(rule, StatusCode::FORBIDDEN, &detail, style)
}

/// Creates the answer while the ledger is not available.
pub(in crate::limit) fn unavailable(rule: &LimitRule, style: ErrorStyle) -> Rejection {
    let detail = format!("the limit {:?} cannot be checked at the moment", rule.name());
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let rejection = match style {
        ErrorStyle::Portkey => portkey_body(rule, status, &detail, None),
        ErrorStyle::Problem => {
            let title = "Request cannot be satisfied due to temporary server capacity constraints";
            problem(rule, status, REDUCED_CAPACITY, title, &detail, &[rule.name()])
        }
    };
    rejection.with_header(header::RETRY_AFTER, HeaderValue::from_static("1"))
}

fn refused(rule: &LimitRule, status: StatusCode, detail: &str, style: ErrorStyle) -> Rejection {
    match style {
        ErrorStyle::Portkey => portkey_body(rule, status, detail, None),
        ErrorStyle::Problem => {
            let title = status.canonical_reason().unwrap_or_default();
            problem(rule, status, ABOUT_BLANK, title, detail, &[rule.name()])
        }
    }
}

/// Problem details, RFC 9457. They name rules, but no values.
fn problem(
    rule: &LimitRule,
    status: StatusCode,
    kind: &str,
    title: &str,
    detail: &str,
    violated: &[&str],
) -> Rejection {
    let body = json!({
        "type": kind,
        "title": title,
        "status": status.as_u16(),
        "detail": detail,
        "code": reason(rule),
        "violated-policies": violated,
    });
    let rejection = Rejection::new(status, reason(rule)).with_body("application/problem+json", body.to_string());
    rejection.with_limit_rule(rule.name())
}

/// Portkey's answers: 412 for budgets, and 429 for rates.
fn portkey(rule: &LimitRule, detail: &str) -> Rejection {
    let is_default = rule.status == StatusCode::TOO_MANY_REQUESTS;
    let status = if rule.is_budget() && is_default { StatusCode::PRECONDITION_FAILED } else { rule.status };
    portkey_body(rule, status, detail, rule.is_budget().then_some("06"))
}

fn portkey_body(rule: &LimitRule, status: StatusCode, detail: &str, code: Option<&str>) -> Rejection {
    let kind = if rule.is_budget() { "usage_limits_policy_exhaust_error" } else { "rate_limits_policy_exhaust_error" };
    let body = json!({ "error": { "message": detail, "type": kind, "param": null, "code": code } });
    Rejection::new(status, reason(rule)).with_body("application/json", body.to_string()).with_limit_rule(rule.name())
}

/// Returns a text as a string of a structured field (RFC 9651). `None` if it has other characters.
fn structured(text: &str) -> Option<String> {
    let is_printable = text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    is_printable.then(|| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

fn write_policy(text: &mut String, name: &str, quota: &Quota, partition: Option<&str>) {
    separate(text);
    let _ = write!(text, "{name};q={}", quota.amount.min(MAX_INTEGER));
    if let Some(unit) = quota.unit {
        let _ = write!(text, ";qu=\"{unit}\"");
    }
    if let Some(window) = quota.window {
        let _ = write!(text, ";w={window}");
    }
    write_partition(text, partition);
}

fn write_limit(text: &mut String, name: &str, quota: &Quota, partition: Option<&str>) {
    separate(text);
    let _ = write!(text, "{name};r={}", quota.remaining.min(quota.amount).min(MAX_INTEGER));
    if let Some(reset) = quota.reset {
        let _ = write!(text, ";t={reset}");
    }
    write_partition(text, partition);
}

fn write_partition(text: &mut String, partition: Option<&str>) {
    if let Some(partition) = partition {
        let _ = write!(text, ";pk=:{partition}:");
    }
}

fn separate(text: &mut String) {
    if !text.is_empty() {
        text.push_str(", ");
    }
}
