use std::{sync::Arc, time::SystemTime};

use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

use crate::time::signed_micros;

use super::super::{
    gcra,
    ledger::backend::{Check, CheckKind, CheckState},
    policies::is_for_ever,
    rules::{LimitKind, LimitMode, LimitRule, LimitUnit},
};

/// Bytes of the hash that names a group.
const PARTITION_BYTES: usize = 9;

/// Where a request stands with a rule.
pub(in crate::limit) struct Standing {
    pub(super) rule: Arc<LimitRule>,
    /// The position of the rule in its list.
    pub(super) at: usize,
    kind: CheckKind,
    state: CheckState,
    /// The end of the window of a budget, in microseconds since 1970. `None` if it never ends.
    end: Option<i64>,
    /// A hash of the group. `None` without groups.
    partition: Option<String>,
    /// The request was let through, and counts.
    is_admitted: bool,
}

/// The quota of a rule, as headers report it.
pub(super) struct Quota {
    pub(super) amount: i64,
    pub(super) remaining: i64,
    /// The length of the window in seconds, if it has one.
    pub(super) window: Option<u64>,
    /// The seconds until more is available.
    pub(super) reset: Option<u64>,
    pub(super) unit: Option<&'static str>,
}

impl Standing {
    pub(in crate::limit) fn new(
        check: &Check,
        state: CheckState,
        rule: Arc<LimitRule>,
        series: &str,
        time: SystemTime,
        is_admitted: bool,
    ) -> Self {
        let end = match &rule.kind {
            LimitKind::Budget { window, .. } if !is_for_ever(window) => Some(window.period(signed_micros(time)).end),
            _ => None,
        };
        let partition = (!rule.group_by.is_empty()).then(|| {
            let digest = Sha256::digest(series.as_bytes());
            STANDARD.encode(digest.get(..PARTITION_BYTES).unwrap_or_default())
        });
        Self { rule, at: check.rule, kind: check.kind.clone(), state, end, partition, is_admitted }
    }

    /// Returns `true` if the rule rejects the request.
    pub(super) fn is_violated(&self) -> bool {
        !self.state.passes && self.rule.mode == LimitMode::Enforce
    }

    pub(super) fn is_concurrency_rule(&self) -> bool {
        matches!(self.rule.kind, LimitKind::Concurrency { .. })
    }

    pub(super) fn partition(&self) -> Option<&str> {
        self.partition.as_deref()
    }

    /// Returns the microseconds until the request may pass, if that is known.
    ///
    /// The end of a window, if the rule is a budget: reserved amounts may become free before.
    pub(super) fn wait(&self, now: SystemTime) -> Option<i64> {
        match self.kind {
            CheckKind::Budget { .. } => Some(self.end?.saturating_sub(signed_micros(now)).max(0)),
            CheckKind::Rate { increment, tolerance } => Some(gcra::wait(self.state.used, increment, tolerance)),
            CheckKind::Concurrency { .. } => None,
        }
    }

    /// Returns the seconds that a client should wait: those of a budget never exceed its window, and one for concurrency,
    /// because nobody knows when a request ends.
    pub(super) fn retry_after(&self, now: SystemTime) -> Option<u64> {
        let seconds = match self.kind {
            CheckKind::Budget { .. } => self.wait(now)? / 1_000_000,
            CheckKind::Rate { .. } => self.wait(now)?.saturating_add(999_999) / 1_000_000,
            CheckKind::Concurrency { .. } => 1,
        };
        u64::try_from(seconds).ok()
    }

    /// Returns the quota of a rule that counts requests. Amounts of money and tokens are not disclosed.
    pub(super) fn quota(&self, now: SystemTime) -> Option<Quota> {
        if *self.rule.unit() != LimitUnit::Requests {
            return None;
        }
        let taken = i64::from(self.is_admitted);
        match (&self.kind, &self.rule.kind) {
            (CheckKind::Budget { limit, from, .. }, _) => Some(Quota {
                amount: *limit,
                remaining: limit.saturating_sub(self.state.used).saturating_sub(taken).max(0),
                window: self.end.and_then(|end| u64::try_from(end.saturating_sub(*from) / 1_000_000).ok()),
                reset: self.retry_after(now),
                unit: None,
            }),
            (CheckKind::Rate { increment, tolerance }, LimitKind::Rate { amount, per, burst }) => {
                let taken = if self.is_admitted { *increment } else { 0 };
                let used = self.state.used.saturating_add(taken);
                let full = gcra::wait(used, *increment, *tolerance);
                Some(Quota {
                    amount: amount.count,
                    remaining: gcra::available(used, burst.count, amount.count, *per),
                    window: Some(per.as_secs()).filter(|seconds| *seconds > 0),
                    reset: u64::try_from(full.saturating_add(999_999) / 1_000_000).ok(),
                    unit: None,
                })
            }
            (CheckKind::Concurrency { limit }, _) => Some(Quota {
                amount: *limit,
                remaining: limit.saturating_sub(self.state.used).saturating_sub(taken).max(0),
                window: None,
                reset: None,
                unit: Some("concurrent-requests"),
            }),
            _ => None,
        }
    }
}
