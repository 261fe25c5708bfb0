//! Keys, pairs, upkeep, and the verification of sums.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
#[cfg(feature = "postgres")]
use tokio_postgres::error::SqlState;
use uuid::Builder;

use crate::{
    row::Dimension,
    store::{Change, KeyInfo, StoreError, Verification},
};
#[cfg(any(feature = "postgres", feature = "sqlite"))]
use crate::{
    store::rollup::KeptFrom,
    time::{LAST_MICRO, micros_since_1970},
};

#[cfg(feature = "sqlite")]
use super::analytics_store::blocking;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
use super::jobs::{Activate, Ensure, Maintain, Rebuild, Verify};
use super::{
    Analytics, AnalyticsSettings, QueryError, Retention, TimeRange, analytics_source::Source, verifications::day_start,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The number of days that are verified later if they were not verified in time.
const MAX_DAYS: usize = 7;
/// The number of verifications that are read to find the days that were verified.
const MAX_VERIFICATIONS: u32 = 1_000;

#[cfg_attr(
    not(any(feature = "postgres", feature = "sqlite")),
    allow(clippy::unused_async, reason = "only databases wait")
)]
impl Analytics {
    /// Activates a key: it is indexed, and sums are kept by its values, unless these are [too many](super#sums).
    ///
    /// Stored requests are included before this returns. Until then, queries by the key read rows. If the key was not active,
    /// this is a [change](Self::changes).
    ///
    /// # Errors
    /// Returns [`QueryError::Store`] if the key has more than 1,024 bytes, or if the store fails.
    pub async fn activate_key(&self, key: &str) -> Result<(), QueryError> {
        // A process may have been killed while it activated the key.
        let was_active = self.has_key(key, |info| info.is_active && info.is_indexed).await?;
        match &self.source {
            Source::Memory(store) => store.activate_key(key)?,
            #[cfg(feature = "sqlite")]
            Source::Sqlite(store) => {
                let (store, key) = (store.clone(), key.to_owned());
                blocking(move || Ok(store.activate_key(&key)?)).await?;
            }
            #[cfg(feature = "postgres")]
            Source::Postgres(store) => store.activate_key(key).await?,
        }
        self.record_if(!was_active, "activate key", key).await
    }

    /// Deactivates a key. Its index and its sums are deleted, so queries by the key read rows.
    ///
    /// # Errors
    /// As [`activate_key`](Self::activate_key).
    pub async fn deactivate_key(&self, key: &str) -> Result<(), QueryError> {
        let was_active = self.has_key(key, |info| info.is_active).await?;
        let result = self.deactivate_in_store(key).await;
        // If it fails halfway, the key is not active any more.
        let is_changed = was_active && (result.is_ok() || !self.has_key(key, |info| info.is_active).await?);
        self.record_if(is_changed, "deactivate key", key).await?;
        result
    }

    async fn deactivate_in_store(&self, key: &str) -> Result<(), QueryError> {
        match &self.source {
            Source::Memory(store) => Ok(store.deactivate_key(key)?),
            #[cfg(feature = "sqlite")]
            Source::Sqlite(store) => {
                let (store, key) = (store.clone(), key.to_owned());
                blocking(move || Ok(store.deactivate_key(&key)?)).await
            }
            #[cfg(feature = "postgres")]
            Source::Postgres(store) => Ok(store.deactivate_key(key).await?),
        }
    }

    /// Returns `true` if there is a key in a state.
    async fn has_key(&self, key: &str, is_so: impl Fn(&KeyInfo) -> bool) -> Result<bool, QueryError> {
        Ok(self.keys().await?.iter().any(|info| info.name == key && is_so(info)))
    }

    /// Records a change by the author of this handle, if there was one.
    async fn record_if(&self, is_changed: bool, action: &str, subject: &str) -> Result<(), QueryError> {
        if is_changed { self.record_change(Change::new(action, subject)).await } else { Ok(()) }
    }

    /// Activates the keys and pairs of the settings, and deactivates other keys.
    ///
    /// Other pairs stay active. Pass the retention of the settings to [`maintain`](Self::maintain).
    ///
    /// # Errors
    /// As [`activate_key`](Self::activate_key).
    pub async fn apply(&self, settings: &AnalyticsSettings) -> Result<(), QueryError> {
        let known = self.keys().await?;
        let wanted = settings.active_keys.clone();
        let wanted =
            wanted.unwrap_or_else(|| known.iter().filter(|key| key.is_active).map(|key| key.name.clone()).collect());
        for key in &wanted {
            // A process may have been killed between the steps of an activation.
            if !known.iter().any(|info| info.is_active && info.is_indexed && info.name == *key) {
                self.activate_key(key).await?;
            }
        }
        for key in known.iter().filter(|key| key.is_active && !wanted.contains(&key.name)) {
            self.deactivate_key(&key.name).await?;
        }
        #[cfg(any(feature = "postgres", feature = "sqlite"))]
        if !matches!(self.source, Source::Memory(_)) {
            let keys = wanted.iter().map(|key| vec![Dimension::tag(key).stored()]);
            let pairs = settings.pairs.iter().map(|(one, other)| vec![one.stored(), other.stored()]);
            for dimensions in self.execute(Ensure(keys.chain(pairs).collect())).await? {
                // The activation of a key was recorded above.
                if let [one, other] = dimensions.as_slice() {
                    self.record_if(true, "activate pair", &pair_name(one, other)).await?;
                }
            }
        }
        Ok(())
    }

