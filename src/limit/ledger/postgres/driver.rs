use std::{
    cell::RefCell,
    collections::HashMap,
    error::Error,
    time::{Duration, Instant},
};

use futures_util::future::join3;
use tokio_postgres::{Row, error::SqlState, types::ToSql};
use uuid::Uuid;

use crate::{
    store::{Failure, Server, Session},
    time::millis,
};

use super::{
    super::{
        amounts::whole_second,
        backend::{Adjustment, CheckState, REMEMBERED, Reserved, Settlement, SlotUsage},
        remote::{Done, Driver, Fault, OwnedReservation, Work},
    },
    columns::{Reservations, Settlements},
    schema,
};

/// After this time, the server has given up a call in any case.
const LONGEST_CALL: Duration = Duration::from_secs(600);

/// The number of rows that one call of pruning looks at.
const PRUNED_AT_ONCE: i64 = 5_000;

type Parameters<'p> = &'p [&'p (dyn ToSql + Sync)];

/// Calls the functions of the ledger in Postgres.
pub(super) struct PostgresDriver {
    server: Server,
    namespace: String,
    calls: Calls,
    /// Names this process in locks.
    process: i32,
    /// The reservations that may still be executed, with the time when they were sent.
    unfinished: RefCell<HashMap<Uuid, Instant>>,
    pruning: RefCell<Pruning>,
}

/// The statements.
struct Calls {
    reserve: String,
    settle: String,
    extend: String,
    scan: String,
    settled_before: String,
    adjust: String,
    prune_holds: String,
    prune_slots: String,
    prune_series: String,
    prune_settled: String,
}

/// The table that is pruned next.
#[derive(Default)]
enum Pruning {
    #[default]
    Holds,
    Slots,
    /// The series after a key.
    Series(Vec<u8>),
    Settled,
}

impl PostgresDriver {
    pub(super) fn new(server: Server, namespace: String) -> Self {
        let named = |sql: &str| schema::named(sql, &namespace);
        let calls = Calls {
            reserve: named("SELECT * FROM tagging_ledger_reserve_1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"),
            settle: named("SELECT tagging_ledger_settle_1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"),
            extend: named("SELECT tagging_ledger_extend_1($1, $2)"),
            scan: named("SELECT * FROM tagging_ledger_scan_1($1, $2, $3, $4)"),
            settled_before: named("SELECT tagging_ledger_settled_before_1($1, $2, $3)"),
            adjust: named("SELECT tagging_ledger_adjust_1($1, $2, $3, $4)"),
            prune_holds: named("SELECT tagging_ledger_prune_holds_1($1)"),
            prune_slots: named("SELECT tagging_ledger_prune_slots_1($1)"),
            prune_series: named("SELECT tagging_ledger_prune_series_1($1, $2)"),
            prune_settled: named("SELECT tagging_ledger_prune_settled_1($1, $2)"),
        };
        let [a, b, c, d, ..] = Uuid::new_v4().into_bytes();
        let process = i32::from_ne_bytes([a, b, c, d]);
        Self { server, namespace, calls, process, unfinished: RefCell::default(), pruning: RefCell::default() }
    }

    async fn reserve(&self, session: &Session, reservations: &[OwnedReservation]) -> Result<Vec<Reserved>, Fault> {
        if reservations.is_empty() {
            return Ok(Vec::new());
        }
        let columns = Reservations::new(reservations);
        let parameters: [&(dyn ToSql + Sync); 12] = [
            &self.process,
            &columns.ids,
            &columns.leases,
            &columns.owners,
            &columns.names,
            &columns.enforced,
            &columns.kinds,
            &columns.froms,
            &columns.slots,
            &columns.keeps,
            &columns.amounts,
            &columns.limits,
        ];
        self.unfinished.borrow_mut().extend(columns.ids.iter().map(|id| (*id, Instant::now())));
        let row = call(session, &self.calls.reserve, &parameters).await;
        if !matches!(row, Err(Fault::Lost(_))) {
            let mut unfinished = self.unfinished.borrow_mut();
            for id in &columns.ids {
                unfinished.remove(id);
            }
        }
        let row = row?;
        let admitted: Vec<bool> = value(&row, 0)?;
        let passes: Vec<bool> = value(&row, 1)?;
        let used: Vec<i64> = value(&row, 2)?;
        let mut states = passes.into_iter().zip(used).map(|(passes, used)| CheckState { passes, used });
        let reserved = admitted.into_iter().zip(reservations).map(|(is_admitted, reservation)| {
            let of_request: Vec<_> = states.by_ref().take(reservation.checks.len()).collect();
            let is_needed = !is_admitted || reservation.wants_states;
            Reserved { is_admitted, states: if is_needed { of_request } else { Vec::new() } }
        });
        Ok(reserved.collect())
    }

    async fn settle(&self, session: &Session, settlements: &[Settlement]) -> Result<(), Fault> {
        if settlements.is_empty() {
            return Ok(());
        }
        let columns = Settlements::new(settlements);
        let is_unfinished = columns.ids.iter().any(|id| self.unfinished.borrow().contains_key(id));
        let process = is_unfinished.then_some(self.process);
        let parameters: [&(dyn ToSql + Sync); 11] = [
            &process,
            &columns.ids,
            &columns.times,
            &columns.owners,
            &columns.names,
            &columns.slots,
            &columns.keeps,
            &columns.amounts,
            &columns.rate_owners,
            &columns.rate_names,
            &columns.rate_micros,
        ];
        call(session, &self.calls.settle, &parameters).await.map(drop)
    }

    async fn extend(&self, session: &Session, extensions: &[(Uuid, i64)]) -> Result<(), Fault> {
        if extensions.is_empty() {
            return Ok(());
        }
        let (ids, leases): (Vec<Uuid>, Vec<i64>) = extensions.iter().copied().unzip();
        call(session, &self.calls.extend, &[&ids, &leases]).await.map(drop)
    }
}

impl Driver for PostgresDriver {
    const KIND: &'static str = "postgres";
    type Session = Session;

    async fn open(&self, patience: Duration) -> Result<Session, Fault> {
        let open = async {
            let mut session = self.server.open().await?;
            schema::ensure(&mut session, &self.namespace).await?;
            // The server gives up with the client. All statements read few rows by an index, also while a table is small.
            let millis = millis(patience).max(1);
            let settings = format!(
                "SET statement_timeout = {millis}; SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan;
                 SET jit = off"
            );
            session.batch_execute(&settings).await?;
            Ok(session)
        };
        open.await.map_err(|failure: Failure| {
            Fault::Lost(failure.during("connect to the ledger in", &self.server.name).into())
        })
    }

    fn is_usable(&self, session: &Session) -> bool {
        !session.is_closed()
    }

    /// Sends all three statements before the first answer.
    async fn work(&self, session: &mut Session, work: &Work) -> Done {
        let (settled, extended, reserved) = join3(
            self.settle(session, &work.settlements),
            self.extend(session, &work.extensions),
            self.reserve(session, &work.reservations),
        )
        .await;
        Done { settled, extended, reserved }
    }

    async fn scan(
        &self,
        session: &mut Session,
        (prefix, after): (&str, &str),
        from_slot: i64,
        limit: usize,
    ) -> Result<Vec<SlotUsage>, Fault> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let statement = session.prepared(&self.calls.scan).await.map_err(fault)?;
        let rows = session.query(&statement, &[&prefix, &after, &from_slot, &limit]).await.map_err(fault)?;
        let usage = |row: Row| {
            Ok(SlotUsage {
                series: value(&row, 0)?,
                slot: value(&row, 1)?,
                settled: value(&row, 2)?,
                reserved: value(&row, 3)?,
            })
        };
        rows.into_iter().map(usage).collect()
    }

    async fn settled_before(
        &self,
        session: &mut Session,
        slots: &[(String, i64)],
        before: i64,
    ) -> Result<Vec<i64>, Fault> {
        if slots.is_empty() {
            return Ok(Vec::new());
        }
        let names: Vec<&str> = slots.iter().map(|(name, _)| name.as_str()).collect();
        let slots: Vec<i64> = slots.iter().map(|(_, slot)| *slot).collect();
        let row = call(session, &self.calls.settled_before, &[&names, &slots, &whole_second(before)]).await?;
        value(&row, 0)
    }

    async fn adjust(&self, session: &mut Session, changes: &[Adjustment]) -> Result<(), Fault> {
        if changes.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = changes.iter().map(|change| change.series.as_str()).collect();
        let slots: Vec<i64> = changes.iter().map(|change| change.slot).collect();
        let keeps: Vec<i64> = changes.iter().map(|change| change.keep_until).collect();
        let deltas: Vec<i64> = changes.iter().map(|change| change.delta).collect();
        call(session, &self.calls.adjust, &[&names, &slots, &keeps, &deltas]).await.map(drop)
    }

    async fn prune(&self, session: &mut Session) -> Result<bool, Fault> {
        self.unfinished.borrow_mut().retain(|_, sent| sent.elapsed() < LONGEST_CALL);
        let (part, next) = match self.pruning.take() {
            Pruning::Holds => (Pruning::Holds, Pruning::Slots),
            Pruning::Slots => (Pruning::Slots, Pruning::Series(Vec::new())),
            Pruning::Series(after) => (Pruning::Series(after), Pruning::Settled),
            Pruning::Settled => (Pruning::Settled, Pruning::Holds),
        };
        // If this part fails, pruning goes on with the next one.
        *self.pruning.borrow_mut() = next;
        let (rest, is_last) = match part {
            Pruning::Holds => {
                let row = call(session, &self.calls.prune_holds, &[&PRUNED_AT_ONCE]).await?;
                (value::<bool>(&row, 0)?.then_some(Pruning::Holds), false)
            }
            Pruning::Slots => {
                let row = call(session, &self.calls.prune_slots, &[&PRUNED_AT_ONCE]).await?;
                (value::<bool>(&row, 0)?.then_some(Pruning::Slots), false)
            }
            Pruning::Series(after) => {
                let row = call(session, &self.calls.prune_series, &[&after, &PRUNED_AT_ONCE]).await?;
                (value::<Option<Vec<u8>>>(&row, 0)?.map(Pruning::Series), false)
            }
            Pruning::Settled => {
                let row = call(session, &self.calls.prune_settled, &[&REMEMBERED, &PRUNED_AT_ONCE]).await?;
                (value::<bool>(&row, 0)?.then_some(Pruning::Settled), true)
            }
        };
        let has_more = rest.is_some() || !is_last;
        if let Some(rest) = rest {
            *self.pruning.borrow_mut() = rest;
        }
        Ok(has_more)
    }
}

