//! The tables of limits, from the report that the API and agents have as well.

use crate::{
    analytics::{Answer, Dimension, Field, jiff::Timestamp},
    dashboard::{
        format,
        frame::Choice,
        page_error::PageError,
        page_request::PageRequest,
        table::{Cell, Table, TableRow},
        view::{Condition, RangeChoice, View, short_name},
    },
    limit::{Amount, BudgetEntry, LimitMode, LimitReport, LimitUnit, RateEntry},
};

use super::budget_view::{BudgetRow, BudgetTables, own};

/// The number of groups of a page.
const ROWS: usize = 50;
/// The largest number of groups of a file.
const MAX_LINES: usize = 100_000;
/// The number of letters of a title in the list of limits.
const MAX_LABEL: usize = 60;
/// The width of the whole bar.
const BAR: f64 = 110.0;
const HEADINGS: [&str; 16] = [
    "Limit",
    "Name",
    "Group",
    "Unit",
    "Amount",
    "Settled",
    "Reserved",
    "Remaining",
    "Used percent",
    "Projection",
    "Rejected",
    "From",
    "To",
    "Window",
    "Mode",
    "Source",
];

/// Returns the tables of a page. `None` without a limiter.
pub(super) async fn tables(request: &PageRequest) -> Result<Option<BudgetTables>, PageError> {
    let page =
        match request.query.get("p") {
            None => 1,
            Some(text) => text.parse::<usize>().ok().filter(|page| (1..=10_000).contains(page)).ok_or_else(|| {
                PageError::invalid(format!("invalid page {text:?}: expected a number from 1 to 10,000"))
            })?,
        };
    let Some(report) = report(request, ((page - 1) * ROWS, ROWS)).await? else { return Ok(None) };
    let rule = request.query.get("rule").unwrap_or_default();
    let mut rules = vec![Choice { value: String::new(), label: "All limits".to_owned(), is_selected: rule.is_empty() }];
    rules.extend(report.rules.iter().map(|(name, title)| Choice {
        value: name.clone(),
        label: format::cut(title, MAX_LABEL),
        is_selected: name == rule,
    }));
    let link = |page: usize| {
        let mut query = request.view.query_string();
        let mut own = own(request);
        own.remove("p");
        if page > 1 {
            own.push("p", page.to_string());
        }
        query.extend(&own);
        query.href()
    };
    let mut pages = Vec::new();
    if page > 1 {
        pages.push(("← Previous", link(page - 1)));
    }
    if page * ROWS < report.total {
        pages.push(("Next →", link(page + 1)));
    }
    let mut own = own(request);
    own.remove("p");
    Ok(Some(BudgetTables {
        rules: if report.rules.is_empty() { Vec::new() } else { rules },
        hidden: request.view.query_string().into_pairs(),
        csv: request.mount.link("budgets.csv", &own.text()),
        title: format!("{} groups of budgets", format::count(report.total as u64)),
        cut: report.cut.iter().map(|(_, title)| title.clone()).collect(),
        budgets: report.budgets.iter().map(|entry| row(entry, &report, request)).collect(),
        pages,
        rates: rates(&report, request),
    }))
}

/// Reads the report for the caller.
async fn report(request: &PageRequest, page: (usize, usize)) -> Result<Option<LimitReport>, PageError> {
    let Some(limiter) = &request.state.limiter else { return Ok(None) };
    let rule = request.query.get("rule").filter(|name| !name.is_empty());
    let now = std::time::SystemTime::now();
    let report = limiter.report(&request.grant, rule, page, now).await;
    let mut report = report.map_err(|error| PageError::internal("The ledger of limits is not available.", &error))?;
    let mut answers: Vec<Option<Answer>> = Vec::new();
    for query in report.queries() {
        // What is not known is a dash.
        answers.push(request.state.run(&query, &request.grant).await.ok());
    }
    report.add_rejections(&answers);
    Ok(Some(report))
}

fn row(entry: &BudgetEntry, report: &LimitReport, request: &PageRequest) -> BudgetRow {
    let usage = &entry.usage;
    let rule = &usage.rule;
    let view = request.view.unfiltered().with_range(window(entry, report));
    let (dimensions, values): (Vec<Dimension>, Vec<Option<String>>) = usage.group.iter().cloned().unzip();
    let of_group = |view: &View| {
        let conditions = Condition::of_groups(&dimensions, &values);
        conditions.into_iter().fold(view.clone(), |view, condition| view.with(condition))
    };
    let limit = usage.limit.as_f64();
    let part = |amount: &Amount| if limit > 0.0 { (amount.as_f64() / limit).clamp(0.0, 1.0) * BAR } else { BAR };
    let settled = part(&usage.settled);
    let reserved = part(&usage.reserved).min(BAR - settled);
    let projection = entry.projection(report.now);
    let (mode, mode_badge) = mode(rule.mode());
    let by_rule = view.with(Condition::of_group(&Field::LimitRule.into(), Some(rule.name())));
    BudgetRow {
        title: rule.title().to_owned(),
        group: group_text(entry),
        href: (!dimensions.is_empty()).then(|| request.mount.link("requests", &of_group(&view).query_string().text())),
        limit: amount(&usage.limit),
        settled: amount(&usage.settled),
        reserved: amount(&usage.reserved),
        remaining: amount(&entry.remaining()),
        share: format::percent(entry.share() * 100.0),
        widths: (settled, reserved),
        is_full: entry.share() >= 1.0,
        exceeds: projection.as_ref().is_some_and(|projection| projection.count() > usage.limit.count()),
        projection: projection.map_or_else(|| format::UNKNOWN.to_owned(), |projection| amount(&projection)),
        rejected: entry.rejected.map_or_else(|| format::UNKNOWN.to_owned(), format::count),
        rejected_href: request.mount.link("requests", &of_group(&by_rule).query_string().text()),
        end: entry.end().map_or_else(|| entry.window_text(), |end| format::time(end, &request.view.zone)),
        mode,
        mode_badge,
        source: entry.source.as_str(),
    }
}

