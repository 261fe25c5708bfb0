use std::{collections::BTreeSet, process::ExitCode};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tower_tagging::{
    analytics::{
        Analytics, TimeRange,
        jiff::{Timestamp, tz::TimeZone},
    },
    store::StoreError,
};

use crate::{failure::Failure, format, print, print_json, scope::Period, store::StoreArgument};

const DAY_SECONDS: i64 = 86_400;

/// Compares the sums with the rows, day by day, and ends with code 1 if they differ.
///
/// A SQLite file is only read, so the result is not recorded in it, except with --rebuild.
#[derive(Debug, Args)]
#[command(after_help = "Without --since, the range begins 30d ago.")]
pub(crate) struct Verify {
    #[command(flatten)]
    store: StoreArgument,
    #[command(flatten)]
    period: Period,
    /// Computes the sums of days with differences again, and compares them once more
    #[arg(long)]
    rebuild: bool,
    /// Prints an object with the differences of each day
    #[arg(long)]
    json: bool,
}

/// The result for a day in UTC.
#[derive(Debug, Serialize)]
struct Verified {
    day: String,
    differences: Vec<String>,
    /// `true` if the sums were computed again.
    rebuilt: bool,
}

impl Verify {
    pub(crate) async fn run(&self) -> Result<ExitCode, Failure> {
        let days = days(&self.period.range("30d")?)?;
        let analytics = if self.rebuild { self.store.open_for_changes()? } else { self.store.open()? };
        // Nothing is drawn unless standard error is a terminal.
        let progress = ProgressBar::new(days.len() as u64).with_style(style());
        let mut known = BTreeSet::new();
        let mut result = Vec::new();
        for range in &days {
            let name = TimeZone::UTC.to_datetime(range.from()).date().to_string();
            progress.set_message(name.clone());
            let mut differences = differences(&analytics, range, &name).await?;
            let rebuilt = self.rebuild && !differences.is_empty();
            if rebuilt {
                analytics.rebuild(range).await?;
                differences = self::differences(&analytics, range, &name).await?;
            }
            // A block of 64 days is compared with each of its days.
            differences.retain(|difference| known.insert(difference.clone()));
            result.push(Verified { day: name, differences, rebuilt });
            progress.inc(1);
        }
        progress.finish_and_clear();
        let count: usize = result.iter().map(|day| day.differences.len()).sum();
        if self.json {
            print_json(&serde_json::json!({ "differences": count, "days": result }))?;
        } else {
            print(&text(&result, count))?;
        }
        Ok(if count == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

async fn differences(analytics: &Analytics, range: &TimeRange, name: &str) -> Result<Vec<String>, Failure> {
    analytics.verify(range).await.map_err(|error| match &error {
        tower_tagging::analytics::QueryError::Store(StoreError::RowsDeleted) => Failure::Failed(format!(
            "the rows of {name} were deleted, so there is nothing to compare the sums with: use a later --since"
        )),
        _ => error.into(),
    })
}

fn text(days: &[Verified], count: usize) -> String {
    let differences = days.iter().flat_map(|day| day.differences.iter().map(|text| (&day.day, text)));
    let lines =
        differences.fold(String::new(), |lines, (day, text)| lines + day + "  " + &format::printable(text) + "\n");
    let rebuilt = days.iter().filter(|day| day.rebuilt).count();
    let rebuilt = if rebuilt > 0 { format!("; the sums of {rebuilt} were computed again") } else { String::new() };
    let days = match days {
        [one] => format!("1 day, {}", one.day),
        [first, .., last] => format!("{} days, {} to {}", days.len(), first.day, last.day),
        [] => "no days".to_owned(),
    };
    match count {
        0 => format!("the sums match the rows: {days}{rebuilt}\n"),
        1 => format!("{lines}\n1 difference: {days}{rebuilt}\n"),
        count => format!("{lines}\n{count} differences: {days}{rebuilt}\n"),
    }
}

/// Returns the days in UTC that a range touches.
fn days(range: &TimeRange) -> Result<Vec<TimeRange>, Failure> {
    let at = |second: i64| Timestamp::from_second(second).map_err(|error| Failure::Usage(error.to_string()));
    let mut from = range.from().as_second().div_euclid(DAY_SECONDS) * DAY_SECONDS;
    let mut days = Vec::new();
    while from < range.to().as_second() {
        days.push(TimeRange::new(at(from)?, at(from + DAY_SECONDS)?)?);
        from += DAY_SECONDS;
    }
    Ok(days)
}

fn style() -> ProgressStyle {
    let template = "{msg} {wide_bar} {pos}/{len} days, {eta} left";
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
