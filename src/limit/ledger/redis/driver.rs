use std::{cell::RefCell, ops::Range, time::Duration};

use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, RedisResult, Script,
    ServerErrorKind, Value, aio::MultiplexedConnection, cmd,
};

use super::{
    super::{
        amounts::whole_second,
        backend::{Adjustment, CheckKind, CheckState, REMEMBERED, Reserved, Settlement, SlotUsage},
        remote::{Done, Driver, Fault, OwnedReservation, Work},
        scan_pages::{count_series, keep_series},
    },
    scripts::Scripts,
};

/// Times and rates beyond are not exact in Lua, and mean more than a century.
const LONGEST: i64 = 1 << 52;
const BILLION: i128 = 1_000_000_000;
/// The number of series that one script reads, so that requests wait for a moment only.
const SERIES_AT_ONCE: usize = 200;

/// Runs the scripts of the ledger in Redis.
pub(super) struct RedisDriver {
    client: Client,
    /// The node of a cluster that has the keys, once the configured one has named it.
    moved: RefCell<Option<Client>>,
    /// The start of all keys.
    keys: String,
    scripts: Scripts,
    /// Where pruning goes on.
    cursor: RefCell<String>,
}

impl RedisDriver {
    pub(super) fn new(client: Client, namespace: &str) -> Self {
        Self {
            client,
            moved: RefCell::default(),
            // The version is that of the layout. The braces put all keys into one slot of a cluster.
            keys: format!("{{{namespace}}}:1:"),
            scripts: Scripts::new(),
            cursor: RefCell::new("0".to_owned()),
        }
    }

    /// Starts a call of a script with the key that a cluster finds its node by.
    fn call(&self, script: &Script) -> Cmd {
        let mut call = cmd("EVALSHA");
        call.arg(script.get_hash()).arg(1).arg(format!("{}index", self.keys)).arg(&self.keys);
        call
    }

    fn reserve(&self, reservation: &OwnedReservation) -> Cmd {
        let mut call = self.call(&self.scripts.reserve);
        call.arg(reservation.id.simple().to_string()).arg(reservation.lease.min(LONGEST));
        for check in &reservation.checks {
            call.arg(reservation.series(check)).arg(i32::from(check.is_enforced));
            let (kind, numbers) = match check.kind {
                CheckKind::Budget { from, slot, keep_until, amount, limit, .. } => {
                    (0, [from, slot, keep_until.min(LONGEST), amount, limit])
                }
                CheckKind::Rate { increment, tolerance } => {
                    (1, [0, 0, 0, increment.min(LONGEST), tolerance.min(LONGEST)])
                }
                CheckKind::Concurrency { limit } => (2, [0, 0, 0, 1, limit]),
            };
            call.arg(kind).arg(&numbers[..]);
        }
        call
    }

    fn settle(&self, settlement: &Settlement) -> Cmd {
        let mut call = self.call(&self.scripts.settle);
        call.arg(settlement.id.simple().to_string()).arg(settlement.time).arg(REMEMBERED).arg(settlement.charges.len());
        for charge in &settlement.charges {
            call.arg(&charge.series).arg(charge.slot).arg(charge.keep_until.min(LONGEST)).arg(charge.amount);
        }
        for rate in &settlement.rates {
            call.arg(&rate.series).arg(rate.micros.clamp(-LONGEST, LONGEST));
        }
        call
    }

    /// Runs commands in one round trip. Scripts that the server does not have are loaded first.
    async fn run(&self, session: &mut MultiplexedConnection, calls: &[Cmd]) -> Result<Vec<RedisResult<Value>>, Fault> {
        let mut results = self.send(session, calls).await?;
        let with_results = calls.iter().zip(&results);
        let missing: Vec<Cmd> =
            with_results.filter(|(_, result)| lacks_script(result)).map(|(call, _)| call.clone()).collect();
        if missing.is_empty() {
            return Ok(results);
        }
        // The cache was flushed, or another server took over. Nothing was done by the calls that failed.
        let mut again: Vec<Cmd> = self.scripts.texts.iter().map(|text| load(text)).collect();
        let first = again.len();
        again.extend(missing);
        let answers = self.send(session, &again).await?.into_iter().skip(first);
        for (result, answer) in results.iter_mut().filter(|result| lacks_script(result)).zip(answers) {
            *result = answer;
        }
        Ok(results)
    }

