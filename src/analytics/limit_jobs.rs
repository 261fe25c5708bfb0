//! Work on the tables of limits, credits, and alerts.

#![cfg(any(feature = "postgres", feature = "sqlite"))]

use std::time::{Duration, SystemTime};

use crate::store::{
    AlertRecord, LimitCreditRecord, LimitRuleRecord,
    records::{self, LimitRuleSaved, RecordSession, RulesRevision},
    rollup::RollupSession,
};

use super::{QueryError, jobs::Job};

/// Declares the job of a statement: its name, its parameters, its output, and the call.
macro_rules! jobs {
    ($($(#[$docs:meta])* $name:ident($($kind:ty),*) -> $output:ty, |$job:ident, $session:ident| $call:expr;)*) => {$(
        $(#[$docs])*
        pub(super) struct $name($(pub(super) $kind),*);

        impl Job for $name {
            type Output = $output;

            async fn run(self, $session: &mut (impl RollupSession + RecordSession)) -> Result<$output, QueryError> {
                let $job = self;
                Ok($call.await?)
            }
        }
    )*};
}

jobs! {
    ListRules() -> Vec<LimitRuleRecord>, |_job, session| records::limit_rules(session);
    ReadRevision() -> RulesRevision, |_job, session| records::limit_rules_revision(session);
    AddRule(LimitRuleRecord) -> LimitRuleSaved, |job, session| records::add_limit_rule(session, &job.0);
    /// The rule, and the revision that it had before.
    ChangeRule(LimitRuleRecord, u64) -> LimitRuleSaved, |job, session| {
        records::change_limit_rule(session, &job.0, job.1)
    };
    DeleteRule(String) -> bool, |job, session| records::delete_limit_rule(session, &job.0);
    AddCredit(LimitCreditRecord) -> bool, |job, session| records::add_limit_credit(session, &job.0);
    /// The first slot, and the limit.
    ListCredits(i64, usize) -> Vec<LimitCreditRecord>, |job, session| records::limit_credits(session, job.0, job.1);
    LastAlert(String) -> Option<SystemTime>, |job, session| records::last_alert(session, &job.0);
    RaiseAlert(AlertRecord) -> bool, |job, session| records::raise_alert(session, &job.0);
    /// The time, the lease, and the limit.
    ClaimAlerts(SystemTime, Duration, usize) -> Vec<AlertRecord>, |job, session| {
        records::claim_alerts(session, job.0, job.1, job.2)
    };
    AlertDelivered(String, SystemTime) -> (), |job, session| records::alert_delivered(session, &job.0, job.1);
    /// The id, the number of the attempt, and the time of the next one.
    AlertFailed(String, u64, SystemTime) -> (), |job, session| {
        records::alert_failed(session, &job.0, job.1, job.2)
    };
    ListAlerts(usize) -> Vec<AlertRecord>, |job, session| records::alerts(session, job.0);
    PruneAlerts(SystemTime) -> u64, |job, session| records::prune_alerts(session, job.0);
}
