use axum::extract::{FromRequestParts, Path};
use http::request::Parts;
use serde_json::{Map, Value, json};

use crate::{
    analytics::{Answer, Basis, Filter, Group, Order, Query},
    metadata::USER_KEY,
    registry::Permission,
    row::{Dimension, Field},
};

use super::{
    api_error::ApiError, group_columns::Column, list::List, paging::Paging, parameter::GROUPS, selection::tag,
    state::ApiState, view::View, with_basis::WithBasis,
};

type Groups = Result<WithBasis<List<Map<String, Value>>>, ApiError>;

/// The caller of `GET /analytics/groups/…`, with `analytics.view`.
pub(crate) struct GroupView(View);

impl FromRequestParts<ApiState> for GroupView {
    type Rejection = ApiError;

    async fn from_request_parts(head: &mut Parts, api: &ApiState) -> Result<Self, ApiError> {
        View::read(head, api, Permission::AnalyticsView, GROUPS).await.map(Self)
    }
}

/// The caller of `GET /logs/groups/…`, with `logs.view`.
pub(crate) struct LogView(View);

impl FromRequestParts<ApiState> for LogView {
    type Rejection = ApiError;

    async fn from_request_parts(head: &mut Parts, api: &ApiState) -> Result<Self, ApiError> {
        View::read(head, api, Permission::LogsView, GROUPS).await.map(Self)
    }
}

pub(crate) async fn users(GroupView(view): GroupView) -> Groups {
    list(&view, Dimension::tag(USER_KEY), "user", &[Column::REQUESTS, Column::COST]).await
}

pub(crate) async fn ai_models(GroupView(view): GroupView) -> Groups {
    list(&view, Field::Model.into(), "ai_model", &[Column::REQUESTS]).await
}

pub(crate) async fn metadata(GroupView(view): GroupView, Path(key): Path<String>) -> Groups {
    let columns = [
        Column::REQUESTS,
        Column::COST,
        Column::AVG_TOKENS,
        Column::AVG_WEIGHTED_FEEDBACK,
        Column::REQUESTS_WITH_FEEDBACK,
        Column::LAST_SEEN,
    ];
    list(&view, tag(&key)?, "metadata_value", &columns).await
}

pub(crate) async fn by(GroupView(view): GroupView, Path(name): Path<String>) -> Groups {
    by_name(&view, &name).await
}

pub(crate) async fn of_logs(LogView(view): LogView, Path(name): Path<String>) -> Groups {
    by_name(&view, &name).await
}

/// The names of dimensions in paths, with the member that holds the value. `None` if no request has a value.
const DIMENSIONS: &[(&str, &str, Option<Field>)] = &[
    ("ai_service", "ai_service", Some(Field::Provider)),
    ("model", "model", Some(Field::Model)),
    ("status_code", "status_code", Some(Field::Status)),
    ("api_key", "api_key", Some(Field::ApiKey)),
    ("config", "config", None),
    ("workspace", "workspace", Some(Field::Workspace)),
    ("workspaces", "workspace", Some(Field::Workspace)),
    ("provider", "provider", Some(Field::Provider)),
    ("virtual_key", "virtual_key", Some(Field::VirtualKey)),
    ("prompt", "prompt", None),
];

async fn by_name(view: &View, name: &str) -> Groups {
    let Some((_, member, field)) = DIMENSIONS.iter().find(|(other, ..)| *other == name) else {
        let names: Vec<&str> = DIMENSIONS.iter().map(|(name, ..)| *name).collect();
        return Err(ApiError::invalid(format!("cannot group by {name:?}: expected one of {}", names.join(", "))));
    };
    let always = [Column::REQUESTS];
    if let Some(field) = field {
        return list(view, (*field).into(), member, &always).await;
    }
    Form::read(view, &always)?;
    Ok(WithBasis::exact(List::new(0, Vec::new())))
}

/// The columns, the order, and the page that a request asks for.
struct Form {
    columns: Vec<Column>,
    order: Order,
    /// The column that the order needs.
    order_by: Option<Column>,
    paging: Paging,
}

impl Form {
    /// Reads the form. The list always has some columns.
    fn read(view: &View, always: &[Column]) -> Result<Self, ApiError> {
        let columns = Column::read(always, &view.parameters)?;
        let (order, order_by) = order(view)?;
        Ok(Self { columns, order, order_by, paging: Paging::read(&view.parameters)? })
    }
}

/// Lists the groups of a dimension. Requests without a value are in none.
async fn list(view: &View, dimension: Dimension, member: &'static str, always: &[Column]) -> Groups {
    let Form { columns, order, order_by, paging } = Form::read(view, always)?;
    let mut query = view.query().filter(Filter::Has(dimension.clone())).group_by(dimension);
    for column in columns.iter().chain(&order_by) {
        query = query.measure(column.measure());
    }
    let (total, groups, basis) = page(view, query.order(order), paging).await?;
    let row = |group: &Group| {
        let mut row = Map::new();
        row.insert(member.to_owned(), member_value(member, group));
        for (at, column) in columns.iter().enumerate() {
            column.write(&group.cell, at, &mut row);
        }
        row.insert("object".to_owned(), json!("analytics-group"));
        row
    };
    Ok(WithBasis::new(List::new(total, groups.iter().map(row).collect()), basis))
}

fn member_value(member: &str, group: &Group) -> Value {
    let text = group.values.first().cloned().flatten();
    match text.as_deref().map(str::parse::<u16>) {
        Some(Ok(status)) if member == "status_code" => json!(status),
        _ => json!(text),
    }
}

/// Returns the order, and the column that it needs.
fn order(view: &View) -> Result<(Order, Option<Column>), ApiError> {
    let names: Vec<&'static str> = Column::ALL.iter().map(|column| column.name).collect();
    let by = view.parameters.word("order_by", &names)?.and_then(Column::from_name);
    let direction = view.parameters.word("order_by_type", &["asc", "desc", "ASC", "DESC"])?;
    view.parameters.word("include_total", &["true", "false", "True", "False"])?;
    let measure = by.unwrap_or(Column::REQUESTS).measure();
    let is_ascending = direction.is_some_and(|direction| direction.eq_ignore_ascii_case("asc"));
    Ok((if is_ascending { Order::Ascending(measure) } else { Order::Descending(measure) }, by))
}

/// Returns the number of all groups, those of a page, and their basis.
async fn page(view: &View, query: Query, paging: Paging) -> Result<(u64, Vec<Group>, Basis), ApiError> {
    let mut groups = Vec::new();
    let mut before = paging.skip;
    let mut cursor = None;
    loop {
        let missing = paging.size - (groups.len() as u64).min(paging.size);
        let limit = u32::try_from(before.saturating_add(missing)).unwrap_or(u32::MAX).clamp(1, Query::MAX_LIMIT);
        let mut next = query.clone().limit(limit);
        next.cursor = cursor;
        let Answer { groups: found, group_count, next, basis, .. } = view.run(&next).await?;
        let skipped = before.min(found.len() as u64);
        before -= skipped;
        groups.extend(found.into_iter().skip(usize::try_from(skipped).unwrap_or(usize::MAX)));
        if next.is_none() || groups.len() as u64 >= paging.size {
            return Ok((group_count, groups, basis));
        }
        cursor = next;
    }
}