/// Returns the window of a budget until now.
fn window(entry: &BudgetEntry, report: &LimitReport) -> RangeChoice {
    let time = |time| Timestamp::try_from(time).unwrap_or_default();
    RangeChoice::Instants(time(entry.usage.from), time(report.now))
}

fn mode(mode: LimitMode) -> (&'static str, &'static str) {
    match mode {
        LimitMode::Enforce => ("enforced", "badge"),
        LimitMode::Shadow => ("shadow", "badge warn"),
        LimitMode::Off => ("off", "badge"),
    }
}

/// Formats an amount with its unit.
fn amount(amount: &Amount) -> String {
    match amount.unit() {
        LimitUnit::Cost => format::money(amount.count()),
        LimitUnit::Quantity(name) => format!("{} {name}", format::decimal(amount.as_f64(), 6)),
        unit => format!("{} {unit}", format::count(u64::try_from(amount.count()).unwrap_or(0))),
    }
}

fn group_text(entry: &BudgetEntry) -> String {
    let parts = entry.usage.group.iter().map(|(dimension, value)| {
        let name = short_name(dimension);
        value.as_ref().map_or_else(|| format!("{name} not set"), |value| format!("{name} {value}"))
    });
    let text = parts.collect::<Vec<_>>().join(", ");
    if text.is_empty() { "all requests".to_owned() } else { text }
}

fn rates(report: &LimitReport, request: &PageRequest) -> Table {
    let columns = ["Limit", "<Speed", "<For each", "Rejected in 24 h", "<Mode", "<Source"];
    let mut table = Table::new("rates", "Rates", &columns);
    "requests or tokens per time, and requests that run at the same time".clone_into(&mut table.note);
    "No rates.".clone_into(&mut table.empty);
    let row = |entry: &RateEntry| {
        let rule = &entry.rule;
        let view = request.view.unfiltered().with_range(RangeChoice::LastDay);
        let view = view.with(Condition::of_group(&Field::LimitRule.into(), Some(rule.name())));
        let (mode, badge) = mode(rule.mode());
        TableRow {
            label: rule.title().to_owned(),
            href: Some(request.mount.link("requests", &view.query_string().text())),
            cells: vec![
                Cell::text(entry.speed()),
                Cell::text(match rule.group_by() {
                    [] => "all requests".to_owned(),
                    dimensions => dimensions.iter().map(short_name).collect::<Vec<_>>().join(", "),
                }),
                Cell::number(entry.rejected.map_or_else(|| format::UNKNOWN.to_owned(), format::count)),
                Cell::badge(mode, badge),
                Cell::text(entry.source.as_str()),
            ],
            ..TableRow::default()
        }
    };
    table.rows = report.rates.iter().map(row).collect();
    table
}

/// Returns the budgets of all pages for other programs. Unknown is empty.
pub(super) async fn lines(request: &PageRequest) -> Result<Vec<Vec<String>>, PageError> {
    let Some(report) = report(request, (0, MAX_LINES)).await? else { return Err(PageError::unknown_page()) };
    let line = |entry: &BudgetEntry| {
        let usage = &entry.usage;
        let time = |time| Timestamp::try_from(time).unwrap_or_default().to_string();
        let number = |amount: &Amount| amount.as_f64().to_string();
        vec![
            usage.rule.name().to_owned(),
            usage.rule.title().to_owned(),
            group_text(entry),
            usage.limit.unit().to_string(),
            number(&usage.limit),
            number(&usage.settled),
            number(&usage.reserved),
            number(&entry.remaining()),
            format!("{:.2}", entry.share() * 100.0),
            entry.projection(report.now).map(|amount| number(&amount)).unwrap_or_default(),
            entry.rejected.map(|count| count.to_string()).unwrap_or_default(),
            time(usage.from),
            entry.end().map(time).unwrap_or_default(),
            entry.window_text(),
            mode(usage.rule.mode()).0.to_owned(),
            entry.source.as_str().to_owned(),
        ]
    };
    let head = HEADINGS.map(ToOwned::to_owned).to_vec();
    Ok(std::iter::once(head).chain(report.budgets.iter().map(line)).collect())
}
