//! Budgets, rate limits, and alerts by any tag, model, or key, inside the service.
//!
//! A [`LimitRule`] limits what requests use: money, tokens, requests, or any recorded quantity. A [`Limiter`] has the rules and
//! a [`Ledger`], which counts. A [`LimitLayer`] checks each request before the service runs, and settles what it used with its
//! event.
//!
//! ```
//! use std::time::Duration;
//!
//! use axum::{Router, routing::post};
//! use tower_tagging::{
//!     TagSources, TaggingLayer, sink,
//!     limit::{Amount, LimitDecision, LimitLayer, LimitRule, Limiter, Window},
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let team_monthly = LimitRule::budget("team-monthly", "500 USD".parse()?, Window::month("Europe/Berlin")?)
//!     .when("metadata.environment", ["production"])
//!     .group_by("metadata.team")
//!     .on_unpriced(LimitDecision::Allow)
//!     .on_store_error(LimitDecision::Deny)
//!     .build()?;
//! let user_rate = LimitRule::rate("user-rate", Amount::requests(60), Duration::from_secs(60))
//!     .burst(Amount::requests(20))
//!     .group_by("metadata._user")
//!     .on_store_error(LimitDecision::Allow)
//!     .build()?;
//! let limiter = Limiter::builder().rule(team_monthly).rule(user_rate).build()?;
//!
//! let tagging = TaggingLayer::builder().sources(TagSources::portkey()).sink(sink::from_fn(|_| {})).build()?;
//! let app: Router = Router::new()
//!     .route("/v1/chat/completions", post(|| async { "…" }))
//!     .layer(LimitLayer::new(limiter, tagging));
//! # Ok(())
//! # }
//! ```
//!
//! # Rules
//!
//! | rule | limits |
//! |---|---|
//! | [`LimitRule::budget`] | an [`Amount`] per [`Window`]: an hour, day, week, month, quarter, or year of a time zone, or a rolling time |
//! | [`LimitRule::rate`] | an amount per time, with a burst, by GCRA |
//! | [`LimitRule::concurrency`] | requests that run at the same time |
//!
//! A rule applies to requests that meet all of its [conditions](LimitRuleBuilder::when) and none of its
//! [exclusions](LimitRuleBuilder::exclude). Each combination of the values that it [groups by](LimitRuleBuilder::group_by) has its
//! own count. Both use tags, the API key, workspace, virtual key, provider, requested model, and route. If several rules apply,
//! all of them must pass: the request takes from all, or from none.
//!
//! Tags that decide about money should be trusted: a client can set any other tag, and so choose its group. Requests without a
//! tag escape a rule that groups by it, unless [`on_missing`](LimitRuleBuilder::on_missing) says otherwise.
//!
//! # When things happen
//!
//! 1. **Before the service**, after the tags are merged, the request *reserves* what it may use. For a call with a declared
//!    maximum of output tokens, that is a quarter of the bytes of its body as input tokens, and that maximum, by the prices of
//!    the layer's `UsageTap`. Otherwise, it is the 95th percentile of what earlier requests of the rule and model used, once
//!    there were five, or the [estimate](LimitRuleBuilder::estimate) of the rule, which is 0.01 USD or 1,000 tokens by default.
//!    Up to 256 KiB of the body are read ahead, if a rule needs its fields. What comes later is treated as missing: use
//!    [`OnMissing::Deny`] if a model must not escape a rule.
//! 2. **While the request runs**, its reservation counts. It has a [lease](LimiterBuilder::lease), which the process extends. If
//!    the process is killed, the reservation ends with the lease.
//! 3. **At the end**, the rules are applied to the *event*: its tags, its cost, its usage. What it used is added to the window in
//!    which the request started, and the reservation is released. Requests that were rejected use nothing. Requests that were let
//!    through count as requests, whatever their outcome.
//!
//! Because what is settled depends on events alone, the same sums follow from the rows of a store. Tags that a handler sets come
//! too late for the decision, but count under their values.
//!
//! What is unknown counts as zero: the cost of a model without a price, and the usage of a stream that the client leaves before
//! the provider reports it, or that does not report it, as those of OpenAI without `stream_options.include_usage`.
//! [`LimitCounts`] counts such requests. Callers who leave their streams early could spend without end, so
//! [`charge_unknown`](LimitRuleBuilder::charge_unknown) counts what their calls reserved. A client that leaves before the
//! decision counts as a request, too.
//!
//! The use of a budget is what is settled and what is reserved. Parallel requests cannot exceed it together, except by the error
//! of their estimates. Budgets of requests are exact. Nothing is ever reset: the start of the window is part of the name of what
//! is counted, so the next window starts at zero, and earlier ones stay. The name of the rule, the unit, the window, and the
//! properties of the group are parts of that name, too: a rule that changes one of them starts at zero. A rule with another amount
//! or other conditions keeps its count.
//!
//! # Ledgers
//!
//! [`Ledger::memory`] counts in one process. Several processes share a ledger in Postgres or in Redis or Valkey. Windows follow
//! the time of the request, as its event records it. Leases and rates follow the clock of the server.
//!
//! If the ledger is not available, [`on_store_error`](LimitRuleBuilder::on_store_error) of each rule decides, and the case is
//! counted. What requests use then is settled when the ledger is back, for up to 100,000 requests and 50 minutes; the
//! [`check`] finds what is lost beyond that. No request waits longer than the timeout of the ledger.
//!
//! # Answers
//!
//! A rejected request is answered with status 429, or that of the [rule](LimitRuleBuilder::status), `Retry-After`, and problem
//! details ([RFC 9457]) that name the rules, never a value. For rules that count requests, `RateLimit` and `RateLimit-Policy`
//! report the quota ([draft 11]); groups are named by a hash. Amounts of money and tokens concern the owner, and are not disclosed.
//! With [`ErrorStyle::Portkey`](crate::registry::ErrorStyle::Portkey), the answers are those of Portkey: 412 for budgets, and 429
//! for rates.
//!
//! | case | status | `code` and the event's `rejection` |
//! |---|---|---|
//! | a budget is exhausted | 429 | `budget` |
//! | a rate or concurrency is exceeded | 429 | `rate_limit` |
//! | a property is missing, and the rule denies that | 400 | as above, by the kind of the rule |
//! | the model has no price, and the rule denies that | 403 | as above |
//! | the ledger is not available, and the rule denies that | 503 | as above |
//!
//! The event has the outcome `rejected`, and its `limit_rule` is the rule for which the client would have to wait longest.
//!
//! [RFC 9457]: https://www.rfc-editor.org/rfc/rfc9457
//! [draft 11]: https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-ratelimit-headers-11

pub mod alerts;
mod answer;
mod api;
pub mod check;
mod gcra;
mod ledger;
mod limit_layer;
mod limiter;
mod meter;
mod policies;
pub mod rehearse;
mod report;
mod rules;
mod series;
mod settings;
mod subject;
mod window;

#[cfg(feature = "postgres")]
pub use self::ledger::PostgresLedger;
#[cfg(feature = "redis")]
pub use self::ledger::RedisLedger;
#[cfg(feature = "dashboard")]
pub(crate) use self::report::{BudgetEntry, LimitReport, RateEntry};
pub use self::{
    ledger::{Ledger, LedgerError, LedgerStatus},
    limit_layer::LimitLayer,
    limiter::{LimitCounts, LimitUsage, Limiter, LimiterBuilder},
    rules::{
        Amount, Condition, LimitDecision, LimitKind, LimitMode, LimitRule, LimitRuleBuilder, LimitUnit, OnMissing,
        Raise,
    },
    settings::{LedgerSettings, LimitSettings},
    window::{CalendarUnit, Window},
};
