//! The cost of a value of a key in a month, as a page to print.

use askama::Template;
use axum::{
    extract::{Path, State},
    response::Response,
};
use http::request::Parts;

use crate::{
    analytics::{Answer, Bucket, Dimension, Field, Group, Measure, Query},
    dashboard::{
        earlier::Earlier,
        format,
        frame::{Chip, Frame},
        html,
        page_error::PageError,
        page_request::PageRequest,
        series_chart::{ChartInput, SeriesChart, UNSET, amount, is_unset, value_label},
        state::DashboardState,
        table::{Cell, Table, TableRow},
        view::{Condition, RangeChoice, UrlQuery, dimension, short_name},
    },
    registry::Permission,
};

/// The largest number of rows of each table. What is left is one row.
const ROWS: u32 = 20;
const MEASURES: [Measure; 5] =
    [Measure::Cost, Measure::Requests, Measure::InputTokens, Measure::OutputTokens, Measure::UnpricedRequests];
const COLUMNS: [&str; 6] = ["Value", "Cost", "Requests", "Tokens in", "Tokens out", "Unpriced calls"];

#[derive(Template)]
#[template(path = "showback.html", config = "src/dashboard/askama.toml")]
struct Showback {
    frame: Frame,
    period: String,
    /// The conditions in addition to the value.
    chips: Vec<Chip>,
    earlier: String,
    later: String,
    cards: Vec<(&'static str, String, String)>,
    series: SeriesChart,
    tables: Vec<Table>,
}

pub(crate) async fn showback(
    State(state): State<DashboardState>,
    Path((key, value)): Path<(String, String)>,
    head: Parts,
) -> Result<Response, PageError> {
    let request = PageRequest::read(&state, &head, Permission::AnalyticsView, &[])?;
    let own = UrlQuery::default();
    if let Some(redirect) = request.canonical(&own) {
        return Ok(redirect);
    }
    let dimension = dimension(&key)?;
    let condition = Condition::of_group(&dimension, Some(&value));
    let month = request.view.month()?;
    let view = request.view.with(condition).with_range(month.clone());
    let (range, previous_range) = (view.time_range()?, view.previous_range()?);
    let measured = |query: Query| MEASURES.into_iter().fold(query, Query::measure);
    let days = measured(view.query(range.clone())).bucket(Bucket::Day);
    let earlier = request.earlier(&previous_range).await?;
    let before = measured(view.query(previous_range)).bucket(Bucket::Day);
    let (total, previous) = (state.run(&days, &request.grant).await?, state.run(&before, &request.grant).await?);
    let mut tables = Vec::new();
    for (id, title, by) in [
        ("models", "By model", Dimension::from(Field::Model)),
        ("features", "By feature", Dimension::tag("feature")),
        ("users", "By user", Dimension::tag("_user")),
    ] {
        if by != dimension {
            let query = measured(view.query(range.clone()).group_by(by.clone()).limit(ROWS));
            tables.push(table(id, title, &state.run(&query, &request.grant).await?));
        }
    }
    let series = SeriesChart::new(ChartInput {
        label: "Cost per day",
        view: &view,
        range: &range,
        bucket: Bucket::Day,
        answer: &total,
        previous: Some(&previous).filter(|_| earlier.is_complete()),
        dimensions: &[],
        measure: 0,
        is_sum: true,
        is_cumulative: false,
    });
    let at = |at: usize| format::amount(amount(Some(&total.total), at));
    let (pricing, _) = format::pricing(total.basis.unpriced_share, total.total.totals.partially_priced);
    let previous_cost = match earlier {
        Earlier::Unknown => format::UNKNOWN.to_owned(),
        _ => format::amount(amount(Some(&previous.total), 0)),
    };
    let link = |choice: RangeChoice| request.view.with_range(choice).query_string().href();
    let page = Showback {
        frame: request
            .frame(format!("Cost of {} {value}", short_name(&dimension)), "")
            .await
            .with_trust(request.trust(&total.basis).with_totals(&total.basis, &total.total.totals)),
        period: month_name(&range),
        chips: Chip::of_view(&request.view, &own),
        earlier: link(request.view.month_before()?),
        later: link(request.view.month_after()?),
        cards: vec![
            ("Cost", at(0), pricing),
            ("Previous month", previous_cost, earlier.reason(&view.zone)),
            ("Requests", at(1), String::new()),
            ("Tokens in / out", format!("{} / {}", at(2), at(3)), String::new()),
        ],
        series,
        tables,
    };
    html::page(&page)
}

fn month_name(range: &crate::analytics::TimeRange) -> String {
    range.zone().to_datetime(range.from()).strftime("%B %Y").to_string()
}

fn table(id: &str, title: &str, answer: &Answer) -> Table {
    let mut table = Table::new(id, title, &COLUMNS);
    let row = |group: &Group| {
        let value = group.values.first().cloned().flatten();
        TableRow {
            is_unset: is_unset(value.as_deref()),
            label: value_label(value.as_deref(), UNSET),
            cells: (0..MEASURES.len()).map(|at| Cell::number(format::amount(amount(Some(&group.cell), at)))).collect(),
            href: None,
        }
    };
    table.rows = answer.groups.iter().map(row).collect();
    if answer.group_count > u64::from(ROWS) {
        let parts = |at: usize| answer.groups.iter().map(|group| amount(Some(&group.cell), at)).collect::<Vec<_>>();
        let rest = |at: usize| crate::dashboard::series_chart::rest(amount(Some(&answer.total), at), &parts(at));
        table.rows.push(TableRow {
            label: "Other".to_owned(),
            is_unset: true,
            cells: (0..MEASURES.len()).map(|at| Cell::number(format::amount(rest(at)))).collect(),
            href: None,
        });
    }
    "No requests in this month.".clone_into(&mut table.empty);
    table
}