    /// Keeps sums by the pairs of values of two dimensions, such as the tenant of a grant and a feature.
    ///
    /// Queries that group or filter by both are then answered from sums, the fastest if they filter by the first one. The
    /// workspace needs no pair. Stored requests are included before this returns.
    ///
    /// # Errors
    /// Returns [`QueryError::Store`] if the store fails.
    #[cfg_attr(
        not(any(feature = "postgres", feature = "sqlite")),
        allow(unused_variables, reason = "memory has no sums")
    )]
    pub async fn activate_pair(&self, one: Dimension, other: Dimension) -> Result<(), QueryError> {
        match &self.source {
            Source::Memory(_) => Ok(()),
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            _ => {
                let name = pair_name(&one, &other);
                let is_changed = self.execute(Activate(vec![one.stored(), other.stored()], true)).await?;
                self.record_if(is_changed, "activate pair", &name).await
            }
        }
    }

    /// Deletes the sums by the pairs of values of two dimensions.
    ///
    /// # Errors
    /// Returns [`QueryError::Store`] if the store fails.
    #[cfg_attr(
        not(any(feature = "postgres", feature = "sqlite")),
        allow(unused_variables, reason = "memory has no sums")
    )]
    pub async fn deactivate_pair(&self, one: Dimension, other: Dimension) -> Result<(), QueryError> {
        match &self.source {
            Source::Memory(_) => Ok(()),
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            _ => {
                let name = pair_name(&one, &other);
                let is_changed = self.execute(Activate(vec![one.stored(), other.stored()], false)).await?;
                self.record_if(is_changed, "deactivate pair", &name).await
            }
        }
    }

    /// Folds the sums of past buckets into coarser ones, and deletes what is older than the retention.
    ///
    /// Call it about once per hour. Answers are the same without it, but slower. The deleted requests of a day are a
    /// [change](Self::changes). Differences of sums expire with the rows that they concern.
    ///
    /// # Errors
    /// Returns [`QueryError::Store`] if the store fails.
    pub async fn maintain(&self, now: SystemTime, retention: Retention) -> Result<(), QueryError> {
        let before = |age: Option<Duration>| age.and_then(|age| now.checked_sub(age));
        #[cfg(any(feature = "postgres", feature = "sqlite"))]
        if !matches!(self.source, Source::Memory(_)) {
            let before = |age| before(age).map(micros_since_1970);
            let keep = KeptFrom { hours: before(retention.hours), days: before(retention.days) };
            self.execute(Maintain(micros_since_1970(now), keep)).await?;
        }
        let Some(time) = before(retention.rows) else { return Ok(()) };
        self.expire_differences(time).await?;
        let deleted = match &self.source {
            Source::Memory(store) => store.delete_before(time),
            #[cfg(feature = "sqlite")]
            Source::Sqlite(store) => {
                let store = store.clone();
                blocking(move || Ok(store.delete_before(time)?)).await?
            }
            #[cfg(feature = "postgres")]
            Source::Postgres(store) => store.delete_before(time).await?,
        };
        if deleted == 0 { Ok(()) } else { self.record_change(deletion(now, time, deleted)).await }
    }

    /// Compares the sums of a range with its rows, and returns each difference as a sentence.
    ///
    /// Sums are exact, so an empty list is expected. The range is extended to whole days in UTC.
    ///
    /// The result is kept as a [verification](Self::verifications), unless the store is open read-only. The result is also
    /// returned if the store fails to keep it, such as for a Postgres role with only `SELECT`. A warning is then logged.
    ///
    /// # Errors
    /// Returns [`StoreError::RowsDeleted`] if rows of the range were deleted, and [`QueryError::Store`] if the store fails.
    pub async fn verify(&self, range: &TimeRange) -> Result<Vec<String>, QueryError> {
        self.verify_at(range, SystemTime::now()).await
    }

    async fn verify_at(&self, range: &TimeRange, now: SystemTime) -> Result<Vec<String>, QueryError> {
        let differences = match &self.source {
            Source::Memory(_) => Vec::new(),
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            _ => self.execute(Verify(micros(range.from()), micros(range.to()))).await?,
        };
        match self.record_verification(range, now, &differences, false).await {
            Err(error) if !is_read_only(&error) => {
                let (from, to, differences) = (range.from(), range.to(), differences.len());
                tracing::warn!(%from, %to, differences, %error, "verification was not recorded");
            }
            _ => {}
        }
        Ok(differences)
    }

    /// [Verifies](Self::verify) the sums of a day in UTC: the newest of the last seven days that was not verified since it
    /// ended. So each day is verified once, also after a pause.
    ///
    /// Call it after [`maintain`](Self::maintain). It reads the rows of a day. Returns the differences, or `None` if nothing was
    /// verified, also because the rows of that day were deleted. A store that cannot keep verifications is verified by each
    /// call.
    ///
    /// # Errors
    /// Returns [`QueryError::Store`] if the store fails.
    pub async fn verify_if_due(&self, now: SystemTime) -> Result<Option<Vec<String>>, QueryError> {
        let verified = self.verifications(MAX_VERIFICATIONS).await?;
        let instant = |time: SystemTime| Timestamp::try_from(time).unwrap_or_default();
        let is_verified = |from: Timestamp, to: Timestamp| {
            let covers = |other: &Verification| instant(other.from) <= from && instant(other.to) >= to;
            verified.iter().any(|other| covers(other) && instant(other.time) >= to)
        };
        let mut to = day_start(instant(now));
        for _ in 0..MAX_DAYS {
            let from = to.saturating_sub(DAY).map_err(|error| QueryError::invalid(error.to_string()))?;
            if is_verified(from, to) {
                to = from;
                continue;
            }
            return match self.verify_at(&TimeRange::new(from, to)?, now).await {
                Ok(differences) => Ok(Some(differences)),
                Err(QueryError::Store(StoreError::RowsDeleted)) => Ok(None),
                Err(error) => Err(error),
            };
        }
        Ok(None)
    }

    /// Computes the sums of a range from its rows again.
    ///
    /// The range is extended to whole days in UTC. A transaction, for which writers wait, has a day with many requests, or up to
    /// 64 days with few. It is a [change](Self::changes), and counts as a [verification](Self::verifications).
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub async fn rebuild(&self, range: &TimeRange) -> Result<(), QueryError> {
        match &self.source {
            Source::Memory(_) => {}
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            _ => self.execute(Rebuild(micros(range.from()), micros(range.to()))).await?,
        }
        let (from, to) = (range.from().strftime("%Y-%m-%d"), range.to().strftime("%Y-%m-%d"));
        self.record_change(Change::new("rebuild sums", format!("{from} – {to}"))).await?;
        self.record_verification(range, SystemTime::now(), &[], true).await
    }
}