    /// Sends commands, and sends them again if another node of the cluster has the keys: this one has done nothing.
    async fn send(&self, session: &mut MultiplexedConnection, calls: &[Cmd]) -> Result<Vec<RedisResult<Value>>, Fault> {
        let results = self.exchange(session, calls).await?;
        if !results.iter().any(has_moved) {
            return Ok(results);
        }
        *session = self.connect().await?;
        self.exchange(session, calls).await
    }

    async fn exchange(
        &self,
        session: &mut MultiplexedConnection,
        calls: &[Cmd],
    ) -> Result<Vec<RedisResult<Value>>, Fault> {
        let mut pipeline = Pipeline::with_capacity(calls.len());
        for call in calls {
            pipeline.add_command(call.clone());
        }
        pipeline.ignore_errors();
        let results: Vec<RedisResult<Value>> =
            pipeline.query_async(session).await.map_err(|error| Fault::Lost(error.into()))?;
        for error in results.iter().filter_map(|result| result.as_ref().err()) {
            self.follow(error);
        }
        Ok(results)
    }

    async fn connect(&self) -> Result<MultiplexedConnection, Fault> {
        // Callers have their own limit.
        let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        let moved = self.moved.borrow_mut().take();
        if let Some(client) = moved
            && let Ok(session) = client.get_multiplexed_async_connection_with_config(&config).await
        {
            // Stays, until connecting fails.
            *self.moved.borrow_mut() = Some(client);
            return Ok(session);
        }
        let opened = self.client.get_multiplexed_async_connection_with_config(&config).await;
        opened.map_err(|error| Fault::Lost(error.into()))
    }

    /// Connects to another node of the cluster next time, if the keys are there.
    fn follow(&self, error: &RedisError) {
        let Some((host, port)) = error.redirect_node().and_then(|(address, _)| address.rsplit_once(':')) else {
            return;
        };
        let Ok(port) = port.parse() else { return };
        let known = self.client.get_connection_info();
        let address = match known.addr().clone() {
            redis::ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
                redis::ConnectionAddr::TcpTls { host: host.to_owned(), port, insecure, tls_params }
            }
            _ => redis::ConnectionAddr::Tcp(host.to_owned(), port),
        };
        *self.moved.borrow_mut() = Client::open(known.clone().set_addr(address)).ok();
    }

    async fn run_one<T: FromRedisValue>(&self, session: &mut MultiplexedConnection, call: Cmd) -> Result<T, Fault> {
        let result = self.run(session, &[call]).await?.into_iter().next();
        decode(result.unwrap_or(Ok(Value::Nil)))
    }

    /// Returns the results of a part of the commands of [`Work`].
    fn all(results: &mut Vec<RedisResult<Value>>, part: Range<usize>) -> Result<(), Fault> {
        results.drain(part).try_for_each(|result| decode::<Value>(result).map(drop))
    }
}

impl Driver for RedisDriver {
    const KIND: &'static str = "redis";
    type Session = MultiplexedConnection;

    async fn open(&self, _: Duration) -> Result<MultiplexedConnection, Fault> {
        self.connect().await
    }

    /// A connection that was lost fails at once.
    fn is_usable(&self, _: &MultiplexedConnection) -> bool {
        true
    }

