//! A single comparison of the ledger with the stored requests.

use std::{collections::BTreeSet, time::SystemTime};

use jiff::Timestamp;

use crate::{
    analytics::{Analytics, Grant, Retention, RowPages, RowQuery, TimeRange},
    registry::Permission,
    time::{signed_micros, time_of_micros},
};

use super::{
    super::{
        ledger::{
            ScanPages,
            backend::{Backend, SlotUsage},
        },
        limiter::Limiter,
        rules::{LimitKind, LimitMode},
    },
    ledger_check_error::LedgerCheckError,
    row_sums::{MAX_SUMS, RowSums},
    unchecked_reason::UncheckedReason,
};

/// The number of requests that are read at a time.
const PAGE_ROWS: u32 = 1_000;
/// The number of slots that are read from the ledger at a time.
const SLOTS: usize = 500;

/// A slot whose ledger differs from the stored requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) series: String,
    pub(super) slot: i64,
    pub(super) ledger: i64,
    pub(super) rows: i64,
}

/// A budget with its differences.
pub(super) struct Compared {
    pub(super) sums: RowSums,
    pub(super) differences: Vec<Difference>,
}

/// The budgets that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coverage {
    /// Those whose rows are complete.
    Complete,
    /// All, but those whose rows are not complete only where the rows have more than the ledger.
    AtLeast,
}

/// Compares budgets up to a time in microseconds since 1970, which is a whole second.
pub(super) async fn compare(
    limiter: &Limiter,
    analytics: &Analytics,
    retention: Retention,
    before: i64,
    coverage: Coverage,
) -> Result<Vec<Compared>, LedgerCheckError> {
    let budgets = sums(limiter, analytics, retention, before, coverage).await?;
    let mut compared = Vec::new();
    for mut sums in budgets {
        let mut found = Vec::new();
        if sums.is_read {
            found = differences(limiter.ledger().backend(), &mut sums, before).await?;
        }
        if sums.reason.is_some() {
            found.retain(|difference| difference.rows > difference.ledger);
        }
        compared.push(Compared { sums, differences: found });
    }
    Ok(compared)
}

/// Adds up the stored requests of all budgets, reading each request once.
async fn sums(
    limiter: &Limiter,
    analytics: &Analytics,
    retention: Retention,
    before: i64,
    coverage: Coverage,
) -> Result<Vec<RowSums>, LedgerCheckError> {
    let rows_from = analytics.rows_from().await?;
    let set = limiter.current().rules().cloned().collect::<Vec<_>>();
    let mut budgets: Vec<RowSums> = set
        .into_iter()
        .filter(|compiled| compiled.rule.mode != LimitMode::Off)
        .filter_map(|compiled| match compiled.rule.kind() {
            LimitKind::Budget { window, .. } => {
                let window = window.clone();
                Some(RowSums::new(compiled, window, before))
            }
            _ => None,
        })
        .collect();
    for sums in &mut budgets {
        sums.reason = reason(sums, retention, rows_from);
        sums.is_read = sums.reason.is_none() || coverage == Coverage::AtLeast;
    }
    let from = budgets.iter().filter(|sums| sums.is_read).map(|sums| sums.from).min();
    let range = from.filter(|from| *from < before).and_then(|from| range(from, before));
    let Some(range) = range else { return Ok(budgets) };
    let query = RowQuery::new(range);
    let mut pages =
        RowPages::new(analytics, &query, &Grant::everything(), Permission::AnalyticsView).page_size(PAGE_ROWS);
    while let Some(rows) = pages.next().await? {
        for row in &rows {
            let time = signed_micros(row.requested_at);
            budgets.iter_mut().for_each(|sums| sums.add(row, time));
        }
    }
    Ok(budgets)
}

/// Returns the reason why the rows of a window are not complete.
fn reason(sums: &RowSums, retention: Retention, rows_from: SystemTime) -> Option<UncheckedReason> {
    let window = sums.window.longest();
    if let Some(kept) = retention.rows.filter(|kept| *kept < window) {
        return Some(UncheckedReason::Retention { kept, window });
    }
    let start = time_of_micros(sums.from);
    (rows_from > start).then_some(UncheckedReason::RowsDeleted { from: rows_from })
}

fn range(from: i64, before: i64) -> Option<TimeRange> {
    let time = |micros: i64| Timestamp::from_microsecond(micros.max(0)).ok();
    TimeRange::new(time(from)?, time(before)?).ok()
}

/// Compares the sums of a budget with the ledger.
async fn differences(
    backend: &dyn Backend,
    sums: &mut RowSums,
    before: i64,
) -> Result<Vec<Difference>, LedgerCheckError> {
    let mut scanned = Vec::new();
    let mut pages = ScanPages::new(backend, &sums.compiled.prefix, sums.period.from);
    while let Some(page) = pages.next().await? {
        scanned.extend(page);
        if scanned.len() > MAX_SUMS {
            sums.give_up();
            return Ok(Vec::new());
        }
    }
    let is_counted = |slot: &SlotUsage| slot.slot <= sums.period.slot && sums.compiled.group(&slot.series).is_some();
    let in_ledger = scanned.into_iter().filter(is_counted);
    let mut keys: BTreeSet<(String, i64)> = in_ledger.map(|slot| (slot.series, slot.slot)).collect();
    keys.extend(sums.sums.keys().cloned());
    let keys: Vec<(String, i64)> = keys.into_iter().collect();
    let mut found = Vec::new();
    for part in keys.chunks(SLOTS) {
        let settled = backend.settled_before(part.to_vec(), before).wait().await?;
        for (key, ledger) in part.iter().zip(settled) {
            let rows = sums.sums.get(key).copied().unwrap_or(0);
            if rows != ledger {
                found.push(Difference { series: key.0.clone(), slot: key.1, ledger, rows });
            }
        }
    }
    Ok(found)
}
