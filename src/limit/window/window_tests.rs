use std::time::Duration;

use jiff::{Timestamp, tz::TimeZone};
use proptest::prelude::*;

use super::{CalendarUnit, Period, PeriodCache, Window};

const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3_600 * SECOND;

/// Zones with changes by an hour, half an hour, and a day, and with changes at midnight.
const ZONES: &[&str] = &[
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Santiago",
    "America/St_Johns",
    "America/Havana",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Asia/Gaza",
    "Africa/Cairo",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Chatham",
];

fn at(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_microsecond()
}

fn window(text: &str, zone: &str, fiscal_start: Option<&str>) -> Window {
    Window::parse(text, zone, fiscal_start).unwrap()
}

/// Checks the window around a time by the texts of its start and end.
#[track_caller]
fn assert_around(window: &Window, time: &str, start: &str, end: &str) {
    let Period { from, slot, end: found, .. } = window.period(at(time));
    assert_eq!((from, slot, found), (at(start), at(start), at(end)), "{window} around {time}");
}

#[test]
fn days_follow_both_changes_of_the_clock() {
    let berlin = window("day", "Europe/Berlin", None);
    assert_around(&berlin, "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z");
    assert_around(&berlin, "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z");
    let new_york = window("day", "America/New_York", None);
    assert_around(&new_york, "2026-03-08T12:00:00Z", "2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z");
    assert_around(&new_york, "2026-11-01T12:00:00Z", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z");
}

#[test]
fn a_day_without_midnight_starts_at_its_first_instant() {
    // The clock goes from 0:00 to 1:00.
    let santiago = window("day", "America/Santiago", None);
    assert_around(&santiago, "2025-09-07T04:00:00Z", "2025-09-07T04:00:00Z", "2025-09-08T03:00:00Z");
    assert_around(&santiago, "2025-09-07T03:59:59.999999Z", "2025-09-06T04:00:00Z", "2025-09-07T04:00:00Z");
    // The clock goes from 24:00 to 23:00, so that the day has 25 hours.
    assert_around(&santiago, "2025-04-06T03:30:00Z", "2025-04-05T03:00:00Z", "2025-04-06T04:00:00Z");
    let beirut = window("day", "Asia/Beirut", None);
    assert_around(&beirut, "2025-03-29T22:00:00Z", "2025-03-29T22:00:00Z", "2025-03-30T21:00:00Z");
}

#[test]
fn a_skipped_day_has_no_window() {
    // Samoa crossed the date line: December 30 did not exist.
    let apia = window("day", "Pacific/Apia", None);
    assert_around(&apia, "2011-12-30T09:59:59Z", "2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z");
    assert_around(&apia, "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z");
}

#[test]
fn a_date_that_occurs_twice_does_not_start_again() {
    // On November 7, 2010 at 0:01, the clock went back to 23:01 of November 6.
    let st_johns = window("day", "America/St_Johns", None);
    assert_around(&st_johns, "2010-11-07T02:30:30Z", "2010-11-07T02:30:00Z", "2010-11-08T03:30:00Z");
    assert_around(&st_johns, "2010-11-07T03:00:00Z", "2010-11-07T02:30:00Z", "2010-11-08T03:30:00Z");
}

#[test]
fn hours_follow_the_clock() {
    let berlin = window("hour", "Europe/Berlin", None);
    // The hour from 2:00 to 3:00 occurs twice.
    assert_around(&berlin, "2026-10-25T00:30:00Z", "2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z");
    assert_around(&berlin, "2026-10-25T01:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z");
    let kathmandu = window("hour", "Asia/Kathmandu", None);
    assert_around(&kathmandu, "2026-06-01T00:20:00Z", "2026-06-01T00:15:00Z", "2026-06-01T01:15:00Z");
    // The clock goes from 2:00 to 1:30, and from 2:00 to 2:30.
    let lord_howe = window("hour", "Australia/Lord_Howe", None);
    assert_around(&lord_howe, "2026-04-04T14:59:00Z", "2026-04-04T14:00:00Z", "2026-04-04T15:00:00Z");
    assert_around(&lord_howe, "2026-04-04T15:10:00Z", "2026-04-04T15:00:00Z", "2026-04-04T15:30:00Z");
    assert_around(&lord_howe, "2026-10-03T15:10:00Z", "2026-10-03T14:30:00Z", "2026-10-03T15:30:00Z");
    assert_around(&lord_howe, "2026-10-03T15:40:00Z", "2026-10-03T15:30:00Z", "2026-10-03T16:00:00Z");
}

#[test]
fn weeks_start_on_monday() {
    let week = window("week", "Europe/Berlin", None);
    assert_around(&week, "2026-03-29T21:59:59Z", "2026-03-22T23:00:00Z", "2026-03-29T22:00:00Z");
    assert_around(&week, "2026-03-29T22:00:00Z", "2026-03-29T22:00:00Z", "2026-04-05T22:00:00Z");
    assert_around(&window("week", "UTC", None), "2026-01-01T00:00:00Z", "2025-12-29T00:00:00Z", "2026-01-05T00:00:00Z");
}

#[test]
fn months_have_their_own_lengths() {
    let month = window("month", "UTC", None);
    for (time, start, end) in [
        ("2026-02-28T23:59:59.999999Z", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"),
        ("2028-02-29T12:00:00Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"),
        ("2026-04-30T23:00:00Z", "2026-04-01T00:00:00Z", "2026-05-01T00:00:00Z"),
        ("2026-12-31T23:00:00Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ("2000-02-29T00:00:00Z", "2000-02-01T00:00:00Z", "2000-03-01T00:00:00Z"),
    ] {
        assert_around(&month, time, start, end);
    }
    let berlin = window("month", "Europe/Berlin", None);
    assert_around(&berlin, "2026-03-31T22:00:00Z", "2026-03-31T22:00:00Z", "2026-04-30T22:00:00Z");
    assert_around(&berlin, "2026-03-31T21:59:59Z", "2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z");
}

#[test]
fn quarters_and_years_start_with_the_fiscal_year() {
    let year = window("year", "Europe/London", Some("04-06"));
    assert_around(&year, "2026-04-05T22:59:59Z", "2025-04-05T23:00:00Z", "2026-04-05T23:00:00Z");
    assert_around(&year, "2026-04-05T23:00:00Z", "2026-04-05T23:00:00Z", "2027-04-05T23:00:00Z");
    let leap = window("year", "UTC", Some("03-01"));
    assert_around(&leap, "2028-02-29T12:00:00Z", "2027-03-01T00:00:00Z", "2028-03-01T00:00:00Z");
    let last = window("year", "UTC", Some("12-31"));
    assert_around(&last, "2026-12-31T00:00:00Z", "2026-12-31T00:00:00Z", "2027-12-31T00:00:00Z");
    let quarter = window("quarter", "UTC", Some("02-01"));
    assert_around(&quarter, "2026-01-31T00:00:00Z", "2025-11-01T00:00:00Z", "2026-02-01T00:00:00Z");
    assert_around(&quarter, "2026-02-01T00:00:00Z", "2026-02-01T00:00:00Z", "2026-05-01T00:00:00Z");
    let month = window("month", "UTC", Some("04-25"));
    assert_around(&month, "2026-03-01T00:00:00Z", "2026-02-25T00:00:00Z", "2026-03-25T00:00:00Z");
}

#[test]
fn equal_windows_have_the_same_name() {
    for (text, zone, start, name) in [
        ("hour", "utc", None, "hour UTC"),
        ("day", "europe/berlin", None, "day Europe/Berlin"),
        ("month", "Europe/Berlin", Some("04-01"), "month Europe/Berlin"),
        ("month", "Europe/Berlin", Some("04-06"), "month Europe/Berlin 01-06"),
        ("quarter", "UTC", Some("10-01"), "quarter UTC"),
        ("quarter", "UTC", Some("11-15"), "quarter UTC 02-15"),
        ("year", "UTC", Some("10-01"), "year UTC 10-01"),
        ("30d rolling", "Europe/Berlin", None, "30d rolling"),
        ("24h rolling", "UTC", None, "1d rolling"),
        ("90m rolling", "UTC", None, "90m rolling"),
        ("61s rolling", "UTC", None, "61s rolling"),
    ] {
        assert_eq!(window(text, zone, start).to_string(), name);
    }
    let anchored = Window::days(7, "2026-01-01T12:00:00.0000009Z".parse().unwrap()).unwrap();
    assert_eq!(anchored.to_string(), "7d from 2026-01-01T12:00:00Z");
}

#[test]
fn rejects_invalid_windows() {
    for (text, zone, start, message) in [
        ("fortnight", "UTC", None, "invalid window \"fortnight\": expected hour, day"),
        ("30d", "UTC", None, "invalid window \"30d\""),
        ("30drolling", "UTC", None, "invalid window"),
        ("rolling", "UTC", None, "invalid window"),
        ("-1d rolling", "UTC", None, "invalid window"),
        ("59s rolling", "UTC", None, "invalid rolling window"),
        ("1500ms rolling", "UTC", None, "invalid rolling window"),
        ("90000d rolling", "UTC", None, "invalid rolling window"),
        ("month", "Europe/Atlantis", None, "unknown time zone \"Europe/Atlantis\""),
        ("1h rolling", "Europe/Atlantis", None, "unknown time zone"),
        ("day", "UTC", Some("04-01"), "invalid fiscal start: only windows of"),
        ("30d rolling", "UTC", Some("04-01"), "invalid fiscal start: only windows of"),
        ("year", "UTC", Some("02-29"), "invalid fiscal start: expected a month and a day that exist"),
        ("year", "UTC", Some("13-01"), "invalid fiscal start: expected a month"),
        ("quarter", "UTC", Some("01-31"), "invalid fiscal start: expected a day up to 28"),
        ("year", "UTC", Some("4-1"), "invalid fiscal start \"4-1\""),
        ("year", "UTC", Some("+4-01"), "invalid fiscal start \"+4-01\""),
        ("year", "UTC", Some("april"), "invalid fiscal start \"april\""),
    ] {
        let error = Window::parse(text, zone, start).unwrap_err().to_string();
        assert!(error.starts_with(message), "{text}: {error}");
    }
    assert!(Window::days(0, Timestamp::UNIX_EPOCH).is_err());
}

#[test]
fn extreme_times_are_within_bounds() {
    for unit in CalendarUnit::ALL {
        for time in [i64::MIN, -1, 0, i64::MAX] {
            for zone in ZONES {
                let period = Window::calendar(*unit, zone).unwrap().period(time);
                assert!(period.slot < period.end && period.end < period.keep_until, "{unit} {zone} {time}");
            }
        }
    }
    for time in [i64::MIN, i64::MAX] {
        let period = window("30d rolling", "UTC", None).period(time);
        assert!(period.from <= period.slot && period.slot <= period.end);
        let period = Window::days(1, Timestamp::MAX).unwrap().period(time);
        assert!(period.slot <= period.end);
    }
}

/// A unit of the calendar as a number that grows with time, from the date and time on the clocks.
fn label(unit: CalendarUnit, zone: &TimeZone, time: i64) -> i64 {
    let clock = zone.to_datetime(Timestamp::from_microsecond(time).unwrap());
    let date = clock.date();
    let epoch_days = TimeZone::UTC.to_timestamp(clock).unwrap().as_second().div_euclid(86_400);
    match unit {
        CalendarUnit::Hour => unreachable!("hours may be repeated"),
        CalendarUnit::Day => epoch_days,
        // 1970 started on a Thursday.
        CalendarUnit::Week => (epoch_days + 3).div_euclid(7),
        CalendarUnit::Month => i64::from(date.year()) * 12 + i64::from(date.month()),
        CalendarUnit::Quarter => i64::from(date.year()) * 4 + (i64::from(date.month()) - 1) / 3,
        CalendarUnit::Year => i64::from(date.year()),
    }
}

/// The starts of the units within a range, found by looking at the clock every minute.
fn scanned_starts(unit: CalendarUnit, zone: &TimeZone, from: i64, to: i64) -> Vec<i64> {
    let mut highest = label(unit, zone, from);
    let mut starts = Vec::new();
    let mut time = from;
    while time < to {
        time += 60 * SECOND;
        let next = label(unit, zone, time);
        if next > highest {
            highest = next;
            starts.push(time);
        }
    }
    starts
}

fn any_unit() -> impl Strategy<Value = CalendarUnit> {
    prop::sample::select(CalendarUnit::ALL)
}

fn any_zone() -> impl Strategy<Value = &'static str> {
    prop::sample::select(ZONES)
}

/// Windows with any fiscal start, rolling windows, and windows of days.
fn any_window() -> impl Strategy<Value = Window> {
    let calendar = (any_unit(), any_zone(), 1_i8..=12, 1_i8..=28).prop_map(|(unit, zone, month, day)| {
        let window = Window::calendar(unit, zone).unwrap();
        window.clone().fiscal_start(month, day).unwrap_or(window)
    });
    let rolling = (60_u64..10_000_000).prop_map(|seconds| Window::rolling(Duration::from_secs(seconds)).unwrap());
    let days = (1_u16..400, -1_000_000_000_000_i64..4_000_000_000_000_000)
        .prop_map(|(days, anchor)| Window::days(days, Timestamp::from_microsecond(anchor).unwrap()).unwrap());
    prop_oneof![4 => calendar, 1 => rolling, 1 => days]
}

/// Times from 1990 to 2040, also directly before and after changes of the clock.
fn any_time() -> impl Strategy<Value = i64> {
    let range = at("1990-01-01T00:00:00Z")..at("2040-01-01T00:00:00Z");
    let near_change = (range.clone(), any_zone(), -2 * HOUR..2 * HOUR).prop_map(|(time, zone, distance)| {
        let zone = TimeZone::get(zone).unwrap();
        let time = Timestamp::from_microsecond(time).unwrap();
        let change = zone.following(time).next().map_or(time, |change| change.timestamp());
        change.as_microsecond() + distance
    });
    prop_oneof![range, near_change]
}

proptest! {
    #[test]
    fn periods_partition_time(window in any_window(), time in any_time(), inner in 0.0_f64..1.0) {
        let period = window.period(time);
        prop_assert!(period.contains(time), "{window}: {period:?} at {time}");
        // Each instant of the slot has the same period.
        #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
        let other = period.slot + ((period.end - period.slot - 1) as f64 * inner) as i64;
        for instant in [period.slot, other, period.end - 1] {
            prop_assert_eq!(window.period(instant), period, "{} at {}", window, instant);
        }
        // The slots are contiguous.
        prop_assert_eq!(window.period(period.end).slot, period.end);
        prop_assert_eq!(window.period(period.slot - 1).end, period.slot);
    }

    #[test]
    fn a_cached_period_is_that_of_the_window(window in any_window(), times in prop::collection::vec(any_time(), 1..20)) {
        let cache = PeriodCache::default();
        for time in times {
            for instant in [time, time + 1, window.period(time).end - 1, window.period(time).end, time - HOUR] {
                prop_assert_eq!(cache.period(&window, instant), window.period(instant));
            }
        }
    }

    #[test]
    fn no_slot_is_longer_than_stated(window in any_window(), time in any_time()) {
        let period = window.period(time);
        let counted = u64::try_from(period.end - period.from).unwrap();
        prop_assert!(Duration::from_micros(counted) <= window.longest() + Duration::from_secs(2 * 3_600), "{window}");
    }

    #[test]
    fn rolling_windows_never_count_too_little(seconds in 60_u64..10_000_000, time in any_time()) {
        let length = i64::try_from(seconds).unwrap() * SECOND;
        let window = Window::rolling(Duration::from_secs(seconds)).unwrap();
        let period = window.period(time);
        prop_assert!(period.from <= time - length);
        // At most a slot too much, and the rounding of thirty slots to microseconds.
        prop_assert!(period.from >= time - length - length / 30 - 31);
        // Every slot is aligned, so that its counts are found again later.
        let width = period.end - period.slot;
        prop_assert_eq!(period.from.rem_euclid(width), 0);
        // The current slot counts until its end is older than the window, and is kept for longer.
        let last = window.period(period.keep_until - 2 * 24 * HOUR - 1);
        prop_assert!(last.from <= period.slot);
        prop_assert!(window.period(period.keep_until - 2 * 24 * HOUR).from > period.slot);
    }

    #[test]
    fn changes_of_the_clock_are_exact(zone in any_zone(), year in 2_000_i32..2_030, day in 0_i64..360) {
        let start = at(&format!("{year}-01-01T00:00:00Z")) + day * 24 * HOUR;
        let zone_name = zone;
        let zone = TimeZone::get(zone).unwrap();
        let end = start + 4 * 24 * HOUR;
        let window = Window::day(zone_name).unwrap();
        let mut found = Vec::new();
        let mut next = window.period(start).end;
        while next <= end {
            found.push(next);
            next = window.period(next).end;
        }
        prop_assert_eq!(found, scanned_starts(CalendarUnit::Day, &zone, start, end), "{} in {}", zone_name, year);
    }
}

#[test]
fn boundaries_agree_with_the_clock_on_the_wall() {
    for zone_name in ["Europe/Berlin", "America/Santiago", "Australia/Lord_Howe", "America/St_Johns"] {
        let zone = TimeZone::get(zone_name).unwrap();
        for (from, to) in [
            ("2010-09-20T12:00:00Z", "2010-11-20T12:00:00Z"),
            ("2027-12-20T12:00:00Z", "2028-01-10T12:00:00Z"),
            ("2028-02-20T12:00:00Z", "2028-04-10T12:00:00Z"),
        ] {
            for unit in CalendarUnit::ALL.iter().copied().filter(|unit| *unit != CalendarUnit::Hour) {
                let window = Window::calendar(unit, zone_name).unwrap();
                let mut next = window.period(at(from)).end;
                let mut found = Vec::new();
                while next <= at(to) {
                    found.push(next);
                    next = window.period(next).end;
                }
                assert_eq!(found, scanned_starts(unit, &zone, at(from), at(to)), "{unit} {zone_name} {from}");
            }
        }
    }
}
