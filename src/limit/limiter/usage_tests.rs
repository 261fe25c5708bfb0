//! The usage of many groups.

use std::time::{Duration, UNIX_EPOCH};

use futures_executor::block_on;
use uuid::Uuid;

use super::{
    super::{
        ledger::backend::{Charge, Settlement},
        rules::{Amount, LimitDecision, LimitKind, LimitRule},
        series,
        window::Window,
    },
    Limiter,
};

#[test]
fn groups_of_rolling_windows_have_all_their_parts() {
    let window = Window::rolling(Duration::from_secs(30 * 60)).unwrap();
    let rule = LimitRule::budget("rolling", Amount::requests(1_000), window);
    let rule = rule.group_by("workspace").on_unpriced(LimitDecision::Allow).on_store_error(LimitDecision::Deny);
    let limiter = Limiter::builder().rule(rule.build().unwrap()).build().unwrap();
    let micros = 1_700_000_000_000_000;
    let set = limiter.current();
    let compiled = set.rules().next().unwrap();
    let LimitKind::Budget { window, .. } = compiled.rule.kind() else { panic!("expected a budget") };
    let period = window.period(micros);
    let width = period.end - period.slot;
    let slots: Vec<i64> = (0..=30).map(|part| period.slot - part * width).filter(|slot| *slot >= period.from).collect();
    assert!(slots.len() >= 30, "{slots:?}");
    // More slots than groups that are read.
    let charges = (0..400).flat_map(|group| {
        let mut text = compiled.prefix.clone();
        series::write_group(&mut text, [Some(format!("w{group:03}"))].into_iter());
        let charge = move |slot: &i64| Charge { series: text.clone(), slot: *slot, keep_until: i64::MAX, amount: 2 };
        slots.iter().map(charge)
    });
    let settlement = Settlement { id: Uuid::now_v7(), time: micros, charges: charges.collect(), rates: Vec::new() };
    block_on(limiter.ledger().backend().settle(vec![settlement]).wait()).unwrap();
    let time = UNIX_EPOCH + Duration::from_micros(micros.unsigned_abs());
    let usage = block_on(limiter.usage_at(time)).unwrap();
    assert_eq!(usage.len(), 400);
    assert!(usage.iter().all(|usage| usage.settled.count == 2 * i64::try_from(slots.len()).unwrap()));
}
