use clap::Args;
use tower_tagging::analytics::{
    Filter, TimeRange,
    jiff::{SignedDuration, Timestamp, civil, tz::TimeZone},
};

use crate::{failure::Failure, filter};

/// The time of requests.
#[derive(Debug, Args)]
pub(crate) struct Period {
    /// The start: a time ago such as 30m, 24h, 7d, or 4w, a day, or an RFC 3339 time
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// The end, excluded, in the same forms [default: now]
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// The IANA time zone of days and of shown times
    #[arg(long, value_name = "NAME", default_value = "UTC")]
    zone: String,
}

/// The time of requests, and conditions on them.
#[derive(Debug, Args)]
pub(crate) struct Scope {
    #[command(flatten)]
    pub(crate) period: Period,
    /// A condition: KEY=VALUE, KEY!=VALUE, KEY^=PREFIX, KEY for any value, or !KEY for none. All must hold
    #[arg(long = "where", value_name = "CONDITION")]
    conditions: Vec<String>,
}

impl Period {
    /// Returns the range. `since` is the start if there is none.
    pub(crate) fn range(&self, since: &str) -> Result<TimeRange, Failure> {
        let now = Timestamp::now();
        let zone = self.zone()?;
        let from = time(self.since.as_deref().unwrap_or(since), now, &zone)?;
        let to = self.until.as_deref().map(|text| time(text, now, &zone)).transpose()?.unwrap_or(now);
        Ok(TimeRange::new(from, to)?.with_zone(zone))
    }

    pub(crate) fn zone(&self) -> Result<TimeZone, Failure> {
        TimeZone::get(&self.zone).map_err(|_| {
            let name = &self.zone;
            Failure::Usage(format!("unknown time zone {name:?}: expected an IANA name, such as Europe/Berlin"))
        })
    }

    /// Returns `true` if the range ends at the current time.
    pub(crate) fn is_open(&self) -> bool {
        self.until.is_none()
    }
}

impl Scope {
    pub(crate) fn filters(&self) -> Result<Vec<Filter>, Failure> {
        self.conditions.iter().map(|text| filter::parse(text)).collect()
    }
}

/// Reads a time: a duration ago, a day in the zone, or an instant.
fn time(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, Failure> {
    let invalid =
        || Failure::Usage(format!("invalid time {text:?}: expected 7d, 24h, 2026-06-01, or 2026-06-01T12:00:00Z"));
    if let Some(age) = age(text) {
        return now.checked_sub(age).map_err(|_| invalid());
    }
    if let Ok(day) = text.parse::<civil::Date>()
        && !text.contains(['T', 't', ' '])
    {
        return zone.to_timestamp(day.at(0, 0, 0, 0)).map_err(|_| invalid());
    }
    text.parse().map_err(|_| invalid())
}

/// Reads a number with a unit, such as `7d`.
fn age(text: &str) -> Option<SignedDuration> {
    const UNITS: [(char, i64); 5] = [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400), ('w', 604_800)];
    let (unit, seconds) = UNITS.into_iter().find(|(unit, _)| text.ends_with(*unit))?;
    let count: u32 = text.strip_suffix(unit)?.parse().ok()?;
    Some(SignedDuration::from_secs(i64::from(count) * seconds))
}
