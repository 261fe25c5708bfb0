use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::{store::Dimension, time::signed_micros};

use super::{
    alert::Alert,
    alert_contributor::AlertContributor,
    alert_kind::AlertKind,
    alert_rule::AlertRule,
    value_hash::{ValueHash, hex},
};

/// Something that an alert rule found, before values are hashed.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    pub(super) kind: AlertKind,
    pub(super) subject: Option<String>,
    pub(super) group: Vec<(Dimension, Option<String>)>,
    /// The start of the period in which this is reported once, in microseconds since 1970.
    pub(super) period: i64,
    /// The time in which nothing else of the same series is reported. `None` if the period suffices.
    pub(super) cooldown: Option<Duration>,
    pub(super) threshold: f64,
    pub(super) used: f64,
    pub(super) limit: Option<f64>,
    pub(super) unit: String,
    /// In microseconds since 1970.
    pub(super) from: i64,
    pub(super) to: i64,
    /// One line without the group.
    pub(super) headline: String,
    /// Sentences, without values of tags.
    pub(super) text: String,
    pub(super) top: Vec<Contributor>,
    /// A count that is remembered once the alert is raised.
    pub(super) count: Option<(String, u64)>,
    /// The amount that was reached, in the units of the ledger. It identifies the alert instead of the threshold.
    pub(super) amount: Option<i64>,
}

/// A value that contributes to a finding.
#[derive(Clone, Debug)]
pub(super) struct Contributor {
    pub(super) dimension: Dimension,
    pub(super) value: Option<String>,
    pub(super) amount: f64,
    pub(super) usual: Option<f64>,
}

impl Finding {
    /// Returns the text that is equal for findings about the same thing, whenever they are found.
    pub(super) fn series(&self, rule: &AlertRule, hash: &ValueHash) -> String {
        // A threshold of a limit is the same alert, whichever rule reports it. Other rules about the same thing do not share
        // a cooldown, unless they watch for the same.
        let conditions = if self.kind == AlertKind::Limit {
            serde_json::json!("")
        } else {
            serde_json::json!([rule.conditions(), rule.thresholds, rule.window.as_secs()])
        };
        let group: Vec<(String, Option<String>)> = self
            .group
            .iter()
            .map(|(dimension, value)| (dimension.to_string(), value.as_deref().map(|value| hash.of(value))))
            .collect();
        serde_json::json!([self.kind, self.subject, conditions, group]).to_string()
    }

    /// Returns the alert.
    pub(super) fn alert(&self, rule: &AlertRule, hash: &ValueHash, time: SystemTime) -> Alert {
        // An amount is never the same threshold as a share.
        let threshold = match self.amount {
            Some(amount) => serde_json::json!({"amount": amount}),
            None => serde_json::json!(self.threshold),
        };
        let identity = serde_json::json!([self.series(rule, hash), self.period, threshold]).to_string();
        let value = |dimension: &Dimension, value: Option<&str>| hash.value(dimension, value, rule.allow_tag_values);
        let group: Vec<_> = self.group.iter().map(|(dimension, of)| value(dimension, of.as_deref())).collect();
        let title = if group.is_empty() {
            self.headline.clone()
        } else {
            let texts: Vec<String> = group.iter().map(ToString::to_string).collect();
            format!("{} ({})", self.headline, texts.join(", "))
        };
        let top = self.top.iter().map(|top| AlertContributor {
            value: value(&top.dimension, top.value.as_deref()),
            amount: top.amount,
            usual: top.usual,
        });
        Alert {
            id: hex(Sha256::digest(identity)),
            kind: self.kind,
            subject: self.subject.clone(),
            threshold: self.threshold,
            used: self.used,
            limit: self.limit,
            unit: self.unit.clone(),
            from: timestamp(self.from),
            to: timestamp(self.to),
            time: timestamp(signed_micros(time)),
            title,
            text: self.text.clone(),
            top: top.collect(),
            group,
        }
    }
}

/// Returns a time that was microseconds since 1970.
pub(super) fn timestamp(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX)
}

/// Returns the start of the aligned interval that a time belongs to.
pub(super) fn interval_start(micros: i64, length: Duration) -> i64 {
    let length = i64::try_from(length.as_micros()).unwrap_or(i64::MAX).max(1);
    micros.div_euclid(length).saturating_mul(length)
}

/// Returns a share as a percentage with at most two decimals: `80`, or `12.34`.
pub(super) fn percent(share: f64) -> String {
    let text = format!("{:.2}", share * 100.0);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
