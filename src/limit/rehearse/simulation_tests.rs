use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use proptest::prelude::*;
use uuid::Uuid;

use crate::{
    analytics::TimeRange,
    limit::{
        rules::{Amount, LimitDecision, LimitMode, LimitRule, OnMissing},
        window::Window,
    },
    row::EventRow,
    usage::Money,
};

use super::{Rehearsal, simulation::Simulation};

const START: &str = "2026-03-28T20:00:00Z";

#[derive(Clone, Debug)]
struct Request {
    /// Milliseconds after the previous request.
    pause: u64,
    millis: u64,
    key: Option<u8>,
    team: Option<u8>,
    /// In cents. `None` if the price of the model is unknown.
    cents: Option<u64>,
    is_rejected: bool,
}

fn request() -> impl Strategy<Value = Request> {
    (
        prop_oneof![Just(0_u64), 0_u64..1_500, Just(3_600_000), Just(12 * 3_600_000)],
        0_u64..5_000,
        prop::option::weighted(0.9, 0_u8..3),
        prop::option::weighted(0.8, 0_u8..3),
        prop::option::weighted(0.9, 0_u64..300),
        prop::bool::weighted(0.05),
    )
        .prop_map(|(pause, millis, key, team, cents, is_rejected)| Request {
            pause,
            millis,
            key,
            team,
            cents,
            is_rejected,
        })
}

fn rows(requests: &[Request]) -> Vec<EventRow> {
    let mut time = humantime::parse_rfc3339(START).unwrap();
    let row = |(number, request): (usize, &Request)| {
        time += Duration::from_millis(request.pause);
        let mut row = EventRow::blank();
        row.id = Uuid::from_u128(number as u128 + 1);
        row.requested_at = time;
        row.responded_at = time + Duration::from_millis(request.millis);
        row.api_key = request.key.map(|key| format!("key-{key}"));
        row.workspace = request.key.map(|key| format!("workspace-{}", key / 2));
        if let Some(team) = request.team {
            row.raw_metadata.insert("team", format!("team-{team}"));
        }
        row.usage_status = Some("reported".to_owned());
        row.total_cost_nanos = request.cents.map(|cents| cents * 10_000_000);
        row.cost_status = Some(if request.cents.is_some() { "priced" } else { "unpriced_model" }.to_owned());
        row.rejection = request.is_rejected.then(|| "unknown_key".to_owned());
        row
    };
    requests.iter().enumerate().map(row).collect()
}

/// A daily budget per team, a rate per key with running requests, and an hourly budget that is only watched.
fn rules() -> Vec<Arc<LimitRule>> {
    let cost = |usd: &str| Amount::cost(usd.parse::<Money>().unwrap());
    let budget = LimitRule::budget("daily", cost("5"), Window::day("Europe/Berlin").unwrap())
        .group_by("metadata.team")
        .on_missing(OnMissing::Deny)
        .on_unpriced(LimitDecision::Deny)
        .on_store_error(LimitDecision::Deny)
        .raise(cost("1"), humantime::parse_rfc3339("2026-03-29T06:00:00Z").unwrap());
    let rate = LimitRule::rate("rate", Amount::requests(2), Duration::from_secs(1))
        .burst(Amount::requests(3))
        .concurrent(2)
        .group_by("api_key")
        .on_store_error(LimitDecision::Allow);
    let watched = LimitRule::budget("watched", Amount::requests(4), Window::hour("UTC").unwrap())
        .when("metadata.team", ["team-0", "team-1"])
        .mode(LimitMode::Shadow)
        .on_store_error(LimitDecision::Allow);
    [budget, rate, watched].into_iter().map(|builder| Arc::new(builder.build().unwrap())).collect()
}

fn range() -> TimeRange {
    TimeRange::parse(START, "2027-01-01T00:00:00Z", "Europe/Berlin").unwrap()
}

fn rehearsed(rows: &[EventRow]) -> Rehearsal {
    let mut simulation = Simulation::new(rules(), &range()).unwrap();
    rows.iter().for_each(|row| simulation.add(row));
    simulation.finish()
}

/// Decides about each request by looking at all earlier ones.
#[derive(Default)]
struct Naive<'r> {
    /// The requests that passed.
    passed: Vec<&'r EventRow>,
    /// The rejected requests of each rule.
    rejected: [Vec<&'r EventRow>; 3],
    applied: [u64; 3],
    all_rejected: u64,
}

impl<'r> Naive<'r> {
    fn add(&mut self, row: &'r EventRow) {
        let team = row.raw_metadata.get("team");
        let mut failing = Vec::new();
        self.applied[0] += 1;
        self.applied[1] += u64::from(row.api_key.is_some());
        let is_watched = matches!(team, Some("team-0" | "team-1"));
        self.applied[2] += u64::from(is_watched);
        let is_refused = team.is_none() || row.total_cost_nanos.is_none();
        if is_refused {
            failing.push(0);
        } else {
            if !self.has_budget(row) {
                failing.push(0);
            }
            if row.api_key.is_some() && !(self.has_rate(row) && self.has_slot(row)) {
                failing.push(1);
            }
            if is_watched && self.watched(row) >= 4 {
                failing.push(2);
            }
        }
        if failing.iter().any(|rule| *rule != 2) {
            self.all_rejected += 1;
        } else {
            self.passed.push(row);
        }
        failing.into_iter().for_each(|rule| self.rejected[rule].push(row));
    }

