//! Alerts about budgets, costs, tags, and sinks.
//!
//! [`Alerts`] evaluates [rules](AlertRule) about once per minute, and delivers what they find to [targets](AlertTarget), such as
//! a signed webhook.
//!
//! ```
//! use std::time::SystemTime;
//! use tower_tagging::{
//!     analytics::Analytics,
//!     limit::{
//!         Limiter,
//!         alerts::{AlertRule, AlertTrigger, Alerts, TracingTarget, WebhookTarget},
//!     },
//!     store::MemoryStore,
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
//! # let (analytics, limiter) = (Analytics::new(MemoryStore::new()), Limiter::builder().build()?);
//! let webhook = WebhookTarget::builder("https://hooks.example/llm").secret(secret).build()?;
//! let unpriced = AlertRule::on(AlertTrigger::Unpriced).exclude("metadata.environment", ["staging"]).build()?;
//! let anomaly = AlertRule::on(AlertTrigger::Anomaly).target(webhook).build()?;
//! let alerts = Alerts::builder(analytics, limiter)
//!     .rules([unpriced, anomaly])
//!     .target(TracingTarget::new())
//!     .build()?;
//! tokio::spawn(alerts.run());
//! # Ok(())
//! # }
//! ```
//!
//! # Triggers
//!
//! | trigger | an alert is raised if | thresholds (default) | once per |
//! |---|---|---|---|
//! | `limit:NAME` | the settled amount of a group of the budget is at least this share of its limit. `*` in the name matches any text | shares (0.5, 0.8, 1) | group, window, and threshold |
//! | `burn_rate` | a group of a budget is used faster than the speed at which it lasts exactly as long as its window, by this factor, both in the last hour and in the last six hours | a factor (6) | group and cooldown (6 hours) |
//! | `anomaly` | the cost of the last full hour is this many robust deviations above the median of the same hour of the week in the last four weeks, and at least [`minimum_cost`](AlertRuleBuilder::minimum_cost) | a z-score (3.5) | cooldown (6 hours) |
//! | `coverage:KEY` | the share of requests, or of their cost, that carries the tag is lower in the last full [window](AlertRuleBuilder::window) than in the one before, by this difference | a difference of shares (0.1) | cooldown (1 day) |
//! | `spoofing` | requests to one process with an API key had this many tags in the current window that a trusted tag shadows, or that the key may not set | a number (100) | API key and cooldown (1 hour) |
//! | `unpriced` | this share of the LLM calls of the last full window has no known price | a share (0.05) | cooldown (1 day) |
//! | `sink_loss` | a sink of one process dropped this many events that were not reported yet | a number (1) | sink and cooldown (1 hour) |
//! | `drift` | a group of a budget has a ledger that differs from the stored requests by this many nano-dollars, tokens, or requests | a number (1) | group and cooldown (1 hour) |
//!
//! - Thresholds are evaluated for the first 10,000 groups of a budget. Reserved amounts do not count. If several thresholds are
//!   reached at once, each of them is an alert. Raising a limit does not repeat an alert. A window that has ended is evaluated
//!   for one more hour, for requests that are settled late. Thresholds of rolling windows are reported once per day in UTC.
//! - Limits that were created through the API may have an amount at which they raise an alert, `alert_threshold`. It needs no rule.
//!   It is reported once per group and window to the [targets of all rules](AlertsBuilder::target), or logged if there are none.
//!   Usage from before a reset does not count. A rule on `limit:*`, or on `limit:ID*` with the id of a limit, adds thresholds
//!   and targets.
//! - The burn rate is computed from stored requests every five minutes, for budgets of cost, tokens, or requests, in groups of at
//!   most three properties, and for at most 20,000 groups of a budget. The windows follow the
//!   [SRE workbook](https://sre.google/workbook/alerting-on-slos/). It is meant for windows of a week or longer. Budgets that are
//!   never reset have none.
//! - The deviation of an anomaly is the median absolute deviation times 1.4826, and at least a tenth of the median or of the
//!   minimum cost. At least three of the four weeks must have data. [`top`](Alert::top) has the values of active keys and models
//!   whose cost rose the most.
//! - The last full hour or window is evaluated five minutes after its end, so that its events are stored.
//!
//! # Conditions
//!
//! Alerts accept the [conditions of limits](crate::limit::LimitRuleBuilder::when):
//!
//! | trigger | effect |
//! |---|---|
//! | `limit:NAME`, `drift` | leaves out groups. A property by which the limit groups is decided by the group's value. Any other one is decided by the limit's own conditions: if all values that the limit counts match, or none does. A condition that neither decides does not restrict, because the limit counts all values together |
//! | `burn_rate` | counts only requests that meet the conditions of the limit and of the alert |
//! | `anomaly`, `coverage:KEY`, `unpriced` | counts only requests that meet the conditions |
//! | `spoofing` | may use `api_key` only |
//! | `sink_loss` | has no conditions |
//!
//! # Delivery
//!
//! Alerts are kept in the store of the analytics. Each alert is there once, whatever the number of processes and restarts, because
//! its [id](Alert::id) is derived from what it is about. Each process claims the alerts that are due, and delivers them. A
//! delivery that fails is repeated after a growing delay, for at least three days. If a process ends during a delivery, another
//! one delivers the alert after a minute. So each target receives each alert at least once, always with the same id.
//!
//! Values of tags are hashed, unless [`allow_tag_values`](AlertRuleBuilder::allow_tag_values) is set. Equal values have equal
//! hashes. With [`hash_key`](AlertsBuilder::hash_key), they cannot be guessed.
//!
//! # Webhooks
//!
//! A [`WebhookTarget`] sends `POST` requests by the [Standard Webhooks](https://www.standardwebhooks.com) specification. Its
//! libraries verify them, and so do these steps:
//!
//! 1. Compute the HMAC-SHA-256 of the header `webhook-id`, a dot, the header `webhook-timestamp`, a dot, and the body as it was
//!    received. The key is the base64 after `whsec_`, or the text of a secret without this prefix.
//! 2. Compare `v1,` and the base64 of the result with each of the signatures in `webhook-signature`, which are separated by
//!    spaces, in constant time.
//! 3. Reject requests whose `webhook-timestamp`, in seconds since 1970, differs from the current time by more than five minutes.
//! 4. Ignore requests whose `webhook-id` was processed before, and respond with 204.
//!
//! ```python
//! import base64, hashlib, hmac, time
//!
//! def is_genuine(key: bytes, headers, body: bytes) -> bool:
//!     signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
//!     expected = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
//!     is_signed = any(hmac.compare_digest(expected, given) for given in headers["webhook-signature"].split())
//!     return is_signed and abs(time.time() - int(headers["webhook-timestamp"])) <= 300
//! ```
//!
//! The body is `{"type": "alert.limit", "timestamp": "…", "data": {…}}`, where `data` is an [`Alert`]. With
//! [`WebhookShape::Slack`], it is a message for Slack.