/// Calls a function that returns one row. If another transaction was in the way, calls it once more.
async fn call(session: &Session, sql: &str, parameters: Parameters<'_>) -> Result<Row, Fault> {
    let statement = session.prepared(sql).await.map_err(fault)?;
    let result = session.query_one(&statement, parameters).await;
    let is_conflict = |error: &tokio_postgres::Error| {
        matches!(error.code(), Some(&SqlState::T_R_SERIALIZATION_FAILURE | &SqlState::T_R_DEADLOCK_DETECTED))
    };
    match result {
        Err(error) if is_conflict(&error) => session.query_one(&statement, parameters).await.map_err(fault),
        result => result.map_err(fault),
    }
}

fn value<'r, T: tokio_postgres::types::FromSql<'r>>(row: &'r Row, column: usize) -> Result<T, Fault> {
    row.try_get(column).map_err(fault)
}

/// Classifies an error: the classes 22 (data), 23 (constraints), and 54 (limits) concern the values of a request.
#[allow(clippy::needless_pass_by_value, reason = "the argument of `map_err`")]
fn fault(error: tokio_postgres::Error) -> Fault {
    let concerns_values = error.code().is_some_and(|code| matches!(code.code().get(..2), Some("22" | "23" | "54")));
    let cause = describe(&error);
    if concerns_values { Fault::Refused(cause) } else { Fault::Lost(cause) }
}