    async fn work(&self, session: &mut MultiplexedConnection, work: &Work) -> Done {
        let mut calls: Vec<Cmd> = work.settlements.iter().map(|settlement| self.settle(settlement)).collect();
        let settlements = calls.len();
        if !work.extensions.is_empty() {
            let mut call = self.call(&self.scripts.extend);
            for (id, lease) in &work.extensions {
                call.arg(id.simple().to_string()).arg((*lease).min(LONGEST));
            }
            calls.push(call);
        }
        let extensions = calls.len() - settlements;
        calls.extend(work.reservations.iter().map(|reservation| self.reserve(reservation)));
        let mut results = match self.run(session, &calls).await {
            Ok(results) => results,
            Err(fault) => return Done::failed(&fault),
        };
        let settled = Self::all(&mut results, 0..settlements);
        let extended = Self::all(&mut results, 0..extensions);
        let reserved = work.reservations.iter().zip(results).map(|(reservation, result)| reserved(reservation, result));
        Done { settled, extended, reserved: reserved.collect() }
    }

    async fn scan(
        &self,
        session: &mut MultiplexedConnection,
        (prefix, after): (&str, &str),
        from_slot: i64,
        limit: usize,
    ) -> Result<Vec<SlotUsage>, Fault> {
        let (mut found, mut count) = (Vec::new(), 0);
        let mut after = after.to_owned();
        while count < limit {
            let mut call = self.call(&self.scripts.scan);
            call.arg(prefix).arg(&after).arg(from_slot).arg(SERIES_AT_ONCE);
            let mut answer = self.run_one::<Vec<String>>(session, call).await?.into_iter();
            after = answer.next().unwrap_or_default();
            let mut part = Vec::new();
            while let (Some(series), Some(slot), Some(settled), Some(reserved)) =
                (answer.next(), answer.next(), answer.next(), answer.next())
            {
                part.push(SlotUsage {
                    series,
                    slot: number(&slot)?,
                    settled: number(&settled)?,
                    reserved: number(&reserved)?,
                });
            }
            count += count_series(&part);
            found.extend(part);
            if after.is_empty() {
                break;
            }
        }
        keep_series(&mut found, limit);
        Ok(found)
    }

    async fn settled_before(
        &self,
        session: &mut MultiplexedConnection,
        slots: &[(String, i64)],
        before: i64,
    ) -> Result<Vec<i64>, Fault> {
        let mut found = Vec::with_capacity(slots.len());
        for part in slots.chunks(SERIES_AT_ONCE) {
            let mut call = self.call(&self.scripts.settled_before);
            call.arg(whole_second(before) / 1_000_000);
            for (series, slot) in part {
                call.arg(series).arg(*slot);
            }
            let answer: Vec<i64> = self.run_one(session, call).await?;
            found.extend(answer.as_chunks().0.iter().map(|[billions, rest]| whole(*billions, *rest)));
        }
        Ok(found)
    }

    async fn adjust(&self, session: &mut MultiplexedConnection, changes: &[Adjustment]) -> Result<(), Fault> {
        if changes.is_empty() {
            return Ok(());
        }
        let mut call = self.call(&self.scripts.adjust);
        for Adjustment { series, slot, keep_until, delta } in changes {
            call.arg(series).arg(*slot).arg((*keep_until).min(LONGEST)).arg(*delta);
        }
        self.run_one::<i64>(session, call).await.map(drop)
    }

    async fn prune(&self, session: &mut MultiplexedConnection) -> Result<bool, Fault> {
        let mut call = self.call(&self.scripts.prune);
        call.arg(&*self.cursor.borrow());
        let cursor: String = self.run_one(session, call).await?;
        let has_more = cursor != "0";
        *self.cursor.borrow_mut() = cursor;
        Ok(has_more)
    }
}

fn lacks_script(result: &RedisResult<Value>) -> bool {
    result.as_ref().is_err_and(|error| error.kind() == ErrorKind::Server(ServerErrorKind::NoScript))
}

