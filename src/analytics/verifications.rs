//! The verifications of sums.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use crate::{store::Verification, time::whole_micros};

#[cfg(any(feature = "postgres", feature = "sqlite"))]
use super::record_jobs::{AddVerification, ExpireDifferences, LastVerification, ListVerifications};
use super::{Analytics, QueryError, TimeRange, analytics_source::Source};

const DAY_SECONDS: i64 = 24 * 60 * 60;
const DAY_NANOS: i128 = 1_000_000_000 * DAY_SECONDS as i128;
/// The largest number of bytes that are kept of the differences.
const MAX_DETAILS: usize = 4_000;

#[cfg_attr(
    not(any(feature = "postgres", feature = "sqlite")),
    allow(clippy::unused_async, reason = "only databases wait")
)]
impl Analytics {
    /// Returns the newest verifications of sums, at most 1,000.
    ///
    /// A verification replaces the earlier ones whose range it covers. The details of differences contain values of tags.
    ///
    /// # Errors
    /// Returns [`QueryError::Store`] if the store fails.
    pub async fn verifications(&self, limit: u32) -> Result<Vec<Verification>, QueryError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        match &self.source {
            Source::Memory(store) => Ok(store.with_records(|records| records.verifications(limit))),
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            _ => self.execute(ListVerifications(limit)).await,
        }
    }

    /// Returns the verification that decides whether sums can be trusted: the newest one with differences that were not
    /// resolved since, or else the newest one. `None` if sums were never verified.
    ///
    /// Differences are resolved by a verification without differences, or a [rebuild](Self::rebuild), of their whole range. They
    /// expire with the rows of their range, without which nothing can be compared.
    ///
    /// # Errors
    /// Returns [`QueryError::Store`] if the store fails.
    pub async fn last_verification(&self) -> Result<Option<Verification>, QueryError> {
        match &self.source {
            Source::Memory(store) => Ok(store.with_records(|records| records.last_verification())),
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            _ => self.execute(LastVerification).await,
        }
    }

    /// Removes the days before the first whole day after a time from verifications with differences.
    pub(super) async fn expire_differences(&self, time: SystemTime) -> Result<(), QueryError> {
        let time = Timestamp::try_from(time).unwrap_or_default();
        let before = day((time.as_nanosecond() + DAY_NANOS - 1).div_euclid(DAY_NANOS));
        match &self.source {
            Source::Memory(store) => {
                store.with_records(|records| records.expire_differences(before));
                Ok(())
            }
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            _ => self.execute(ExpireDifferences(before)).await,
        }
    }

    /// Stores the result of a verification of the days of a range.
    pub(super) async fn record_verification(
        &self,
        range: &TimeRange,
        now: SystemTime,
        differences: &[String],
        is_rebuild: bool,
    ) -> Result<(), QueryError> {
        let mut details = String::new();
        for difference in differences {
            if details.len() + difference.len() > MAX_DETAILS {
                break;
            }
            details.push_str(difference);
            details.push('\n');
        }
        let verification = Verification {
            time: whole_micros(now),
            from: day(range.from().as_second().div_euclid(DAY_SECONDS)),
            // A last day that has only begun is verified as well.
            to: day((range.to().as_nanosecond() + DAY_NANOS - 1).div_euclid(DAY_NANOS)),
            differences: differences.len() as u64,
            details,
            is_rebuild,
        };
        match &self.source {
            Source::Memory(store) => store.with_records(|records| records.add_verification(verification)),
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            _ => self.execute(AddVerification(verification)).await?,
        }
        Ok(())
    }
}

/// Returns the start of a day in UTC.
pub(super) fn day_start(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second().div_euclid(DAY_SECONDS) * DAY_SECONDS).unwrap_or(time)
}

/// Returns the start of a day, which is counted from the first one of 1970.
fn day(number: impl TryInto<u64>) -> SystemTime {
    let seconds = number.try_into().unwrap_or(0).saturating_mul(DAY_SECONDS.unsigned_abs());
    whole_micros(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}
