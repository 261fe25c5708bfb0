use std::{
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    pin::pin,
    process::ExitCode,
};

use clap::Args;
use futures_util::TryStreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use tower_tagging::analytics::{
    Analytics, Compression, Export as Exporter, ExportFormat, ExportStream, ExportSummary, ExportToken, Grant, Measure,
    Query, RowQuery,
};

use crate::{
    content::Content, failure::Failure, filter, format, place::Place, print_json, scope::Scope, store::StoreArgument,
    target::Target,
};

/// Writes requests to a file or to standard output, the oldest first.
///
/// A file has the suffix `.part` until it is complete. If an export of JSON lines or CSV is interrupted, the command prints how
/// to continue it. On a terminal, control characters in values are escaped or replaced.
#[derive(Debug, Args)]
#[command(after_help = "Without --since, the range begins 30d ago.")]
pub(crate) struct Export {
    #[command(flatten)]
    store: StoreArgument,
    #[command(flatten)]
    scope: Scope,
    /// The file [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// jsonl, csv, or parquet [default: by the name of the file, or else jsonl]
    #[arg(long, value_name = "FORMAT", value_parser = format_named)]
    format: Option<ExportFormat>,
    /// none, gzip, or zstd [default: by the name of the file, or else none]
    #[arg(long, value_name = "NAME", value_parser = compression_named)]
    compression: Option<Compression>,
    /// The columns, separated by commas [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    columns: Option<Vec<String>>,
    /// The tags with their own columns in CSV, separated by commas [default: the active keys]
    #[arg(long, value_name = "KEYS", value_delimiter = ',')]
    keys: Option<Vec<String>>,
    /// Tags that are left out, separated by commas
    #[arg(long, value_name = "KEYS", value_delimiter = ',')]
    deny_keys: Option<Vec<String>>,
    /// Ends after this many requests
    #[arg(long, value_name = "COUNT")]
    max_rows: Option<u64>,
    /// Continues after a place, as an interrupted export printed it. With --output, text is added to the file with the suffix
    /// .part, which must exist
    #[arg(long, value_name = "TOKEN")]
    resume: Option<Place>,
    /// Replaces the file if it exists
    #[arg(long)]
    force: bool,
    /// Prints the count and the SHA-256 of the whole file, and the next place, as JSON. Needs --output
    #[arg(long)]
    json: bool,
}

fn format_named(name: &str) -> Result<ExportFormat, String> {
    ExportFormat::from_name(name).ok_or_else(|| "expected jsonl, csv, or parquet".to_owned())
}

fn compression_named(name: &str) -> Result<Compression, String> {
    Compression::from_name(name).ok_or_else(|| "expected none, gzip, or zstd".to_owned())
}

/// The end of an export.
enum End {
    Complete(ExportSummary),
    /// The user stopped it. Another export continues after the token.
    Interrupted(Option<ExportToken>),
}

impl Export {
    pub(crate) async fn run(&self) -> Result<ExitCode, Failure> {
        let (format, compression) = self.forms()?;
        let is_text = format != ExportFormat::Parquet && compression == Compression::None;
        let target = Target::new(self.file(), self.force, format, is_text, self.resume.as_ref())?;
        if self.json && self.file().is_none() {
            return Err(Failure::Usage(
                "invalid --json: standard output has the requests, so --output is needed".to_owned(),
            ));
        }
        let range = self.scope.period.range("30d")?;
        let filters = self.scope.filters()?;
        let analytics = self.store.open()?;
        let query = filters.iter().cloned().fold(RowQuery::new(range.clone()), RowQuery::filter);
        let stream = self.exporter(query, format, compression)?.start(&analytics, &Grant::everything()).await?;
        let sums = filters.into_iter().fold(Query::new(range), Query::filter).measure(Measure::Requests);
        let progress = self.progress(&analytics, &sums).await?;
        let mut content = target.open()?;
        let end = write(stream, &mut content, self.resume.as_ref().map(|place| place.token.clone()), &progress).await;
        progress.finish_and_clear();
        let bytes = content.bytes();
        let interrupted = |reason: &str, token: Option<ExportToken>| {
            Err(Failure::Failed(target.interrupted(reason, token.as_ref(), bytes)))
        };
        match end {
            Ok(End::Complete(summary)) => {
                let summary = content.summary(summary);
                target.complete()?;
                self.report(&summary, target.is_rest())?;
                Ok(ExitCode::SUCCESS)
            }
            Ok(End::Interrupted(token)) => {
                drop(content);
                interrupted("stopped", token)
            }
            Err((failure @ Failure::ClosedOutput, _)) => Err(failure),
            Err((failure, token)) => {
                drop(content);
                interrupted(&failure.to_string(), token)
            }
        }
    }