fn has_moved(result: &RedisResult<Value>) -> bool {
    result.as_ref().is_err_and(|error| error.kind() == ErrorKind::Server(ServerErrorKind::Moved))
}

fn load(text: &str) -> Cmd {
    let mut call = cmd("SCRIPT");
    call.arg("LOAD").arg(text);
    call
}

/// Reads the answer of the script: whether it is admitted, and for each check whether it passes, and what is used.
fn reserved(reservation: &OwnedReservation, result: RedisResult<Value>) -> Result<Reserved, Fault> {
    let answer: Vec<i64> = decode(result)?;
    let is_admitted = answer.first() == Some(&1);
    if is_admitted && !reservation.wants_states {
        return Ok(Reserved { is_admitted, states: Vec::new() });
    }
    let (states, _) = answer.get(1..).unwrap_or_default().as_chunks();
    let state =
        |[passes, billions, rest]: &[i64; 3]| CheckState { passes: *passes == 1, used: whole(*billions, *rest) };
    Ok(Reserved { is_admitted, states: states.iter().map(state).collect() })
}

/// Joins what Lua keeps apart. Sums that 64 bits cannot hold become the nearest number that they can.
fn whole(billions: i64, rest: i64) -> i64 {
    let sum = i128::from(billions) * BILLION + i128::from(rest);
    i64::try_from(sum).unwrap_or(if sum < 0 { i64::MIN } else { i64::MAX })
}

fn number(text: &str) -> Result<i64, Fault> {
    text.parse().map_err(|error| Fault::Refused(format!("expected a number, found {text:?}: {error}").into()))
}

fn decode<T: FromRedisValue>(result: RedisResult<Value>) -> Result<T, Fault> {
    let value = result.map_err(fault)?;
    T::from_redis_value(value).map_err(|error| Fault::Refused(error.into()))
}

/// Classifies errors: those of a script concern what it was called with, unless they repeat that the server takes no writes.
fn fault(error: RedisError) -> Fault {
    match error.kind() {
        ErrorKind::Server(ServerErrorKind::ResponseError) if !error.detail().is_some_and(says_no_writes) => {
            Fault::Refused(error.into())
        }
        _ => Fault::Lost(error.into()),
    }
}

/// Before version 7, Redis puts the errors of commands into those of their scripts.
fn says_no_writes(detail: &str) -> bool {
    let mut words = detail.split(|letter: char| !letter.is_ascii_uppercase());
    words.any(|word| matches!(word, "READONLY" | "OOM" | "MISCONF" | "NOREPLICAS"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_server_within_that_of_a_script_is_no_refusal() {
        let is_lost = |text: &str| {
            let error =
                redis::parse_redis_value(format!("-{text}\r\n").as_bytes()).unwrap().extract_error().unwrap_err();
            matches!(fault(error), Fault::Lost(_))
        };
        let script = "ERR Error running script (call to f_0a1b): @user_script:71: ";
        for cause in
            ["-READONLY You can't write against a read only replica.", "-OOM command not allowed", "-MISCONF Redis"]
        {
            assert!(is_lost(&format!("{script}@user_script: 71: {cause}")), "{cause}");
        }
        assert!(is_lost("READONLY You can't write against a read only replica.") && is_lost("NOREPLICAS Not enough"));
        assert!(!is_lost(&format!("{script}ERR hash value is not an integer")));
        assert!(!is_lost("ERR wrong number of arguments for 'hset' command"));
    }

    #[test]
    fn joins_billions_and_the_rest() {
        assert_eq!(whole(9_223_372_036, 854_775_807), i64::MAX);
        assert_eq!(whole(9_223_372_036, 854_775_808), i64::MAX);
        assert_eq!(whole(-1, 999_999_999), -1);
        assert_eq!(whole(-9_223_372_037, 145_224_192), i64::MIN);
        assert_eq!(whole(-9_223_372_037, 145_224_191), i64::MIN);
    }
}