mod alert;
mod alert_condition;
mod alert_contributor;
mod alert_error;
mod alert_kind;
mod alert_rule;
mod alert_rule_builder;
mod alert_settings;
mod alert_target;
mod alert_trigger;
mod alert_value;
mod alerts;
mod alerts_builder;
mod channel_target;
mod delivery_attempt;
mod delivery_counts;
mod dispatch;
#[cfg(test)]
mod dispatch_tests;
mod evaluate;
mod evaluation;
mod finding;
mod ledger_drift;
mod query_scope;
mod rule_set;
#[cfg(test)]
mod tests;
mod tracing_target;
mod value_hash;
mod watch_state;
mod webhook;

pub use self::{
    alert::Alert,
    alert_contributor::AlertContributor,
    alert_error::AlertError,
    alert_kind::AlertKind,
    alert_rule::AlertRule,
    alert_rule_builder::AlertRuleBuilder,
    alert_settings::AlertSettings,
    alert_target::{AlertTarget, DeliveryFuture},
    alert_trigger::AlertTrigger,
    alert_value::AlertValue,
    alerts::Alerts,
    alerts_builder::AlertsBuilder,
    channel_target::ChannelTarget,
    delivery_attempt::DeliveryAttempt,
    delivery_counts::DeliveryCounts,
    evaluation::Evaluation,
    ledger_drift::LedgerDrift,
    tracing_target::TracingTarget,
    webhook::{WebhookShape, WebhookTarget, WebhookTargetBuilder},
};
