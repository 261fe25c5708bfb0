//! Workspaces, API keys, and virtual keys, with their state and last use. Secrets are never shown.

use std::{collections::BTreeMap, time::SystemTime};

use axum::{extract::State, response::Response};
use http::request::Parts;

use crate::{
    analytics::{Amount, Answer, Field, Measure},
    dashboard::{
        format, html,
        load::QueryLoad,
        page_error::PageError,
        page_request::PageRequest,
        series_chart::amount,
        state::DashboardState,
        table::{Cell, Table, TableRow},
        view::{Condition, UrlQuery},
    },
    registry::{Permission, PrincipalStatus, VirtualKeyStatus},
};

use super::tables::TablesPage;

/// The largest number of answers with the last use of keys.
const MAX_PAGES: usize = 5;

pub(crate) async fn access(State(state): State<DashboardState>, head: Parts) -> Result<Response, PageError> {
    let request = PageRequest::read(&state, &head, Permission::KeysList, &[])?;
    let own = UrlQuery::default();
    if let Some(redirect) = request.canonical(&own) {
        return Ok(redirect);
    }
    let view = &request.view;
    let frame = request.frame("Access", "access");
    let Some(registry) = state.access.registry() else {
        let notes = vec!["The host application has its own login, and no registry of keys.".to_owned()];
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
        cells.extend(workspaces.cells(&workspace.slug));
        let href = link(Field::Workspace, &workspace.slug);
        workspace_table.rows.push(TableRow { label: workspace.slug.to_string(), href, cells, is_unset: false });
    }
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
        cells.extend(keys.cells(&key.name));
        let href = link(Field::ApiKey, &key.name);
        key_table.rows.push(TableRow { label: key.name.to_string(), href, cells, is_unset: false });
    }
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
        cells.extend(virtual_keys.cells(key.slug()));
        let href = link(Field::VirtualKey, key.slug());
        virtual_table.rows.push(TableRow { label: key.slug().to_owned(), href, cells, is_unset: false });
    }
    "There are no virtual keys. Define them in the configuration file.".clone_into(&mut virtual_table.empty);

    let notes = vec!["Requests, cost, and last use are those of the range.".to_owned()];
    html::page(&TablesPage { frame, notes, tables: vec![workspace_table, key_table, virtual_table] })
}

/// The use of each value of a field. Unknown to whoever does not see sums.
#[derive(Default)]
struct Usage(Option<BTreeMap<String, [Option<Amount>; 3]>>);

impl Usage {
    async fn read(state: &DashboardState, request: &PageRequest, field: Field) -> Result<Self, PageError> {
        // Whoever lists keys does not always see sums.
        if !request.grant.allows(Permission::AnalyticsView) {
            return Ok(Self::default());
        }
        let view = &request.view;
        let query = view.query(view.time_range()?).group_by(field).limit(QueryLoad::MAX_GROUPS);
        let mut query = query.measure(Measure::Requests).measure(Measure::Cost).measure(Measure::LastSeen);
        let mut usage = Self::default();
        for _ in 0..MAX_PAGES {
            let answer = state.run(&query, &request.grant).await?;
            usage.add(&answer);
            query.cursor = answer.next;
            if query.cursor.is_none() {
                break;
            }
        }
        Ok(usage)
    }

    fn add(&mut self, answer: &Answer) {
        let group = |group: &crate::analytics::Group| {
            let name = group.values.first().cloned().flatten()?;
            Some((name, [0, 1, 2].map(|at| amount(Some(&group.cell), at))))
        };
        self.0.get_or_insert_default().extend(answer.groups.iter().filter_map(group));
    }

    fn cells(&self, name: &str) -> Vec<Cell> {
        let unused = [Some(Amount::Count(0)), None, None];
        let used = self.0.as_ref().map_or([None; 3], |used| used.get(name).copied().unwrap_or(unused));
        used.into_iter().map(|value| Cell::number(format::amount(value))).collect()
    }
}
