//! Workspaces, API keys, and virtual keys, with their state and last use. Secrets are never shown.

use std::{collections::BTreeMap, time::SystemTime};

use axum::{extract::State, response::Response};
use http::request::Parts;

use crate::{
    analytics::{
        Amount, Basis, Field, Measure, Totals,
        jiff::{Timestamp, tz::TimeZone},
    },
    dashboard::{
        format, html,
        load::QueryLoad,
        page_error::PageError,
        page_request::PageRequest,
        state::DashboardState,
        table::{Cell, Table, TableRow},
        view::{Condition, UrlQuery},
    },
    registry::{Permission, PrincipalStatus, VirtualKeyStatus},
};

use super::tables::TablesPage;

/// The largest number of answers with the last use of keys.
const MAX_PAGES: usize = 5;
/// The label of the row with the requests of no other row: those without a value, and those of unlisted ones.
const OTHERS: &str = "Other requests";

pub(crate) async fn access(State(state): State<DashboardState>, head: Parts) -> Result<Response, PageError> {
    let request = PageRequest::read(&state, &head, Permission::KeysList, &[])?;
    let own = UrlQuery::default();
    if let Some(redirect) = request.canonical(&own) {
        return Ok(redirect);
    }
    let view = &request.view;
    let Some(registry) = state.access.registry() else {
        let notes = vec!["The host application has its own login, and no registry of keys.".to_owned()];
        let frame = request.frame("Access", "access").await;
        return html::page(&TablesPage { frame, notes, tables: Vec::new() });
    };
    let usage = async |field: Field| Usage::read(&state, &request, field).await;
    let (workspaces, keys, virtual_keys) =
        (usage(Field::Workspace).await?, usage(Field::ApiKey).await?, usage(Field::VirtualKey).await?);
    let snapshot = registry.snapshot();
    let now = SystemTime::now();
    let own_workspace = request.grant.workspace();
    let sees_all = request.grant.filters().is_empty();
    let may_see = |slug: Option<&str>| sees_all || own_workspace.is_some() && slug == own_workspace;
    let link = |field: Field, name: &str| {
        let query = view.with(Condition::of_group(&field.into(), Some(name))).query_string();
        Some(request.mount.link("", &query.text()))
    };
    let expiry = |end: Option<SystemTime>| end.map_or_else(|| "never".to_owned(), |end| format::time(end, &view.zone));

    let mut workspace_table =
        Table::new("workspaces", "Workspaces", &["Workspace", "<Name", "Requests", "Cost", "Last use"]);
    for workspace in snapshot.workspaces.iter().filter(|workspace| may_see(Some(&workspace.slug))) {
        let mut cells = vec![Cell::text(workspace.display_name.clone().unwrap_or_default())];
        cells.extend(workspaces.cells(&workspace.slug, &view.zone));
        let href = link(Field::Workspace, &workspace.slug);
        workspace_table.rows.push(TableRow { label: workspace.slug.to_string(), href, cells, is_unset: false });
    }
    add_others(&mut workspace_table, &workspaces, 1, &view.zone);
    "There are no workspaces. Define them in the configuration file.".clone_into(&mut workspace_table.empty);

    let columns = ["Key", "<Workspace", "<State", "<Permissions", "Expires", "Requests", "Cost", "Last use"];
    let mut key_table = Table::new("api-keys", "API keys", &columns);
    for key in &snapshot.keys {
        let workspace = key.workspace.and_then(|at| snapshot.workspaces.get(at)).map(|workspace| &*workspace.slug);
        if !may_see(workspace) {
            continue;
        }
        let (status, badge) = match key.status_at(now) {
            PrincipalStatus::Known => ("active", "badge"),
            PrincipalStatus::Disabled => ("disabled", "badge warn"),
            _ => ("expired", "badge bad"),
        };
        let permissions: Vec<&str> = key.permissions.iter().map(Permission::as_str).collect();
        let mut cells = vec![
            Cell::text(workspace.unwrap_or_default()),
            Cell::badge(status, badge),
            Cell::text(permissions.join(", ")),
            Cell::number(expiry(key.expires_at)),
        ];
        cells.extend(keys.cells(&key.name, &view.zone));
        let href = link(Field::ApiKey, &key.name);
        key_table.rows.push(TableRow { label: key.name.to_string(), href, cells, is_unset: false });
    }
    add_others(&mut key_table, &keys, 4, &view.zone);
    "There are no API keys. Create one with `tagging key new`.".clone_into(&mut key_table.empty);

    let columns = ["Virtual key", "<Provider", "<State", "<Workspaces", "Expires", "Requests", "Cost", "Last use"];
    let mut virtual_table = Table::new("virtual-keys", "Virtual keys", &columns);
    for key in &snapshot.virtual_keys {
        if !sees_all && !own_workspace.is_some_and(|slug| key.is_for_workspace(slug)) {
            continue;
        }
        let (status, badge) = match key.status_at(now) {
            VirtualKeyStatus::Active => ("active", "badge"),
            VirtualKeyStatus::Exhausted => ("exhausted", "badge warn"),
            VirtualKeyStatus::Expired => ("expired", "badge bad"),
        };
        // The other workspaces of a shared key are not this workspace's business.
        let shown = key.workspaces.iter().filter(|slug| may_see(Some(slug)));
        let mut cells = vec![
            Cell::text(key.provider_name()),
            Cell::badge(status, badge),
            Cell::text(shown.cloned().collect::<Vec<_>>().join(", ")),
            Cell::number(expiry(key.expires_at)),
        ];
        cells.extend(virtual_keys.cells(key.slug(), &view.zone));
        let href = link(Field::VirtualKey, key.slug());
        virtual_table.rows.push(TableRow { label: key.slug().to_owned(), href, cells, is_unset: false });
    }
    add_others(&mut virtual_table, &virtual_keys, 4, &view.zone);
    "There are no virtual keys. Define them in the configuration file.".clone_into(&mut virtual_table.empty);

    let usages = [&workspaces, &keys, &virtual_keys].map(|usage| usage.0.as_ref());
    let mut notes = vec!["Requests, cost, and last use are those of the range and the filters.".to_owned()];
    if usages.into_iter().flatten().any(|known| !known.is_complete) {
        notes.push(format!(
            "There are too many values to read all of them. Rows with {} may have requests, which are then part of \
             \"{OTHERS}\".",
            format::UNKNOWN
        ));
    }
    let mut frame = request.filtered_frame("Access", "access", &own).await?;
    if let Some(known) = &keys.0 {
        frame = frame.with_trust(request.trust(&known.basis).with_totals(&known.basis, &known.total));
    }
    html::page(&TablesPage { frame, notes, tables: vec![workspace_table, key_table, virtual_table] })
}

