use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use uuid::Uuid;

use crate::time::signed_micros;

use super::super::{
    ledger::{
        LedgerError,
        backend::{Charge, Check, CheckKind, Reservation, Settlement},
    },
    limiter::Limiter,
    rules::{Amount, LimitKind},
    series,
};

/// The time after which reservations of tests end.
const LEASE: Duration = Duration::from_secs(600);

impl Limiter {
    /// Charges and reserves amounts of a group in its current window, for tests of what is shown. Unknown rules are ignored.
    #[doc(hidden)]
    pub async fn fill(
        &self,
        rule: &str,
        group: &[Option<&str>],
        settled: &Amount,
        reserved: Option<&Amount>,
    ) -> Result<(), LedgerError> {
        let set = Arc::clone(&self.current());
        let Some(compiled) = set.rules().find(|compiled| compiled.rule.name() == rule) else { return Ok(()) };
        let LimitKind::Budget { window, .. } = compiled.rule.kind() else { return Ok(()) };
        let mut text = compiled.prefix.clone();
        series::write_group(&mut text, group.iter().copied());
        let time = signed_micros(SystemTime::now());
        let period = window.period(time);
        let (slot, keep_until) = (period.slot, period.keep_until);
        let backend = self.ledger().backend();
        if let Some(reserved) = reserved {
            let kind = CheckKind::Budget {
                from: period.from,
                slot,
                keep_until,
                amount: reserved.count,
                limit: i64::MAX,
                chunk: 0,
            };
            let check = Check { series: 0..text.len(), is_enforced: false, rule: 0, kind };
            let reservation =
                Reservation { id: Uuid::now_v7(), lease: LEASE, text: &text, checks: &[check], wants_states: false };
            backend.reserve(&reservation).wait().await?;
        }
        let charges = vec![Charge { series: text.clone(), slot, keep_until, amount: settled.count }];
        backend.settle(vec![Settlement { id: Uuid::now_v7(), time, charges, rates: Vec::new() }]).wait().await
    }
}