/// Adds the message of the server, which the error itself does not contain.
fn describe(error: &tokio_postgres::Error) -> Box<dyn Error + Send + Sync> {
    match error.source() {
        Some(cause) => format!("{error}: {cause}").into(),
        None => error.to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use tokio_postgres::NoTls;

    use super::*;

    #[tokio::test]
    #[ignore = "needs Postgres, which tests/run.sh starts"]
    async fn prunes_what_is_not_read_any_more() {
        let namespace = format!("p{}", &Uuid::new_v4().simple().to_string()[..16]);
        let url = std::env::var("DATABASE_URL").unwrap();
        let driver = PostgresDriver::new(Server::new(url.parse().unwrap(), NoTls), namespace.clone());
        let mut session = driver.open(Duration::from_secs(60)).await.unwrap();
        let sql = "INSERT INTO tagging_ledger_series (key, series, live, tat) VALUES
                ('a', 'empty', 0, 5), ('b', 'old', 1, 0), ('c', 'kept', 0, 0), ('d', 'paced', 0, 1::bigint << 60);
            INSERT INTO tagging_ledger_series (key, series)
                SELECT sha256(n::text::bytea), 'empty' FROM generate_series(1, 12000) AS n;
            INSERT INTO tagging_ledger_slots (key, slot, keep_until, settled, reserved) VALUES
                ('b', 1, 9, 7, 3), ('c', 1, 9, 7, 0), ('c', 2, 1::bigint << 60, 7, 4);
            INSERT INTO tagging_ledger_holds (id, key, slot, amount, ends) VALUES
                (gen_random_uuid(), 'b', 1, 3, 9), (gen_random_uuid(), 'b', NULL, 1, 9),
                (gen_random_uuid(), 'c', 2, 4, 1::bigint << 60);
            INSERT INTO tagging_ledger_settled SELECT gen_random_uuid(), t, r, '{}', '{}', '{}'
                FROM (VALUES (9, 9), (1::bigint << 60, 9), (9, 1::bigint << 60)) AS u(t, r)";
        session.batch_execute(&schema::named(sql, &namespace)).await.unwrap();
        let mut calls = 1;
        while driver.prune(&mut session).await.unwrap() {
            calls += 1;
        }
        // The series take three calls.
        assert_eq!(calls, 6);
        let sql = "SELECT (SELECT string_agg(series, ' ' ORDER BY key) FROM tagging_ledger_series),
            (SELECT string_agg(slot::text, ' ') FROM tagging_ledger_slots),
            (SELECT string_agg(amount::text, ' ') FROM tagging_ledger_holds),
            (SELECT count(*) FROM tagging_ledger_settled)";
        let row = session.query_one(&schema::named(sql, &namespace), &[]).await.unwrap();
        let left: [String; 3] = [0, 1, 2].map(|column| row.get(column));
        assert_eq!((left, row.get::<_, i64>(3)), (["kept paced", "2", "4"].map(str::to_owned), 2));
    }
}