    /// The days of Berlin around the change of the clock at 1:00 UTC of March 29.
    fn day(time: SystemTime) -> u64 {
        let seconds = time.duration_since(UNIX_EPOCH).unwrap().as_secs();
        let change = humantime::parse_rfc3339("2026-03-29T01:00:00Z").unwrap();
        (seconds + if time < change { 3_600 } else { 7_200 }) / 86_400
    }

    fn has_budget(&self, row: &EventRow) -> bool {
        let is_same = |other: &&&EventRow| {
            other.raw_metadata.get("team") == row.raw_metadata.get("team")
                && Self::day(other.requested_at) == Self::day(row.requested_at)
        };
        let used: u64 = self.passed.iter().filter(is_same).filter_map(|other| other.total_cost_nanos).sum();
        let is_raised = row.requested_at < humantime::parse_rfc3339("2026-03-29T06:00:00Z").unwrap();
        let limit = if is_raised { 6_000_000_000 } else { 5_000_000_000 };
        used + row.total_cost_nanos.unwrap().max(1) <= limit
    }

    /// A bucket of three requests that drains one each half second.
    fn has_rate(&self, row: &EventRow) -> bool {
        let (mut level, mut last) = (Duration::ZERO, row.requested_at);
        for other in self.passed.iter().filter(|other| other.api_key == row.api_key) {
            let passed = other.requested_at.duration_since(last).unwrap_or_default();
            level = level.saturating_sub(passed) + Duration::from_millis(500);
            last = other.requested_at;
        }
        let passed = row.requested_at.duration_since(last).unwrap_or_default();
        level.saturating_sub(passed) + Duration::from_millis(500) <= Duration::from_millis(1_500)
    }

    fn has_slot(&self, row: &EventRow) -> bool {
        let is_running = |other: &&&EventRow| other.api_key == row.api_key && other.responded_at > row.requested_at;
        self.passed.iter().filter(is_running).count() < 2
    }

    fn watched(&self, row: &EventRow) -> usize {
        let hour = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap().as_secs() / 3_600;
        let is_same = |other: &&&EventRow| {
            matches!(other.raw_metadata.get("team"), Some("team-0" | "team-1"))
                && hour(other.requested_at) == hour(row.requested_at)
        };
        self.passed.iter().filter(is_same).count()
    }
}

proptest! {
    #[test]
    fn equals_a_naive_simulation(requests in prop::collection::vec(request(), 0..80)) {
        let rows = rows(&requests);
        let found = rehearsed(&rows);
        let considered: Vec<&EventRow> = rows.iter().filter(|row| row.rejection.is_none()).collect();
        let mut naive = Naive::default();
        considered.iter().for_each(|row| naive.add(row));
        prop_assert_eq!(found.requests, considered.len() as u64);
        prop_assert_eq!(found.already_rejected, (rows.len() - considered.len()) as u64);
        prop_assert_eq!(found.rejected, naive.all_rejected);
        for (at, rule) in found.rules.iter().enumerate() {
            let expected = &naive.rejected[at];
            prop_assert_eq!(rule.requests, naive.applied[at], "{}", rule.rule);
            prop_assert_eq!(rule.rejected, expected.len() as u64, "{}", rule.rule);
            let saved = expected.iter().filter_map(|row| row.total_cost_nanos).sum();
            prop_assert_eq!(rule.saved, Money::from_nano_usd(saved));
            let mut keys: Vec<_> = expected.iter().filter_map(|row| row.api_key.clone()).collect();
            keys.sort();
            keys.dedup();
            prop_assert_eq!(rule.api_keys.count, keys.len() as u64);
            let mut days: Vec<u64> = expected.iter().map(|row| Naive::day(row.requested_at)).collect();
            days.dedup();
            prop_assert_eq!(u64::from(rule.days), days.len() as u64);
            let time = |row: Option<&&EventRow>| row.map(|row| jiff::Timestamp::try_from(row.requested_at).unwrap());
            prop_assert_eq!(rule.first_rejection, time(expected.first()));
            prop_assert_eq!(rule.last_rejection, time(expected.last()));
        }
    }
}

#[test]
fn lists_who_is_affected() {
    let request = |key: u8, team: u8| Request {
        pause: 1_000,
        millis: 10,
        key: Some(key),
        team: Some(team),
        cents: Some(200),
        is_rejected: false,
    };
    // Three requests of each team fit into 6 USD.
    let requests: Vec<Request> = (0..5).flat_map(|_| [request(0, 0), request(1, 1), request(2, 1)]).collect();
    let found = rehearsed(&rows(&requests));
    let budget = &found.rules[0];
    assert_eq!((found.requests, found.rejected, budget.rejected), (15, 9, 9));
    assert_eq!(found.saved, Money::from_nano_usd(9 * 2_000_000_000));
    assert_eq!((budget.groups.count, budget.api_keys.count, budget.workspaces.count), (2, 3, 2));
    assert!(budget.groups.is_exact);
    let top: Vec<_> = budget.groups.top.iter().map(|group| (group.values[0].as_deref(), group.rejected)).collect();
    assert_eq!(top, [(Some("team-1"), 7), (Some("team-0"), 2)]);
    assert_eq!(budget.days, 1);
    assert!(found.rules[1].groups.top.is_empty() && found.rules[1].groups.count == 0);
}

#[test]
fn names_of_rules_are_unique() {
    let mut rules = rules();
    rules.push(Arc::clone(&rules[0]));
    assert!(Simulation::new(rules, &range()).is_err());
}
