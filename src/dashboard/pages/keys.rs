//! The keys of tags: how many requests have them, how many values they have, and which of them are active.

use std::{collections::BTreeMap, time::Duration};

use askama::Template;
use axum::{
    extract::{RawForm, State},
    response::{IntoResponse, Redirect, Response},
};
use http::request::Parts;

use crate::{
    analytics::{Analytics, Dimension, KeyInfo, Measure, Query},
    dashboard::{
        format,
        frame::Frame,
        html,
        key_changes::FailedKeyChange,
        page_error::PageError,
        page_request::PageRequest,
        posted_form::PostedForm,
        series_chart::amount,
        state::DashboardState,
        view::{UrlQuery, View},
        visible_key::VisibleKey,
    },
    registry::Permission,
};

/// The largest number of keys whose coverage a page shows.
const MAX_KEYS: usize = 30;
/// How long the answer waits for a key to be deactivated.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Template)]
#[template(path = "keys.html", config = "src/dashboard/askama.toml")]
struct KeysPage {
    frame: Frame,
    keys: Vec<KeyRow>,
    can_change: bool,
    /// The changes that failed: action, key, time, and reason.
    failures: Vec<(&'static str, String, String, String)>,
}

struct KeyRow {
    name: String,
    href: String,
    state: &'static str,
    badge: &'static str,
    is_active: bool,
    requests: String,
    costs: String,
    distinct: String,
    stored: String,
    last_seen: String,
    hint: Option<String>,
}

pub(crate) async fn keys(State(state): State<DashboardState>, head: Parts) -> Result<Response, PageError> {
    let request = PageRequest::read(&state, &head, Permission::AnalyticsView, &[])?;
    let own = UrlQuery::default();
    if let Some(redirect) = request.canonical(&own) {
        return Ok(redirect);
    }
    let view = &request.view;
    let sees_all = request.grant.filters().is_empty();
    let mut known = state.keys().await?;
    // The names and counts of keys that are not active are those of all tenants.
    known.retain(|key| sees_all || key.is_active);
    known.sort_by(|one, other| other.is_active.cmp(&one.is_active).then(other.requests.cmp(&one.requests)));
    let active: Vec<&KeyInfo> = known.iter().filter(|key| key.is_active).take(MAX_KEYS).collect();
    let measures = |key: &&KeyInfo| {
        let name = key.name.clone();
        [Measure::Coverage(name.clone()), Measure::CostCoverage(name.clone()), Measure::Distinct(Dimension::tag(name))]
    };
    let query = active.iter().flat_map(measures).fold(view.query(view.time_range()?), Query::measure);
    let answer = state.run(&query.measure(Measure::Requests), &request.grant).await?;
    let hints = hints(request.keys().await?);
    let mut rows = Vec::new();
    for key in &known {
        let at = active.iter().position(|other| other.name == key.name);
        let value = |offset: usize| at.and_then(|at| amount(Some(&answer.total), at * 3 + offset));
        let is_seen = value(2).is_some_and(|distinct| distinct.as_f64() > 0.0);
        if sees_all || is_seen {
            let values = [value(0), value(1), value(2)].map(format::amount);
            rows.push(KeyRow::new(key, view, &request, values, sees_all, &hints));
        }
    }
    let page = KeysPage {
        frame: request
            .filtered_frame("Keys", "keys", &own)
            .await?
            .with_trust(request.trust(&answer.basis).with_totals(&answer.basis, &answer.total.totals)),
        keys: rows,
        can_change: sees_all && request.grant.allows(Permission::Admin),
        failures: if sees_all && request.grant.allows(Permission::Admin) { failures(&request) } else { Vec::new() },
    };
    html::page(&page)
}

fn failures(request: &PageRequest) -> Vec<(&'static str, String, String, String)> {
    let failures = request.state.key_changes.failures().into_iter().rev();
    let text = |failure: FailedKeyChange| {
        (failure.action, failure.key, format::time(failure.time, &request.view.zone), failure.reason)
    };
    failures.map(text).collect()
}

impl KeyRow {
    fn new(
        key: &KeyInfo,
        view: &View,
        request: &PageRequest,
        [requests, costs, distinct]: [String; 3],
        sees_all: bool,
        hints: &BTreeMap<String, String>,
    ) -> Self {
        let (state, badge) = match key {
            KeyInfo { is_active: true, is_indexed: true, .. } => ("active", "badge"),
            KeyInfo { is_active: true, .. } => ("being activated", "badge warn"),
            _ => ("not active", "badge"),
        };
        let unknown = || format::UNKNOWN.to_owned();
        let dimension = Dimension::tag(key.name.clone());
        Self {
            href: super::by_href(&request.mount, &dimension, view.query_string()),
            state,
            badge,
            is_active: key.is_active,
            requests,
            costs,
            distinct: if key.is_active { distinct } else { format!("~{}", format::count(key.distinct_values)) },
            stored: if sees_all { format::count(key.requests) } else { unknown() },
            last_seen: match key.last_seen {
                Some(time) if sees_all => format::time(time, &view.zone),
                _ => unknown(),
            },
            hint: hints.get(&key.name).cloned(),
            name: key.name.clone(),
        }
    }
}

/// Returns, for each key that is written like another one, the key that more requests have.
fn hints(keys: &[VisibleKey]) -> BTreeMap<String, String> {
    let plain = |name: &str| -> String {
        name.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let mut most: BTreeMap<String, &VisibleKey> = BTreeMap::new();
    for key in keys {
        let place = most.entry(plain(&key.name)).or_insert(key);
        if key.by_use(place).is_gt() {
            *place = key;
        }
    }
    let hint = |key: &VisibleKey| {
        let other = most.get(&plain(&key.name))?;
        (other.name != key.name && key.is_used()).then(|| (key.name.clone(), other.name.clone()))
    };
    keys.iter().filter_map(hint).collect()
}

/// Activates a key.
pub(crate) async fn activate(
    State(state): State<DashboardState>,
    head: Parts,
    RawForm(body): RawForm,
) -> Result<Response, PageError> {
    let (analytics, key) = change(&state, &head, &body)?;
    // The stored requests are added in the background. The page shows that it goes on.
    tokio::spawn(async move {
        let result = analytics.activate_key(&key).await;
        state.key_changes.end(&key, "activate", result);
    });
    Ok(Redirect::to("../keys").into_response())
}

/// Deactivates a key.
pub(crate) async fn deactivate(
    State(state): State<DashboardState>,
    head: Parts,
    RawForm(body): RawForm,
) -> Result<Response, PageError> {
    let (analytics, key) = change(&state, &head, &body)?;
    // It goes on if the caller leaves, so that it is not left half done and without an entry in the log of changes.
    let task = tokio::spawn(async move {
        let result = analytics.deactivate_key(&key).await;
        state.key_changes.end(&key, "deactivate", result);
    });
    let _ = tokio::time::timeout(PATIENCE, task).await;
    Ok(Redirect::to("../keys").into_response())
}

/// Returns the key of a form, if the caller may change it, and the handle that changes it.
fn change(state: &DashboardState, head: &Parts, body: &[u8]) -> Result<(Analytics, String), PageError> {
    let form = PostedForm::read(state, head, body)?;
    if !form.grant.allows(Permission::Admin) || !form.grant.filters().is_empty() {
        return Err(PageError::forbidden("Only administrators of all requests may change keys."));
    }
    let key = form.require("key")?.to_owned();
    Ok((form.analytics, key))
}