/// Adds a row with the requests of no row, so that the rows add up to all requests.
fn add_others(table: &mut Table, usage: &Usage, columns_before: usize, zone: &TimeZone) {
    let names: Vec<&str> = table.rows.iter().map(|row| row.label.as_str()).collect();
    let Some(used) = usage.others(&names, zone).filter(|_| !names.is_empty()) else { return };
    let mut cells = vec![Cell::text(""); columns_before];
    cells.extend(used);
    table.rows.push(TableRow { label: OTHERS.to_owned(), href: None, cells, is_unset: true });
}

/// The use of each value of a field. `None` for callers who do not see sums.
#[derive(Default)]
struct Usage(Option<Known>);

struct Known {
    /// The sums by value. `None` is that of requests without a value.
    groups: BTreeMap<Option<String>, Totals>,
    total: Totals,
    basis: Basis,
    /// `true` if these are all values.
    is_complete: bool,
}

impl Usage {
    async fn read(state: &DashboardState, request: &PageRequest, field: Field) -> Result<Self, PageError> {
        // Whoever lists keys does not always see sums.
        if !request.grant.allows(Permission::AnalyticsView) {
            return Ok(Self::default());
        }
        let view = &request.view;
        let query = view.query(view.time_range()?).group_by(field).limit(QueryLoad::MAX_GROUPS);
        let mut query = query.measure(Measure::Requests).measure(Measure::Cost).measure(Measure::LastSeen);
        let mut groups = BTreeMap::new();
        let mut pages = 1;
        loop {
            let answer = state.run(&query, &request.grant).await?;
            let found = answer.groups.into_iter();
            groups.extend(found.map(|group| (group.values.into_iter().next().flatten(), group.cell.totals)));
            query.cursor = answer.next;
            if query.cursor.is_none() || pages >= MAX_PAGES {
                let is_complete = query.cursor.is_none();
                return Ok(Self(Some(Known { groups, total: answer.total.totals, basis: answer.basis, is_complete })));
            }
            pages += 1;
        }
    }

    fn cells(&self, name: &str, zone: &TimeZone) -> Vec<Cell> {
        let totals = |known: &Known| match known.groups.get(&Some(name.to_owned())) {
            Some(totals) => amounts(totals),
            None if known.is_complete => [Some(Amount::Count(0)), None, None],
            None => [None; 3],
        };
        cells(self.0.as_ref().map_or([None; 3], totals), zone)
    }

    /// Returns the use of all values but some. `None` if there is none.
    fn others(&self, names: &[&str], zone: &TimeZone) -> Option<Vec<Cell>> {
        let known = self.0.as_ref()?;
        let is_named = |value: &Option<String>| value.as_deref().is_some_and(|name| names.contains(&name));
        let mut rest = known.total.clone();
        for (_, named) in known.groups.iter().filter(|(value, _)| is_named(value)) {
            rest.requests = rest.requests.saturating_sub(named.requests);
            rest.cost_nanos = rest.cost_nanos.saturating_sub(named.cost_nanos);
            rest.priced = rest.priced.saturating_sub(named.priced);
            rest.partially_priced = rest.partially_priced.saturating_sub(named.partially_priced);
            rest.unpriced = rest.unpriced.saturating_sub(named.unpriced);
        }
        let [requests, cost, _] = amounts(&rest);
        let others = known.groups.iter().filter(|(value, _)| !is_named(value));
        let last = others.filter_map(|(_, totals)| amounts(totals).into_iter().next_back().flatten());
        let last = last.reduce(|one, other| if other.as_f64() > one.as_f64() { other } else { one });
        (rest.requests > 0).then(|| cells([requests, cost, last.filter(|_| known.is_complete)], zone))
    }
}

/// Returns the requests, their known cost, and the last use.
fn amounts(totals: &Totals) -> [Option<Amount>; 3] {
    let nanos = |nanos: u64| Amount::NanoUsd(i64::try_from(nanos).unwrap_or(i64::MAX));
    let last = totals.last_seen().and_then(|time| Timestamp::try_from(time).ok());
    [Some(Amount::Count(totals.requests)), totals.known_cost_nanos().map(nanos), last.map(Amount::Time)]
}

fn cells(values: [Option<Amount>; 3], zone: &TimeZone) -> Vec<Cell> {
    values.into_iter().map(|value| Cell::number(format::local_amount(value, zone))).collect()
}
