//! Reads a store in the terminal: reports by tag, the most expensive values, the newest requests, exports, and the verification
//! of the sums. It also creates API keys.
//!
//! ```text
//! cargo run --example tagging --features full -- report sqlite:events.db --by feature --since 7d
//! cargo run --example tagging --features full -- top sqlite:events.db --watch
//! cargo run --example tagging --features full -- tail sqlite:events.db --where team=search --follow
//! cargo run --example tagging --features full -- export sqlite:events.db --output june.csv.gz --since 2026-06-01 --until 2026-07-01
//! cargo run --example tagging --features full -- verify postgres://localhost/events
//! cargo run --example tagging --features full -- key new web
//! ```
//!
//! The store is the first argument, or else the environment variable `STORE`, as for the example `gateway`. SQLite files are
//! opened read-only, except by `verify --rebuild`. On Postgres, a role with only `SELECT` can run everything else. With `--json`,
//! standard output has JSON and nothing else.
//!
//! `verify` records its result in the store, where the dashboard shows it, if it can write to the store: with `--rebuild`, or
//! on Postgres with a role that may change `tagging_verifications`. Its own answer is the same either way.
//!
//! | exit code | meaning |
//! |---|---|
//! | 0 | success, also if there are no requests |
//! | 1 | `verify` found differences, or the store failed |
//! | 2 | an argument is not valid |

mod content;
mod export;
mod failure;
mod filter;
mod format;
mod key;
mod place;
mod recent;
mod report;
mod rest;
mod scope;
mod store;
mod table;
mod tail;
mod target;
mod top;
mod verify;

use std::{
    env,
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use failure::Failure;

/// Reads a store of tagged requests
#[derive(Debug, Parser)]
#[command(name = "tagging", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows cost, requests, errors, and latency by up to three dimensions
    Report(report::Report),
    /// Shows the most expensive models and values of active keys
    Top(top::Top),
    /// Shows the newest requests
    Tail(tail::Tail),
    /// Writes requests to a file or to standard output
    Export(export::Export),
    /// Compares the sums with the rows, day by day
    Verify(verify::Verify),
    /// Creates API keys for a registry
    Key(key::Key),
}

fn main() -> ExitCode {
    // Clap prints help to standard output with the code 0, and errors to standard error with the code 2.
    let arguments = Arguments::parse();
    console::set_colors_enabled(has_colors());
    let result = match &arguments.command {
        Command::Key(key) => key.run(),
        command => runtime().and_then(|runtime| runtime.block_on(run(command))),
    };
    match result {
        Ok(code) => code,
        // The reader, such as `head`, has seen enough.
        Err(Failure::ClosedOutput) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(io::stderr(), "tagging: {failure}");
            failure.code()
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

async fn run(command: &Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Report(report) => report.run().await,
        Command::Top(top) => top.run().await,
        Command::Tail(tail) => tail.run().await,
        Command::Export(export) => export.run().await,
        Command::Verify(verify) => verify.run().await,
        Command::Key(key) => key.run(),
    }
}

/// Returns `true` if standard output is a terminal with colors, and the user did not decline them (<https://no-color.org>).
fn has_colors() -> bool {
    let is_set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
    io::stdout().is_terminal() && !is_set("NO_COLOR") && env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Writes text to standard output.
fn print(text: &str) -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes())?;
    Ok(output.flush()?)
}

/// Writes a value as a line of JSON to standard output. Control characters are escaped, since it may be a terminal.
fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value).map_err(|error| Failure::Failed(error.to_string()))?;
    let mut text = format::printable_json(&text);
    text.push('\n');
    print(&text)
}
