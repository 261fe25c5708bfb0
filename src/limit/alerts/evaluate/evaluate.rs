use crate::limit::alerts::{alert_error::AlertError, alert_rule::AlertRule, alert_trigger::AlertTrigger};

use super::{Found, Watch, anomaly, burn_rate, coverage, drift, sink_loss, spoofing, thresholds, unpriced};

/// Evaluates a rule. `key` identifies it in the state.
pub(in crate::limit::alerts) async fn evaluate(
    rule: &AlertRule,
    key: &str,
    watch: &Watch<'_>,
) -> Result<Found, AlertError> {
    match &rule.trigger {
        AlertTrigger::Limit(name) => Ok(thresholds::findings(rule, name, watch).into()),
        AlertTrigger::BurnRate => Ok(burn_rate::found(rule, key, watch).await),
        AlertTrigger::Anomaly => anomaly::found(rule, key, watch).await,
        AlertTrigger::Coverage(tag) => coverage::found(rule, tag, key, watch).await,
        AlertTrigger::Spoofing => Ok(spoofing::findings(rule, key, watch).into()),
        AlertTrigger::Unpriced => unpriced::found(rule, key, watch).await,
        AlertTrigger::SinkLoss => Ok(sink_loss::findings(rule, key, watch).into()),
        AlertTrigger::Drift => Ok(drift::findings(rule, watch).into()),
    }
}
