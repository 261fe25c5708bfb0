use std::{fmt, sync::Arc, time::SystemTime};

use http::StatusCode;

use crate::{
    metadata::USER_KEY,
    row::{Dimension, Field},
};

use super::{Amount, Condition, LimitDecision, LimitKind, LimitMode, LimitUnit, OnMissing, Raise};

/// A limit: what it counts, for which requests, by which groups, and what happens when it is exceeded.
#[derive(Clone, Debug, PartialEq)]
pub struct LimitRule {
    pub(crate) name: Arc<str>,
    /// The name for people, if it differs.
    pub(crate) title: Option<String>,
    pub(crate) kind: LimitKind,
    pub(crate) when: Vec<Condition>,
    pub(crate) exclude: Vec<Condition>,
    pub(crate) group_by: Vec<Dimension>,
    pub(crate) on_missing: OnMissing,
    pub(crate) on_unpriced: LimitDecision,
    pub(crate) on_store_error: LimitDecision,
    pub(crate) mode: LimitMode,
    pub(crate) status: StatusCode,
    pub(crate) estimate: Option<Amount>,
    pub(crate) raises: Vec<Raise>,
    /// The time from which requests count, if the rule was created through the API.
    pub(crate) created_at: Option<SystemTime>,
    /// The number of requests that may run at the same time, in addition to a rate.
    pub(crate) concurrent: Option<u32>,
    /// The factor of the reservation after which a stream is cut.
    pub(crate) cut_streams: Option<f64>,
    /// A call with unknown usage counts what it reserved.
    pub(crate) charge_unknown: bool,
    /// The amount that a process borrows from a remote ledger at once. 0 is exact.
    pub(crate) chunk: i64,
}

impl LimitRule {
    /// Returns the name. It is unique among the rules of a limiter, and the identity of what the rule has counted.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the name for people.
    pub fn title(&self) -> &str {
        self.title.as_deref().unwrap_or(&self.name)
    }

    /// Returns what the rule limits.
    pub fn kind(&self) -> &LimitKind {
        &self.kind
    }

    /// Returns the properties that the rule groups by. Each group has its own count.
    pub fn group_by(&self) -> &[Dimension] {
        &self.group_by
    }

    /// Returns the effect of the rule.
    pub fn mode(&self) -> LimitMode {
        self.mode
    }

    /// Returns the unit that is counted.
    pub fn unit(&self) -> &LimitUnit {
        match &self.kind {
            LimitKind::Budget { amount, .. } | LimitKind::Rate { amount, .. } => amount.unit(),
            LimitKind::Concurrency { .. } => &LimitUnit::Requests,
        }
    }

    /// Returns the limit at a time, with the raises that are in force.
    pub fn amount_at(&self, time: SystemTime) -> Amount {
        match &self.kind {
            LimitKind::Budget { amount, .. } => {
                let raises = self.raises.iter().filter(|raise| raise.until > time);
                let raised = raises.fold(amount.count, |sum, raise| sum.saturating_add(raise.amount.count));
                Amount::of_count(amount.unit.clone(), raised)
            }
            LimitKind::Rate { amount, .. } => amount.clone(),
            LimitKind::Concurrency { requests } => Amount::requests((*requests).into()),
        }
    }

    /// Returns `true` if what a request uses is estimated before, and known only afterwards.
    pub(crate) fn is_estimated(&self) -> bool {
        *self.unit() != LimitUnit::Requests
    }

    /// Returns `true` if the rule depends on the model of a call.
    pub(crate) fn depends_on_model(&self) -> bool {
        let of_model = [Field::RequestModel, Field::Provider];
        self.dimensions().any(|dimension| of_model.iter().any(|field| *dimension == Dimension::Field(*field)))
    }

    /// Returns `true` if the rule depends on the tag `_user`, which the body of a request may set.
    pub(crate) fn depends_on_user(&self) -> bool {
        self.dimensions().any(|dimension| matches!(dimension, Dimension::Tag(key) if key == USER_KEY))
    }

    /// Returns the properties that conditions and groups use.
    fn dimensions(&self) -> impl Iterator<Item = &Dimension> {
        let conditions = self.when.iter().chain(&self.exclude);
        conditions.map(|condition| &condition.dimension).chain(&self.group_by)
    }

    /// Returns `true` for budgets.
    pub fn is_budget(&self) -> bool {
        matches!(self.kind, LimitKind::Budget { .. })
    }
}

impl fmt::Display for LimitRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