    /// Returns the file. `None` for standard output, which may also be written as `-`.
    fn file(&self) -> Option<&Path> {
        self.output.as_deref().filter(|path| path.as_os_str() != "-")
    }

    /// Returns the format and the compression: as given, or else by the name of the file.
    fn forms(&self) -> Result<(ExportFormat, Compression), Failure> {
        let name = self.file().map(|path| path.to_string_lossy().to_lowercase()).unwrap_or_default();
        let named =
            Compression::ALL.iter().copied().find(|one| !one.suffix().is_empty() && name.ends_with(one.suffix()));
        let compression = self.compression.or(named).unwrap_or_default();
        let stem = named.map_or(&*name, |named| name.strip_suffix(named.suffix()).unwrap_or(&name));
        let by_name = stem.rsplit_once('.').and_then(|(_, suffix)| ExportFormat::from_name(suffix));
        let format = self.format.or(by_name).unwrap_or_default();
        if format == ExportFormat::Parquet && compression != Compression::None {
            return Err(Failure::Usage("invalid --compression: Parquet files are compressed inside".to_owned()));
        }
        if self.keys.is_some() && format != ExportFormat::Csv {
            return Err(Failure::Usage(format!("invalid --keys: expected the format csv, found {format}")));
        }
        Ok((format, compression))
    }

    fn exporter(&self, query: RowQuery, format: ExportFormat, compression: Compression) -> Result<Exporter, Failure> {
        let mut exporter = Exporter::new(query).format(format).compression(compression);
        if let Some(columns) = &self.columns {
            exporter = exporter.columns(columns);
        }
        if let Some(keys) = &self.keys {
            for key in keys {
                filter::dimension(key)?;
            }
            exporter = exporter.keys(keys);
        }
        exporter = exporter.deny_keys(self.deny_keys.iter().flatten());
        if let Some(place) = &self.resume {
            exporter = exporter.resume(place.token.clone());
        }
        Ok(self.max_rows.map_or(exporter.clone(), |rows| exporter.max_rows(rows)))
    }

    /// Returns a bar of the requests of a query, which is drawn only if standard error is a terminal.
    async fn progress(&self, analytics: &Analytics, query: &Query) -> Result<ProgressBar, Failure> {
        if !io::stderr().is_terminal() {
            return Ok(ProgressBar::hidden());
        }
        let total = analytics.run(query, &Grant::everything()).await?.total.totals.requests;
        let total = total.min(self.max_rows.unwrap_or(u64::MAX));
        // A continued export has fewer, but an unknown number.
        let bar = if self.resume.is_some() { ProgressBar::no_length() } else { ProgressBar::new(total) };
        let template = "{wide_bar} {human_pos}/{human_len} requests, {per_sec}, {eta} left";
        Ok(bar.with_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())))
    }

    fn report(&self, summary: &ExportSummary, is_rest: bool) -> Result<(), Failure> {
        if self.json {
            return print_json(summary);
        }
        let next = summary.next.as_ref().map(|token| format!("; continue with --resume {token}")).unwrap_or_default();
        let (rows, digest) = (format::count(summary.rows), &summary.sha256);
        let rest = if is_rest { " after the place of --resume, without those before it" } else { "" };
        Ok(writeln!(io::stderr(), "tagging: {rows} requests{rest}, sha256 {digest}{next}")?)
    }
}

/// Writes the content. An error comes with the place from which the content is missing: `written` if nothing was written.
async fn write(
    mut stream: ExportStream,
    content: &mut Content,
    mut written: Option<ExportToken>,
    progress: &ProgressBar,
) -> Result<End, (Failure, Option<ExportToken>)> {
    // One listener, so that a signal during a write counts.
    let mut stopped = pin!(tokio::signal::ctrl_c());
    loop {
        let next = tokio::select! {
            biased;
            _ = &mut stopped => return Ok(End::Interrupted(written)),
            next = stream.try_next() => next.map_err(|error| (error.into(), written.clone()))?,
        };
        let Some(bytes) = next else { break };
        let failed = |error: io::Error| (error.into(), written.clone());
        content.write(&bytes).map_err(failed)?;
        written = stream.token().or(written);
        progress.set_position(stream.rows());
    }
    let summary = stream.summary();
    summary.map(End::Complete).ok_or_else(|| (Failure::Failed("the export is incomplete".to_owned()), written))
}
