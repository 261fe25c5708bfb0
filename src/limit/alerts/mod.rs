//! Alerts about budgets, costs, tags, and sinks.

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
mod evaluate;
mod evaluation;
mod finding;
mod ledger_drift;
mod outbox;
mod query_scope;
mod rule_set;
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
