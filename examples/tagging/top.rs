use std::{fmt::Write as _, pin::pin, process::ExitCode, time::Duration};

use clap::Args;
use serde_json::{Map, Value, json};
use tower_tagging::{
    analytics::{Analytics, Answer, Query},
    store::{Dimension, Field},
};

use crate::{
    failure::Failure,
    filter::dimension,
    format, print, print_json,
    report::{answer, footer, table},
    scope::Scope,
    store::StoreArgument,
    table::terminal_height,
};

/// Shows the most expensive models and values of active keys.
#[derive(Debug, Args)]
#[command(after_help = "Without --since, the range begins 24h ago.")]
pub(crate) struct Top {
    #[command(flatten)]
    store: StoreArgument,
    /// A field or the key of a tag, any number of times [default: model and the active keys]
    #[arg(long, value_name = "KEY")]
    by: Vec<String>,
    #[command(flatten)]
    scope: Scope,
    /// The number of values of each
    #[arg(long, default_value_t = 5, value_name = "COUNT")]
    limit: u32,
    /// Shows the values again after some seconds
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "2", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    watch: Option<u32>,
    /// Ends after showing the values this many times
    #[arg(long, value_name = "COUNT", requires = "watch")]
    times: Option<u64>,
    /// Prints an object with the answers by their dimension, on one line each time. Tags have the prefix `metadata.`
    #[arg(long)]
    json: bool,
}

/// The most expensive values at one time.
struct Screen {
    total: Answer,
    tables: Vec<(Dimension, Answer)>,
}

impl Top {
    pub(crate) async fn run(&self) -> Result<ExitCode, Failure> {
        let analytics = self.store.open()?;
        let mut shown = 0;
        let mut stopped = pin!(tokio::signal::ctrl_c());
        loop {
            self.show(&self.screen(&analytics).await?)?;
            shown += 1;
            let Some(seconds) = self.watch.filter(|_| self.times.is_none_or(|times| shown < times)) else {
                return Ok(ExitCode::SUCCESS);
            };
            tokio::select! {
                biased;
                _ = &mut stopped => return Ok(ExitCode::SUCCESS),
                () = tokio::time::sleep(Duration::from_secs(seconds.into())) => {}
            }
        }
    }

    async fn screen(&self, analytics: &Analytics) -> Result<Screen, Failure> {
        let range = self.scope.period.range("24h")?;
        let filters = self.scope.filters()?;
        let query = filters.into_iter().fold(Query::new(range), Query::filter);
        let total = answer(analytics, query.clone()).await?;
        let mut tables = Vec::new();
        for dimension in self.dimensions(analytics).await? {
            let answer = answer(analytics, query.clone().group_by(dimension.clone()).limit(self.limit)).await?;
            // An active key that no request has is not worth a table.
            let is_used = answer.groups.iter().any(|group| group.values.iter().any(Option::is_some));
            if is_used || !self.by.is_empty() {
                tables.push((dimension, answer));
            }
        }
        Ok(Screen { total, tables })
    }

    async fn dimensions(&self, analytics: &Analytics) -> Result<Vec<Dimension>, Failure> {
        if !self.by.is_empty() {
            return self.by.iter().map(|name| dimension(name)).collect();
        }
        let active = analytics.keys().await?.into_iter().filter(|key| key.is_active && key.requests > 0);
        Ok([Field::Model.into()].into_iter().chain(active.map(|key| Dimension::tag(key.name))).collect())
    }

    fn show(&self, screen: &Screen) -> Result<(), Failure> {
        if self.json {
            let by: Map<String, Value> =
                screen.tables.iter().map(|(dimension, answer)| (dimension.to_string(), json!(answer))).collect();
            return print_json(&json!({ "total": screen.total, "by": by }));
        }
        let mut text = String::new();
        for (dimension, answer) in &screen.tables {
            // Writing to a string never fails.
            let _ = writeln!(text, "{}", table(answer, &[heading(dimension)]));
        }
        if screen.tables.is_empty() {
            let requests = screen.total.total.totals.requests;
            let _ = writeln!(text, "{} requests, without models and active keys", format::count(requests));
        }
        let footer = footer(&screen.total, &self.scope.period.zone()?);
        if let Some(height) = terminal_height().filter(|_| self.watch.is_some()) {
            // Clears the screen, moves the cursor to its start, and fills it without scrolling.
            let room = usize::from(height).saturating_sub(footer.lines().count() + 1);
            let lines: String = text.lines().take(room).flat_map(|line| [line, "\n"]).collect();
            return print(&format!("\x1b[2J\x1b[H{lines}{footer}"));
        }
        print(&format!("{text}{footer}"))
    }
}

/// Returns the key of a tag, unless a field has the same name.
fn heading(dimension: &Dimension) -> String {
    match dimension {
        Dimension::Tag(key) if Field::from_name(key).is_none() => key.clone(),
        dimension => dimension.to_string(),
    }
}