/// Returns `true` if a write failed because the store is open read-only.
#[cfg_attr(
    not(any(feature = "postgres", feature = "sqlite")),
    allow(unused_variables, reason = "only databases are open read-only")
)]
fn is_read_only(error: &QueryError) -> bool {
    let QueryError::Store(StoreError::Database { source, .. }) = error else { return false };
    #[cfg(feature = "sqlite")]
    if let Some(error) = source.downcast_ref::<rusqlite::Error>() {
        return error.sqlite_error_code() == Some(rusqlite::ErrorCode::ReadOnly);
    }
    // The server is a standby, or the connection or the role has `default_transaction_read_only`.
    #[cfg(feature = "postgres")]
    if let Some(error) = source.downcast_ref::<tokio_postgres::Error>() {
        return error.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION);
    }
    false
}

/// Returns the name of a pair of dimensions.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
fn pair_name(one: &Dimension, other: &Dimension) -> String {
    format!("{one} and {other}")
}

/// Returns the change of deleted requests, whose id is that of the day, so that the counts of a day add up.
fn deletion(now: SystemTime, before: SystemTime, count: u64) -> Change {
    let day = day_start(Timestamp::try_from(now).unwrap_or_default());
    let millis = u64::try_from(day.as_millisecond()).unwrap_or(0);
    let before = Timestamp::try_from(before).unwrap_or_default().strftime("%Y-%m-%d %H:%M UTC").to_string();
    let mut change = Change::new("delete requests", format!("older than {before}"));
    (change.id, change.count) = (Builder::from_unix_timestamp_millis(millis, &[0; 10]).into_uuid(), count);
    change
}

#[cfg(any(feature = "postgres", feature = "sqlite"))]
fn micros(time: Timestamp) -> u64 {
    u64::try_from(time.as_microsecond()).unwrap_or(0).min(LAST_MICRO + 1)
}
