use std::{
    fmt::Write as _,
    io::{self, Write as _},
    pin::pin,
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use tower_tagging::{
    analytics::{
        Analytics, Grant, RowQuery,
        jiff::{Timestamp, tz::TimeZone},
    },
    store::EventRow,
};

use crate::{
    failure::Failure, format, print, print_json, recent::Recent, scope::Scope, store::StoreArgument,
    table::terminal_width,
};

/// The time between two looks at the store.
const INTERVAL: Duration = Duration::from_secs(1);
const PATH_CHARS: usize = 40;
const TAG_CHARS: usize = 32;

/// Shows the newest requests, the oldest of them first.
///
/// With --follow, each second the newest 5,000 requests of the last 15 minutes are looked at. Requests that are stored with an
/// older time, such as imported logs and very long requests, are not shown. A note says if there are more than 5,000.
#[derive(Debug, Args)]
#[command(after_help = "Without --since, the range begins 30d ago.")]
pub(crate) struct Tail {
    #[command(flatten)]
    store: StoreArgument,
    #[command(flatten)]
    scope: Scope,
    /// The number of requests
    #[arg(short = 'n', long, default_value_t = 20, value_name = "COUNT")]
    lines: u32,
    /// Waits for new requests, and shows them as they are stored
    #[arg(short, long)]
    follow: bool,
    /// Prints a row with all columns as JSON per line
    #[arg(long)]
    json: bool,
}

impl Tail {
    pub(crate) async fn run(&self) -> Result<ExitCode, Failure> {
        if self.follow && !self.scope.period.is_open() {
            return Err(Failure::Usage("invalid --until: --follow has no end".to_owned()));
        }
        let analytics = self.store.open()?;
        let zone = self.scope.period.zone()?;
        let filters = self.scope.filters()?;
        let mut recent = Recent::new(filters.clone());
        let mut has_noted = false;
        if self.follow {
            // Those that were stored before are not new.
            let (_, is_cut) = recent.new_rows(&analytics, Timestamp::now()).await?;
            note(is_cut, &mut has_noted)?;
        }
        let query = filters.into_iter().fold(RowQuery::new(self.scope.period.range("30d")?), RowQuery::filter);
        let mut rows = self.newest(&analytics, query).await?;
        rows.reverse();
        self.show(&rows, &zone)?;
        if !self.follow {
            return Ok(ExitCode::SUCCESS);
        }
        recent.exclude(&rows);
        drop(rows);
        let mut stopped = pin!(tokio::signal::ctrl_c());
        loop {
            tokio::select! {
                biased;
                _ = &mut stopped => return Ok(ExitCode::SUCCESS),
                () = tokio::time::sleep(INTERVAL) => {}
            }
            let (rows, is_cut) = recent.new_rows(&analytics, Timestamp::now()).await?;
            note(is_cut, &mut has_noted)?;
            self.show(&rows, &zone)?;
        }
    }

    /// Returns the newest requests, the newest first.
    async fn newest(&self, analytics: &Analytics, query: RowQuery) -> Result<Vec<EventRow>, Failure> {
        let wanted = usize::try_from(self.lines).unwrap_or(usize::MAX);
        let mut rows = Vec::new();
        let mut query = query.limit(self.lines.clamp(1, RowQuery::MAX_LIMIT));
        while rows.len() < wanted {
            let page = analytics.rows(&query, &Grant::everything()).await?;
            rows.extend(page.rows);
            let Some(next) = page.next else { break };
            query = query.cursor(next);
        }
        rows.truncate(wanted);
        Ok(rows)
    }

    fn show(&self, rows: &[EventRow], zone: &TimeZone) -> Result<(), Failure> {
        for row in rows {
            if self.json {
                print_json(row)?;
            } else {
                print(&line(row, zone))?;
            }
        }
        Ok(())
    }
}

/// Writes once that requests may be missing.
fn note(is_cut: bool, has_noted: &mut bool) -> Result<(), Failure> {
    if is_cut && !*has_noted {
        *has_noted = true;
        let text =
            "more than 5,000 requests began in the last 15 minutes: long ones before the newest 5,000 are not shown";
        writeln!(io::stderr(), "tagging: note: {text}")?;
    }
    Ok(())
}

/// Returns a request as a line: time, status, duration, cost, tokens, model or path, and tags.
fn line(row: &EventRow, zone: &TimeZone) -> String {
    let time = zone.to_datetime(Timestamp::try_from(row.requested_at).unwrap_or_default());
    let status = row.status_code.map_or_else(|| row.outcome.clone(), |status| status.to_string());
    let status = if row.is_error {
        console::style(format!("{status:>9}")).red()
    } else {
        console::style(format!("{status:>9}"))
    };
    let cost = match row.total_cost_nanos {
        Some(nanos) => format::money(i64::try_from(nanos).unwrap_or(i64::MAX)),
        None if row.is_unpriced() => "unpriced".to_owned(),
        None => format::UNKNOWN.to_owned(),
    };
    let tokens = match (row.input_tokens, row.output_tokens) {
        (None, None) => format::UNKNOWN.to_owned(),
        (input, output) => {
            let count = |count: Option<u64>| count.map_or_else(|| format::UNKNOWN.to_owned(), format::count);
            format!("{}→{}", count(input), count(output))
        }
    };
    let what = row.model.clone().unwrap_or_else(|| format!("{} {}", row.request_method, row.request_path));
    let owner: Vec<&str> = [&row.workspace, &row.api_key].into_iter().flatten().map(String::as_str).collect();
    let owner =
        if owner.is_empty() { String::new() } else { format!("  {}", format::cut(&owner.join("/"), TAG_CHARS)) };
    let tags = row.raw_metadata.iter().fold(String::new(), |mut tags, (key, value)| {
        // Writing to a string never fails.
        let _ = write!(tags, "  {}={}", format::cut(key, TAG_CHARS), format::cut(value, TAG_CHARS));
        tags
    });
    let line = format!(
        "{} {status} {:>8} {cost:>9} {tokens:>13}  {}{owner}{}",
        time.strftime("%Y-%m-%d %H:%M:%S%.3f"),
        format::millis(f64::from(row.response_time_ms)),
        format::cut(&what, PATH_CHARS),
        console::style(tags).dim(),
    );
    let line = match terminal_width() {
        Some(width) => console::truncate_str(&line, width.into(), "…").into_owned(),
        None => line,
    };
    line + "\n"
}
