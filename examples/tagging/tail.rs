use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write as _,
    pin::pin,
    process::ExitCode,
    time::{Duration, SystemTime},
};

use clap::Args;
use tower_tagging::{
    analytics::{
        Analytics, Grant, RowQuery, TimeRange,
        jiff::{self, SignedDuration, Timestamp, tz::TimeZone},
    },
    store::EventRow,
};
use uuid::Uuid;

use crate::{failure::Failure, format, print, print_json, scope::Scope, store::StoreArgument, table::terminal_width};

/// The time between two looks at the store.
const INTERVAL: Duration = Duration::from_secs(1);
/// Requests are stored when they end, but their time is that of their start. So new ones are looked for among those that
/// began this long ago.
const LONGEST: SignedDuration = SignedDuration::from_mins(15);
const PATH_CHARS: usize = 40;
const TAG_CHARS: usize = 32;

/// Shows the newest requests, the oldest of them first.
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
        let started = Timestamp::now();
        let query = self.query(self.scope.period.range("30d")?)?;
        let mut rows = self.newest(&analytics, query).await?;
        rows.reverse();
        let mut shown: BTreeMap<Uuid, SystemTime> = BTreeMap::new();
        if self.follow {
            // Those that were stored before are not new.
            let known = self.query(recent(started)?)?;
            shown.extend(all(&analytics, known).await?.into_iter().map(|row| (row.id, row.requested_at)));
        }
        self.show(&rows, &zone)?;
        if self.follow {
            self.follow(&analytics, shown, &zone).await?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Shows new requests until the user stops.
    async fn follow(
        &self,
        analytics: &Analytics,
        mut shown: BTreeMap<Uuid, SystemTime>,
        zone: &TimeZone,
    ) -> Result<(), Failure> {
        let mut stopped = pin!(tokio::signal::ctrl_c());
        loop {
            tokio::select! {
                biased;
                _ = &mut stopped => return Ok(()),
                () = tokio::time::sleep(INTERVAL) => {}
            }
            let range = recent(Timestamp::now())?;
            let start = SystemTime::try_from(range.from()).unwrap_or(SystemTime::UNIX_EPOCH);
            let found = all(analytics, self.query(range)?).await?;
            let new: Vec<EventRow> = found.into_iter().filter(|row| !shown.contains_key(&row.id)).collect();
            self.show(&new, zone)?;
            shown.retain(|_, time| *time >= start);
            shown.extend(new.into_iter().map(|row| (row.id, row.requested_at)));
        }
    }

    fn query(&self, range: TimeRange) -> Result<RowQuery, Failure> {
        Ok(self.scope.filters()?.into_iter().fold(RowQuery::new(range), RowQuery::filter))
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

/// Returns the range in which new requests may have begun. Clocks may be a little ahead.
fn recent(now: Timestamp) -> Result<TimeRange, Failure> {
    let failed = |error: jiff::Error| Failure::Failed(error.to_string());
    let to = now.checked_add(SignedDuration::from_mins(5)).map_err(failed)?;
    Ok(TimeRange::new(now.checked_sub(LONGEST).map_err(failed)?, to)?)
}

/// Returns all requests of a query, the oldest first, each once.
async fn all(analytics: &Analytics, query: RowQuery) -> Result<Vec<EventRow>, Failure> {
    let mut query = query.oldest_first().limit(RowQuery::MAX_LIMIT);
    let (mut rows, mut ids) = (Vec::new(), HashSet::new());
    loop {
        let page = analytics.rows(&query, &Grant::everything()).await?;
        rows.extend(page.rows.into_iter().filter(|row| ids.insert(row.id)));
        let Some(next) = page.next else { return Ok(rows) };
        query = query.cursor(next);
    }
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
        None if row.usage_status.is_some() => "unpriced".to_owned(),
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
