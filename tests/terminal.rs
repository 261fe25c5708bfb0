//! Runs the example `tagging` as a program, and compares what it prints with the answers of the library.

mod common;
#[path = "../examples/tagging/format.rs"]
#[allow(dead_code, unreachable_pub, reason = "the program uses the other functions")]
mod format;
#[path = "common/program.rs"]
mod program;

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{Arc, LazyLock, Mutex},
    time::{Duration, SystemTime},
};

use common::TempFolder;
use http::StatusCode;
use rusqlite::Connection;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tower_tagging::{
    Event, Scope,
    analytics::{Analytics, Bucket, Filter, Grant, Measure, Order, Query, RowQuery, TimeRange},
    registry::ApiKey,
    sink::BatchWriter,
    store::{Dimension, EventRow, Field, PostgresStore, SqliteStore},
    tags,
    usage::{Cost, CostStatus, LlmCall, Money, Operation, Usage},
};

const FROM: &str = "2026-06-01";
const TO: &str = "2026-06-08";
/// 2026-06-01T00:00:00Z
const START: u64 = 1_780_272_000;

/// The program, built once for all tests.
static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| program::example("tagging"));

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(&*PROGRAM);
    command.args(arguments).env_remove("STORE").env_remove("NO_COLOR").stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs the program. Returns its code, its standard output, and its standard error.
fn run(arguments: &[&str]) -> (i32, String, String) {
    parts(command(arguments).output().unwrap())
}

fn parts(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Runs the program, which must succeed without a message.
#[track_caller]
fn ok(arguments: &[&str]) -> String {
    let (code, output, errors) = run(arguments);
    assert_eq!((code, &*errors), (0, ""), "{arguments:?}: {output}");
    output
}

#[track_caller]
fn ok_json(arguments: &[&str]) -> Value {
    let output = ok(arguments);
    assert_eq!(output.lines().count(), 1, "{output}");
    serde_json::from_str(&output).unwrap()
}

/// A request of a team in an hour of the range.
fn event(hour: u64, team: Option<&str>, feature: &str, nanos: Option<u64>, status: u16) -> Arc<Event> {
    let call = LlmCall::builder().provider("openai").operation(Operation::Chat).usage(Usage::tokens(100, 20));
    let call = match nanos {
        Some(nanos) => call.request_model("gpt-4o").cost(Cost::custom(Money::from_nano_usd(nanos))),
        None => call.request_model("in-house").cost_status(CostStatus::UnpricedModel),
    };
    let mut event = Event::builder()
        .time(SystemTime::UNIX_EPOCH + Duration::from_secs(START + hour * 3_600))
        .path("/v1/chat/completions")
        .status(StatusCode::from_u16(status).unwrap())
        .duration(Duration::from_millis(100 + hour))
        .workspace("acme")
        .tags(Scope::Request, tags! { "feature" => feature })
        .llm(call.build());
    if let Some(team) = team {
        event = event.tags(Scope::Request, tags! { "team" => team });
    }
    Arc::new(event.build())
}

fn events() -> Vec<Arc<Event>> {
    let mut events = Vec::new();
    for (at, hour) in (0..150).enumerate() {
        let (team, feature) = (["search", "growth", "ads", "core"][at % 4], ["chat", "mail"][at % 2]);
        let status = if hour % 10 == 0 { 500 } else { 200 };
        let nanos = (hour % 7 != 0).then_some(1_234_567 * (hour + 1));
        events.push(event(hour, (hour % 9 != 0).then_some(team), feature, nanos, status));
    }
    events
}

/// A SQLite file with events, and analytics over it.
struct Filled {
    folder: TempFolder,
    url: String,
    analytics: Analytics,
}

impl Filled {
    fn new(name: &str, events: &[Arc<Event>]) -> Self {
        let folder = TempFolder::new(&format!("terminal-{name}"));
        let store = SqliteStore::open(folder.file("events.db")).unwrap();
        store.migrate().unwrap();
        store.writer().write(events).unwrap();
        let url = format!("sqlite:{}", folder.file("events.db").display());
        Self { folder, url, analytics: Analytics::new(store) }
    }

    fn database(&self) -> Connection {
        Connection::open(self.folder.file("events.db")).unwrap()
    }
}

fn range(zone: &str) -> TimeRange {
    let (from, to) = match zone {
        "Europe/Berlin" => ("2026-05-31T22:00:00Z", "2026-06-07T22:00:00Z"),
        _ => ("2026-06-01T00:00:00Z", "2026-06-08T00:00:00Z"),
    };
    TimeRange::parse(from, to, zone).unwrap()
}

/// Returns the query of a report.
fn query(range: TimeRange) -> Query {
    let measures =
        [Measure::Cost, Measure::Requests, Measure::ErrorRate, Measure::P95Latency, Measure::UnpricedRequests];
    let query = measures.into_iter().fold(Query::new(range), Query::measure);
    query.order(Order::Descending(Measure::Cost)).bucket(Bucket::Auto).limit(20)
}

async fn check_reports(analytics: &Analytics, url: &str) {
    let base = ["report", url, "--since", FROM, "--until", TO, "--json"];
    for (more, expected) in [
        (vec![], query(range("UTC"))),
        (vec!["--by", "team"], query(range("UTC")).group_by(Dimension::tag("team"))),
        (
            vec!["--by", "metadata.team", "--by", "model"],
            query(range("UTC")).group_by(Dimension::tag("team")).group_by(Field::Model),
        ),
        (
            vec!["--by", "team", "--zone", "Europe/Berlin"],
            query(range("Europe/Berlin")).group_by(Dimension::tag("team")),
        ),
        (vec!["--by", "feature", "--limit", "1"], query(range("UTC")).group_by(Dimension::tag("feature")).limit(1)),
        (vec!["--where", "team=search"], query(range("UTC")).filter(Filter::is(Dimension::tag("team"), "search"))),
        (
            vec!["--where", "team!=search", "--where", "model^=gpt", "--where", "feature"],
            query(range("UTC"))
                .filter(Filter::is_not(Dimension::tag("team"), "search"))
                .filter(Filter::Prefix(Field::Model.into(), "gpt".to_owned()))
                .filter(Filter::Has(Dimension::tag("feature"))),
        ),
        (vec!["--where", "!team"], query(range("UTC")).filter(Filter::HasNot(Dimension::tag("team")))),
    ] {
        let printed = ok_json(&[&base[..], &more].concat());
        let answer = analytics.run(&expected, &Grant::everything()).await.unwrap();
        assert!(answer.total.totals.requests > 0, "{more:?}");
        assert_eq!(printed, serde_json::to_value(answer).unwrap(), "{more:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_are_the_answers_of_the_library() {
    let filled = Filled::new("reports", &events());
    check_reports(&filled.analytics, &filled.url).await;
    // The store may be a path, and may be in the environment.
    let path = filled.folder.file("events.db");
    let arguments = ["report", "--by", "team", "--since", FROM, "--until", TO, "--json"];
    let (code, output, _) = parts(command(&arguments).env("STORE", &path).output().unwrap());
    assert_eq!(
        (code, output),
        (0, ok(&["report", &filled.url, "--by", "team", "--since", FROM, "--until", TO, "--json"]))
    );
}

/// Returns the amount that a text shows.
fn parsed(text: &str) -> f64 {
    let (sign, text) = text.strip_prefix('-').map_or((1.0, text), |text| (-1.0, text));
    sign * text.strip_prefix('$').unwrap().replace(',', "").parse::<f64>().unwrap()
}

#[test]
fn money_is_rounded_correctly_around_each_power_of_ten() {
    for (nanos, text) in [
        (0, "$0.00"),
        (1, "<$0.0001"),
        (49_999, "<$0.0001"),
        (50_000, "$0.0001"),
        (9_949_999, "$0.0099"),
        (9_950_000, "$0.0100"),
        (99_950_000, "$0.1000"),
        (999_949_999, "$0.9999"),
        (999_950_000, "$1.00"),
        (999_999_999, "$1.00"),
        (-999_999_999, "-$1.00"),
        (1_000_000_000, "$1.00"),
        (1_004_999_999, "$1.00"),
        (1_005_000_000, "$1.01"),
        (9_994_999_999, "$9.99"),
        (9_995_000_000, "$10.00"),
        (999_995_000_000, "$1,000.00"),
        (-1, "-<$0.0001"),
    ] {
        assert_eq!(format::money(nanos), text, "{nanos}");
    }
    for power in 0..=15 {
        let step = 10_i64.pow(power);
        let around = [1, 10, 49_999, 50_000, 50_001, 99_999, 100_000, 4_999_999, 5_000_000, 5_000_001];
        for nanos in around.into_iter().flat_map(|distance| [step - distance, step, step + distance]) {
            let text = format::money(nanos);
            if text.contains('<') {
                assert!(nanos.abs() < 50_000, "{nanos}: {text}");
                continue;
            }
            #[allow(clippy::cast_precision_loss, reason = "the numbers are below 2^53")]
            let error = (parsed(&text) * 1e9 - nanos as f64).abs();
            let most = if nanos.abs() < 999_950_000 { 50_000.0 } else { 5_000_000.0 };
            // A hundredth of a nano-dollar is lost in the computation.
            assert!(error <= most + 0.5, "{nanos}: {text}");
        }
    }
}

/// Returns the cells of the lines of a table. They are separated by at least two spaces.
fn cells(line: &str) -> Vec<String> {
    line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect()
}

#[test]
fn the_rows_of_a_report_add_up_to_its_total() {
    let filled = Filled::new("sums", &events());
    let output = ok(&["report", &filled.url, "--by", "team", "--since", FROM, "--until", TO, "--limit", "2"]);
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(cells(lines[0]), ["TEAM", "COST", "SHARE", "REQUESTS", "ERRORS", "P95", "UNPRICED", "TREND"]);
    let rows: Vec<Vec<String>> = lines[1..5].iter().map(|line| cells(line)).collect();
    assert_eq!((&*rows[2][0], &*rows[3][0]), ("(3 others)", "total"), "{output}");
    let sum = |column: usize| rows[..3].iter().map(|row| row[column].parse::<u64>().unwrap()).sum::<u64>();
    for column in [3, 6] {
        assert_eq!(sum(column).to_string(), rows[3][column], "{output}");
    }
    let dollars = |row: &Vec<String>| row[1].trim_start_matches('$').parse::<f64>().unwrap();
    // Each amount is rounded.
    assert!((rows[..3].iter().map(dollars).sum::<f64>() - dollars(&rows[3])).abs() < 0.01, "{output}");
    let shares = rows[..3].iter().map(|row| row[2].trim_end_matches(" %").parse::<f64>().unwrap());
    assert!((shares.sum::<f64>() - 100.0).abs() < 0.2 && rows[3][2] == "100.0 %", "{output}");
    assert_eq!(rows[3][3], "150");
    assert!(rows[0][7].contains('█'), "{output}");
    assert!(
        output.contains("2026-06-01 00:00:00 UTC to 2026-06-08 00:00:00 UTC; data up to 2026-06-07 05:00:00 UTC"),
        "{output}"
    );
    assert!(output.contains("of LLM calls unpriced"), "{output}");
    let output = ok(&["report", &filled.url, "--since", FROM, "--until", TO, "--zone", "Europe/Berlin"]);
    assert!(output.contains("data up to 2026-06-07 07:00:00 Europe/Berlin"), "{output}");
    // Without requests, the total is zero.
    let output = ok(&["report", &filled.url, "--by", "team", "--since", "2026-01-01", "--until", "2026-01-02"]);
    assert_eq!(cells(output.lines().nth(1).unwrap())[..4], ["total", "$0.00", "–", "0"], "{output}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn top_has_the_model_and_each_active_key() {
    let filled = Filled::new("top", &events());
    let arguments = ["top", &filled.url, "--since", FROM, "--until", TO];
    let printed = ok_json(&[&arguments[..], &["--json"]].concat());
    let names: Vec<&String> = printed["by"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["metadata.feature", "metadata.team", "model"]);
    for dimension in [Field::Model.into(), Dimension::tag("team"), Dimension::tag("feature")] {
        let name = dimension.to_string();
        let mut query = query(range("UTC")).group_by(dimension).limit(5);
        query.bucket = None;
        let answer = filled.analytics.run(&query, &Grant::everything()).await.unwrap();
        assert_eq!(printed["by"][&name], serde_json::to_value(answer).unwrap(), "{name}");
    }
    let output = ok(&[&arguments[..], &["--by", "team", "--limit", "1"]].concat());
    assert!(output.starts_with("TEAM") && output.contains("(4 others)") && output.contains("total"), "{output}");
    // A tag may have the name of a field.
    let both = ["--by", "model", "--by", "metadata.model", "--by", "metadata.team"];
    let same_names = ok_json(&[&arguments[..], &both, &["--json"]].concat());
    let names: Vec<&String> = same_names["by"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["metadata.model", "metadata.team", "model"]);
    assert_eq!(same_names["by"]["model"], printed["by"]["model"]);
    let output = ok(&[&arguments[..], &both].concat());
    assert!(output.starts_with("MODEL ") && output.contains("\nMETADATA.MODEL "), "{output}");
    assert!(output.contains("\nTEAM "), "{output}");
    let watched = ok(&[&arguments[..], &["--watch=1", "--times", "2", "--json"]].concat());
    let lines: Vec<Value> = watched.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[0], &lines[1]), (2, &printed, &printed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tail_shows_the_newest_requests_in_order() {
    let filled = Filled::new("tail", &events());
    let arguments = ["tail", &filled.url, "--since", FROM, "--until", TO];
    let output = ok(&[&arguments[..], &["-n", "30", "--where", "team=search", "--json"]].concat());
    let printed: Vec<Value> = output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let query = RowQuery::new(range("UTC")).filter(Filter::is(Dimension::tag("team"), "search")).limit(30);
    let mut rows = filled.analytics.rows(&query, &Grant::everything()).await.unwrap().rows;
    rows.reverse();
    assert_eq!(printed.len(), 30);
    assert_eq!(printed, rows.iter().map(|row| serde_json::to_value(row).unwrap()).collect::<Vec<_>>());
    let output = ok(&[&arguments[..], &["-n", "2", "--zone", "Europe/Berlin"]].concat());
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(
        lines[1].starts_with("2026-06-07 07:00:00.000       200   249 ms") && lines[1].contains("gpt-4o"),
        "{output}"
    );
    assert!(lines[1].contains("feature=mail") && lines[1].contains("100→20"), "{output}");
}

/// Requests are stored when they end, so a later one may have an earlier time.
#[test]
fn tail_follows_each_new_request_once() {
    let at = |ago: u64, name: &str| {
        let event = Event::builder().time(SystemTime::now() - Duration::from_secs(ago)).path("/x");
        Arc::new(event.tags(Scope::Request, tags! { "name" => name }).build())
    };
    let filled = Filled::new("follow", &[at(30, "old"), at(3_600, "older")]);
    let store = SqliteStore::open(filled.folder.file("events.db")).unwrap();
    let mut child = command(&["tail", &filled.url, "--follow", "--json", "--since", "2h"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next =
        || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap()["raw_metadata"]["name"].clone();
    assert_eq!([next(), next()], ["older", "old"]);
    store.writer().write(&[at(0, "new")]).unwrap();
    assert_eq!(next(), "new");
    store.writer().write(&[at(300, "late"), at(7_200, "too late")]).unwrap();
    assert_eq!(next(), "late");
    store.writer().write(&[at(0, "last")]).unwrap();
    assert_eq!(next(), "last");
    child.kill().unwrap();
    child.wait().unwrap();
}

/// A busy store has more requests in the window than are read each second.
#[test]
fn tail_follows_a_busy_store_within_limits() {
    let at = |ago: Duration, name: &str| {
        let event = Event::builder().time(SystemTime::now() - ago).path("/x");
        Arc::new(event.tags(Scope::Request, tags! { "name" => name }).build())
    };
    let old: Vec<Arc<Event>> = (0..6_000).map(|number| at(Duration::from_millis(100 * number), "old")).collect();
    let filled = Filled::new("busy", &old);
    let store = SqliteStore::open(filled.folder.file("events.db")).unwrap();
    let mut child = command(&["tail", &filled.url, "--follow", "--json", "-n", "1"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next =
        || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap()["raw_metadata"]["name"].clone();
    assert_eq!(next(), "old");
    let mut note = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut note).unwrap();
    assert!(note.contains("note: more than 5,000 requests began in the last 15 minutes"), "{note}");
    // Requests that are not looked at again do not appear, and others appear once.
    let seconds = Duration::from_secs;
    store
        .writer()
        .write(&[at(seconds(700), "before the newest"), at(seconds(60), "late"), at(seconds(0), "new")])
        .unwrap();
    assert_eq!([next(), next()], ["late", "new"]);
    store.writer().write(&[at(seconds(0), "last")]).unwrap();
    assert_eq!(next(), "last");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tail_has_the_same_unpriced_requests_as_the_sums() {
    let call = || LlmCall::builder().provider("openai").operation(Operation::Chat).request_model("gpt-4o");
    let at = |hour: u64, status: u16, call: LlmCall| {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(START + hour * 3_600);
        Arc::new(Event::builder().time(time).path("/x").status(StatusCode::from_u16(status).unwrap()).llm(call).build())
    };
    let filled = Filled::new(
        "unpriced",
        &[
            // The provider refused it.
            at(1, 429, call().build()),
            at(2, 200, call().build()),
            at(3, 500, call().usage(Usage::tokens(1, 1)).cost_status(CostStatus::UnpricedModel).build()),
            at(4, 200, call().usage(Usage::tokens(1, 1)).cost(Cost::custom(Money::from_nano_usd(999_999_999))).build()),
        ],
    );
    let output = ok(&["tail", &filled.url, "--since", FROM, "--until", TO]);
    let is_unpriced: Vec<bool> = output.lines().map(|line| line.contains("unpriced")).collect();
    assert_eq!(is_unpriced, [false, true, true, false], "{output}");
    assert!(output.lines().last().unwrap().contains(" $1.00 "), "{output}");
    let page = filled.analytics.rows(&RowQuery::new(range("UTC")).oldest_first(), &Grant::everything()).await.unwrap();
    assert_eq!(page.rows.iter().map(EventRow::is_unpriced).collect::<Vec<_>>(), is_unpriced);
    let answer = filled.analytics.run(&query(range("UTC")), &Grant::everything()).await.unwrap();
    assert_eq!(answer.total.totals.unpriced, 2);
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut content).unwrap();
    content
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

#[test]
fn exports_have_the_format_of_the_name_and_a_digest() {
    let filled = Filled::new("exports", &events());
    let export = |name: &str, more: &[&str]| {
        let file = filled.folder.file(name);
        let arguments =
            ["export", &filled.url, "--since", FROM, "--until", TO, "--output", file.to_str().unwrap(), "--json"];
        let summary = ok_json(&[&arguments[..], more].concat());
        (std::fs::read(file).unwrap(), summary)
    };
    let (lines, summary) = export("all.jsonl", &[]);
    assert_eq!((&summary["rows"], &summary["sha256"]), (&json!(150), &json!(sha256(&lines))));
    let first: Value = serde_json::from_slice(lines.split(|byte| *byte == b'\n').next().unwrap()).unwrap();
    assert_eq!(
        (&first["requested_at"], &first["raw_metadata"]["feature"]),
        (&json!("2026-06-01T00:00:00.000000Z"), &json!("chat"))
    );
    // Standard output has exactly the content of the file.
    let (code, output, errors) = run(&["export", &filled.url, "--since", FROM, "--until", TO]);
    assert_eq!((code, output.as_bytes()), (0, &*lines));
    assert!(errors.starts_with("tagging: 150 requests, sha256 "), "{errors}");

    let (compressed, summary) =
        export("all.csv.gz", &["--where", "team=search", "--columns", "id,model", "--keys", "team"]);
    let csv = String::from_utf8(gunzip(&compressed)).unwrap();
    assert_eq!(csv.lines().next(), Some("id,model,metadata.team"));
    assert_eq!(csv.lines().count() as u64, summary["rows"].as_u64().unwrap() + 1);
    assert!(csv.lines().skip(1).all(|line| line.ends_with(",search")), "{csv}");
    let (file, _) = export("all.jsonl.zst", &[]);
    assert_eq!(zstd::decode_all(&*file).unwrap(), lines);
    let (file, _) = export("all.parquet", &[]);
    assert!(file.starts_with(b"PAR1") && file.ends_with(b"PAR1"));
    let (denied, _) = export("denied.jsonl", &["--deny-keys", "team"]);
    assert!(!String::from_utf8(denied).unwrap().contains("\"team\""));
    assert!(
        std::fs::read_dir(filled.folder.path()).unwrap().all(|entry| !entry
            .unwrap()
            .path()
            .to_string_lossy()
            .ends_with(".part"))
    );
}

#[test]
fn an_export_continues_where_another_one_ended() {
    let filled = Filled::new("resume", &events());
    for format in ["jsonl", "csv"] {
        let file = |name: &str| filled.folder.file(&format!("{name}.{format}"));
        let export = |name: &str, more: &[&str]| {
            let path = file(name);
            let arguments =
                ["export", &filled.url, "--since", FROM, "--until", TO, "--output", path.to_str().unwrap(), "--json"];
            ok_json(&[&arguments[..], more].concat())
        };
        let whole = export("whole", &[]);
        let first = export("part", &["--max-rows", "60"]);
        let token = first["next"].as_str().unwrap();
        // An interrupted export leaves its start in a file with another name.
        let part = filled.folder.file(&format!("rest.{format}.part"));
        std::fs::rename(file("part"), &part).unwrap();
        let rest = export("rest", &["--resume", token]);
        let content = std::fs::read(file("rest")).unwrap();
        assert!(content == std::fs::read(file("whole")).unwrap(), "the continued file is not the whole");
        // Count and digest are those of the whole file.
        assert_eq!((&first["rows"], &rest), (&json!(60), &whole));
        assert_eq!(rest["sha256"], json!(sha256(&content)));

        // A file that is not the start of the export is not completed.
        let (path, arguments) = (file("again"), ["export", &*filled.url, "--since", FROM, "--until", TO]);
        let part = filled.folder.file(&format!("again.{format}.part"));
        let again =
            |place: &str| run(&[&arguments[..], &["--output", path.to_str().unwrap(), "--resume", place]].concat());
        let (code, _, errors) = again(token);
        assert!(code == 2 && errors.contains("again") && errors.contains("leave out --output"), "{errors}");
        assert!(!path.exists() && !part.exists());
        for (content, place, reason) in [
            (&content[..1_000], token.to_owned(), "ends within a request"),
            (&content[..1_000], format!("{token}@2000"), "expected at least the 2000 bytes"),
            (&content[..1_000], format!("{token}@999"), "ends within a request"),
            (&b""[..], token.to_owned(), "ends within a request"),
            (&content[..1_000], format!("{token}@x"), "invalid number of bytes"),
        ] {
            std::fs::write(&part, content).unwrap();
            let (code, _, errors) = again(&place);
            assert!(code == 2 && errors.contains(reason), "{place}: {errors}");
            assert!(!path.exists() && std::fs::read(&part).unwrap() == content, "{place}");
        }
        // Without the file, the rest is reported as such.
        let (code, _, errors) = run(&[&arguments[..], &["--format", format, "--resume", token]].concat());
        assert!(code == 0 && errors.starts_with("tagging: 90 requests after the place of --resume"), "{errors}");
    }
}

/// A full disk takes the start of a piece. The file is cut to whole requests, and continued there.
#[cfg(unix)]
#[test]
fn an_export_to_a_full_disk_continues_after_the_last_complete_piece() {
    let filled = Filled::new("full", &events());
    let many: Vec<Arc<Event>> = (0..5_000).map(|at| event(at % 150, Some("a\nb"), "chat", Some(at), 200)).collect();
    SqliteStore::open(filled.folder.file("events.db")).unwrap().writer().write(&many).unwrap();
    for format in ["jsonl", "csv"] {
        let whole = filled.folder.file(&format!("whole.{format}"));
        let path = filled.folder.file(&format!("full.{format}"));
        let part = filled.folder.file(&format!("full.{format}.part"));
        let base = ["export", &*filled.url, "--since", FROM, "--until", TO, "--json", "--output"];
        let expected = ok_json(&[&base[..], &[whole.to_str().unwrap()]].concat());
        let whole = std::fs::read(whole).unwrap();
        // A limit of the size of files acts as a full disk does: a write is cut off, and the next one fails.
        let export = |blocks: usize, more: &[&str]| {
            let mut shell = Command::new("bash");
            let line = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
            shell.args(["-c", &line, "bash"]).arg(&*PROGRAM).args(base).arg(&path).args(more).env_remove("STORE");
            parts(shell.output().unwrap())
        };
        let place = |errors: &str| errors.trim_end().rsplit_once("--resume ").unwrap().1.to_owned();
        let third = whole.len() / 3_072;
        let (code, _, errors) = export(third, &[]);
        assert_eq!(code, 1, "{errors}");
        let first = place(&errors);
        let content = std::fs::read(&part).unwrap();
        assert!(
            content.ends_with(b"\n") && whole.starts_with(&content) && first.ends_with(&format!("@{}", content.len())),
            "{errors}"
        );
        // Nothing more fits, and nothing is lost.
        let (code, _, errors) = export(third, &["--resume", &first]);
        assert_eq!((code, place(&errors)), (1, first.clone()), "{errors}");
        assert!(std::fs::read(&part).unwrap() == content);
        // A process that was killed may have left the start of a piece.
        std::fs::write(&part, &whole[..content.len() + 100]).unwrap();
        let (code, output, errors) = export(whole.len(), &["--resume", &first]);
        assert_eq!((code, &*errors), (0, ""));
        assert_eq!(serde_json::from_str::<Value>(&output).unwrap(), expected);
        assert!(std::fs::read(&path).unwrap() == whole && !part.exists(), "the parts are not the whole");
    }
}

/// Whoever stops an export learns how to continue it.
#[cfg(unix)]
#[test]
fn an_interrupted_export_keeps_its_start_and_prints_the_place() {
    let filled = Filled::new("interrupted", &events());
    // The exporter waits for the reader of a full pipe, and is stopped there.
    let many: Vec<Arc<Event>> = (0..20_000).map(|at| event(at % 150, Some("search"), "chat", Some(at), 200)).collect();
    SqliteStore::open(filled.folder.file("events.db")).unwrap().writer().write(&many).unwrap();
    let arguments = ["export", &filled.url, "--since", FROM, "--until", TO];
    let mut child = command(&arguments).spawn().unwrap();
    let mut first = vec![0; 4_096];
    let mut output = child.stdout.take().unwrap();
    output.read_exact(&mut first).unwrap();
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let mut rest = Vec::new();
    output.read_to_end(&mut rest).unwrap();
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{errors}");
    let (_, token) = errors.trim_end().split_once("continue with --resume ").unwrap();
    let mut content = [first, rest].concat();
    assert!(errors.starts_with("tagging: the export is incomplete: stopped") && content.ends_with(b"\n"), "{errors}");
    let (code, continued, _) = run(&[&arguments[..], &["--resume", token]].concat());
    content.extend_from_slice(continued.as_bytes());
    let (_, whole, _) = run(&arguments);
    assert!(code == 0 && content == whole.as_bytes(), "the parts are not the whole");
}

/// The lines of a log.
#[derive(Default)]
struct Log(Mutex<Vec<u8>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for &Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verification_finds_and_repairs_differences() {
    let filled = Filled::new("verify", &events());
    let arguments = ["verify", &filled.url, "--since", FROM, "--until", TO];
    assert_eq!(ok(&arguments), "the sums match the rows: 7 days, 2026-06-01 to 2026-06-07\n");
    // The file was only read.
    assert_eq!(filled.analytics.verifications(9).await.unwrap(), []);
    let key = "(subject, tier, bucket, first, second, workspace)";
    let columns = key.trim_matches(['(', ')']);
    let changed = filled.database().execute(
        &format!(
            "UPDATE tagging_rollups SET requests = requests + 1
             WHERE {key} = (SELECT {columns} FROM tagging_rollups ORDER BY {columns} DESC LIMIT 1)"
        ),
        [],
    );
    assert_eq!(changed.unwrap(), 1);
    let expected = filled.analytics.verify(&range("UTC")).await.unwrap();
    assert_eq!(expected.len(), 1);
    let last = filled.analytics.last_verification().await.unwrap().unwrap();
    assert_eq!((last.differences, filled.analytics.verifications(9).await.unwrap().len()), (1, 1));
    // The result is not lost if it cannot be recorded.
    let log = Arc::<Log>::default();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(Arc::clone(&log)).finish();
    let default = tracing::subscriber::set_default(subscriber);
    let reader = Analytics::new(SqliteStore::open_read_only(filled.folder.file("events.db")).unwrap());
    assert_eq!(reader.verify(&range("UTC")).await.unwrap(), expected);
    assert_eq!(log.text(), "", "a store that is open read-only is expected to keep nothing");
    filled.database().execute_batch("ALTER TABLE tagging_verifications RENAME TO other").unwrap();
    assert_eq!(filled.analytics.verify(&range("UTC")).await.unwrap(), expected);
    drop(default);
    assert!(log.text().contains("WARN tower_tagging::analytics::maintenance: verification was not recorded from="));
    filled.database().execute_batch("ALTER TABLE other RENAME TO tagging_verifications").unwrap();
    assert_eq!(filled.analytics.verifications(9).await.unwrap().len(), 1);
    let (code, output, errors) = run(&arguments);
    assert_eq!((code, &*errors), (1, ""));
    assert!(output.contains(&expected[0]) && output.contains("1 difference: 7 days"), "{output}");
    let (code, output, errors) = run(&[&arguments[..], &["--json"]].concat());
    let printed: Value = serde_json::from_str(&output).unwrap();
    assert_eq!((code, &*errors, &printed["differences"]), (1, "", &json!(1)));
    let days = printed["days"].as_array().unwrap();
    let found: Vec<&Value> = days.iter().flat_map(|day| day["differences"].as_array().unwrap()).collect();
    assert_eq!((days.len(), found), (7, vec![&json!(expected[0])]));
    let output = ok(&[&arguments[..], &["--rebuild"]].concat());
    assert_eq!(
        output,
        "the sums match the rows: 7 days, 2026-06-01 to 2026-06-07; the sums of 1 were computed again\n"
    );
    ok(&arguments);
}

#[test]
fn wrong_arguments_are_explained_with_code_2() {
    let filled = Filled::new("wrong", &events());
    let missing = filled.folder.file("missing.db");
    let missing = missing.to_str().unwrap();
    let url = &*filled.url;
    for (arguments, reason) in [
        (vec!["report", url, "--zone", "Nowhere"], "unknown time zone \"Nowhere\": expected an IANA name"),
        (vec!["report", url, "--since", "yesterday"], "invalid time \"yesterday\": expected 7d, 24h"),
        (vec!["report", url, "--since", TO, "--until", FROM], "which is not after its start"),
        (vec!["report", url, "--by", ""], "a key is empty"),
        (vec!["report", url, "--by", "a", "--by", "b", "--by", "c", "--by", "d"], "at most 3 dimensions"),
        (vec!["report", url, "--limit", "0"], "invalid limit 0"),
        (vec!["report", url, "--where", "=x"], "a key is empty"),
        (vec!["report", missing], "there is no file"),
        (vec!["report", "mysql://user:secret@host/db"], "invalid store: expected sqlite:PATH"),
        (vec!["report"], "the store is missing"),
        (vec!["report", url, "--unknown"], "--unknown"),
        (vec!["reprot", url], "report"),
        (vec![], "Usage"),
        (vec!["export", url, "--output", "x.csv", "--columns", "unknown"], "unknown column \"unknown\""),
        (vec!["export", url, "--format", "xml"], "expected jsonl, csv, or parquet"),
        (vec!["export", url, "--output", "x.parquet", "--compression", "gzip"], "compressed inside"),
        (vec!["export", url, "--json"], "--output is needed"),
        (vec!["export", url, "--json", "--output", "-"], "--output is needed"),
        (vec!["export", url, "--resume", "x"], "invalid export token"),
        (vec!["export", url, "--output", missing.trim_end_matches("missing.db")], "exists"),
        (vec!["tail", url, "--follow", "--until", TO], "--follow has no end"),
        (vec!["verify", url, "--where", "team=search"], "unexpected argument '--where'"),
        (vec!["top", url, "--watch=0"], "--watch"),
        (vec!["key", "new"], "NAME"),
        (vec!["key", "new", "web", "not a prefix"], "prefix"),
    ] {
        let (code, output, errors) = run(&arguments);
        assert_eq!((code, &*output), (2, ""), "{arguments:?}: {errors}");
        assert!(errors.contains(reason) && !errors.contains("secret"), "{arguments:?}: {errors}");
    }
    assert!(!Path::new(missing).exists(), "a missing file is never created");
    // A file that is not a database, and one without tables.
    let other = filled.folder.file("text.db");
    std::fs::write(&other, "not a database, but a long enough text to be read as one").unwrap();
    for name in ["text.db", "empty.db"] {
        let path = filled.folder.file(name);
        if name == "empty.db" {
            Connection::open(&path).unwrap().execute_batch("CREATE TABLE other (x)").unwrap();
        }
        let (code, output, errors) = run(&["report", path.to_str().unwrap()]);
        assert_eq!((code, &*output, errors.lines().count()), (1, "", 1), "{errors}");
    }
}

/// The start of a control sequence in all forms, and characters that hide or reorder text.
const HOSTILE: &str = "\u{1b}[2J\u{1b}]0;title\u{7}\r\nspoofed,\"\r\nspoofed\u{202e}\u{9b}31m\
    \u{7f}\u{61c}\u{feff}\u{2060}\u{2064}\u{2066}\u{85}\u{200b}\u{e0041}x";

/// Returns `true` for characters that a terminal must not get.
fn is_hostile(letter: char) -> bool {
    letter != '\n' && (letter.is_control() || letter != 'x' && !letter.is_ascii() && HOSTILE.contains(letter))
}

/// Tags come from clients. They must not move the cursor, or write outside of their column.
#[test]
fn hostile_tags_are_printed_without_control_characters() {
    let filled = Filled::new("hostile", &[event(1, Some(HOSTILE), HOSTILE, Some(5), 200)]);
    for arguments in [
        vec!["report", &*filled.url, "--by", "team", "--since", FROM, "--until", TO],
        vec!["top", &*filled.url, "--since", FROM, "--until", TO],
        vec!["tail", &*filled.url, "--since", FROM, "--until", TO],
    ] {
        let output = ok(&arguments);
        assert!(output.contains("spoofed"), "{arguments:?}: {output}");
        assert!(!output.contains(is_hostile), "{arguments:?}: {output:?}");
        assert!(output.lines().all(|line| !line.trim_start().starts_with("spoofed")), "{output}");
        // JSON has the same value in a form that is safe as well.
        let output = ok(&[&arguments[..], &["--json"]].concat());
        assert!(!output.contains(is_hostile), "{arguments:?}: {output:?}");
        let printed: Value = serde_json::from_str(&output).unwrap();
        let team = match arguments[0] {
            "report" => &printed["groups"][0]["values"][0],
            "top" => &printed["by"]["metadata.team"]["groups"][0]["values"][0],
            _ => &printed["raw_metadata"]["team"],
        };
        assert_eq!(team, HOSTILE, "{arguments:?}: {output}");
    }
}

/// Files and pipes get the values as they are.
#[cfg(target_os = "linux")]
#[test]
fn exports_of_hostile_tags_are_safe_on_a_terminal() {
    let filled = Filled::new("hostile-export", &[event(1, Some(HOSTILE), HOSTILE, Some(5), 200)]);
    for (format, lines) in [("jsonl", 1), ("csv", 2)] {
        let arguments =
            ["export", &filled.url, "--since", FROM, "--until", TO, "--format", format, "--columns", "id,raw_metadata"];
        let (code, piped, _) = run(&arguments);
        assert!(code == 0 && piped.contains("\u{9b}"), "{piped:?}");
        // Standard error has a progress bar.
        let shown = in_terminal(200, "1", &[&arguments[..], &["2>/dev/null"]].concat());
        assert!(shown.contains("spoofed") && !shown.contains(is_hostile), "{shown:?}");
        assert_eq!(shown.lines().count(), lines, "{shown:?}");
        if format == "jsonl" {
            let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
            assert_eq!(value(&shown), value(&piped));
            assert_eq!(value(&shown)["raw_metadata"]["team"], HOSTILE);
        }
    }
}

/// Runs the program in a terminal with some columns. Returns what the terminal gets.
#[cfg(target_os = "linux")]
fn in_terminal(columns: u16, color: &str, arguments: &[&str]) -> String {
    let line = format!("stty cols {columns} rows 12; {} {}", PROGRAM.display(), arguments.join(" "));
    let mut command = Command::new("script");
    command.args(["-qec", &line, "/dev/null"]).env("NO_COLOR", color).env("TERM", "xterm").stdin(Stdio::null());
    let (code, output, errors) = parts(command.output().unwrap());
    assert_eq!((code, &*errors), (0, ""), "{output}");
    output.replace("\r\n", "\n")
}

/// Columns are left out, and labels are cut, so that no line is broken.
#[cfg(target_os = "linux")]
#[test]
fn tables_fit_into_the_terminal() {
    let filled = Filled::new("narrow", &events());
    let arguments =
        ["report", &filled.url, "--since", FROM, "--until", TO, "--limit", "2", "--by", "feature", "--by", "team"];
    for (columns, last) in
        [(120, "TREND"), (79, "UNPRICED"), (62, "P95"), (53, "ERRORS"), (36, "REQUESTS"), (32, "REQUESTS")]
    {
        let output = in_terminal(columns, "1", &arguments);
        let table: Vec<&str> = output.lines().take(5).collect();
        assert!(table[0].ends_with(last) && table[4].starts_with("total"), "{columns}: {output}");
        assert!(table.iter().all(|line| line.chars().count() <= columns.into()), "{columns}: {output}");
        assert!(!output.contains('\u{1b}'), "{output:?}");
    }
    // Colors are for terminals whose users do not decline them.
    assert!(in_terminal(120, "", &arguments).starts_with("\u{1b}[1mFEATURE"));
    let tail = in_terminal(70, "1", &["tail", &filled.url, "--since", FROM, "--until", TO]);
    assert!(tail.lines().all(|line| line.chars().count() <= 70) && tail.contains('…'), "{tail}");
    let screen =
        in_terminal(100, "1", &["top", &filled.url, "--since", FROM, "--until", TO, "--watch=1", "--times", "1"]);
    assert!(screen.starts_with("\u{1b}[2J\u{1b}[HMODEL") && screen.lines().count() < 12, "{screen}");
}

/// Reports are read while another process writes, and change nothing.
#[test]
fn a_store_is_opened_for_reading_only() {
    let filled = Filled::new("read-only", &events());
    let path = filled.folder.file("events.db");
    let store = SqliteStore::open_read_only(&path).unwrap();
    assert_eq!(store.latest(3).unwrap().len(), 3);
    let error = store.activate_key("x").unwrap_err();
    assert!(error.to_string().contains("readonly"), "{error}");
    assert!(store.writer().write(&events()[..1]).is_err());
    assert!(SqliteStore::open_read_only(filled.folder.file("missing.db")).is_err());
    assert!(!filled.folder.file("missing.db").exists());
    // Also in a folder that cannot be written to, if the files of the WAL mode exist.
    let writer = filled.database();
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    ok(&["report", &filled.url, "--by", "team", "--since", FROM, "--until", TO]);
    writer.execute_batch("ROLLBACK").unwrap();
}

#[test]
fn a_key_is_printed_once_with_the_lines_for_the_configuration() {
    let (code, output, errors) = run(&["key", "new", "web app", "gw"]);
    let key = errors.lines().map(str::trim).find(|line| line.starts_with("gw_")).unwrap();
    assert!(code == 0 && ApiKey::is_well_formed(key), "{errors}");
    assert!(
        output.starts_with("[api_keys.\"web app\"]\nsecrets = [{ sha256 = \"") && !output.contains(key),
        "{output}"
    );
    assert!(output.contains(&sha256(key.as_bytes())), "{output}");
    let printed = ok_json(&["key", "new", "web", "--json"]);
    let key = printed["key"].as_str().unwrap();
    assert_eq!((&printed["name"], &printed["sha256"]), (&json!("web"), &json!(sha256(key.as_bytes()))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn reports_of_postgres_are_the_answers_of_the_library() {
    let server =
        std::env::var("DATABASE_URL").expect("DATABASE_URL must name a Postgres server: tests/run.sh starts one");
    let (admin, connection) = tokio_postgres::connect(&server, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    admin.batch_execute("DROP DATABASE IF EXISTS tower_tagging_terminal WITH (FORCE)").await.unwrap();
    admin.batch_execute("CREATE DATABASE tower_tagging_terminal").await.unwrap();
    let url = format!("{}/tower_tagging_terminal", server.rsplit_once('/').unwrap().0);
    let (code, _, errors) = run(&["report", &url]);
    assert_eq!((code, errors.lines().count()), (1, 1), "there are no tables: {errors}");
    let store = PostgresStore::from_url(&url).unwrap();
    store.migrate().await.unwrap();
    let analytics = Analytics::new(store);
    analytics.write(events(), &Grant::everything()).await.unwrap();
    check_reports(&analytics, &url).await;
    assert_eq!(ok(&["tail", &url, "--since", FROM, "--until", TO, "-n", "7", "--json"]).lines().count(), 7);
    assert_eq!(
        ok(&["verify", &url, "--since", FROM, "--until", TO]),
        "the sums match the rows: 7 days, 2026-06-01 to 2026-06-07\n"
    );
    assert_eq!(analytics.verifications(9).await.unwrap().len(), 7, "one for each day");
    let (code, output, _) = run(&["export", &url, "--since", FROM, "--until", TO]);
    assert_eq!((code, output.lines().count()), (0, 150));

    // A role that may only read gets the same answers, and records nothing.
    let (admin, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let grants = "DROP ROLE IF EXISTS tower_tagging_reader; CREATE ROLE tower_tagging_reader LOGIN PASSWORD 'reader';
                  GRANT SELECT ON ALL TABLES IN SCHEMA public TO tower_tagging_reader";
    admin.batch_execute(grants).await.unwrap();
    let (scheme, rest) = url.split_once("://").unwrap();
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let reader = format!("{scheme}://tower_tagging_reader:reader@{host}");
    admin.batch_execute("DELETE FROM tagging_verifications").await.unwrap();
    let matching = "the sums match the rows: 7 days, 2026-06-01 to 2026-06-07\n";
    assert_eq!(ok(&["verify", &reader, "--since", FROM, "--until", TO]), matching);
    check_reports(&analytics, &reader).await;
    assert_eq!(ok(&["tail", &reader, "--since", FROM, "--until", TO, "-n", "7", "--json"]).lines().count(), 7);
    admin.batch_execute("ALTER ROLE tower_tagging_reader SET default_transaction_read_only = on").await.unwrap();
    assert_eq!(ok(&["verify", &reader, "--since", FROM, "--until", TO]), matching);
    assert_eq!(analytics.verifications(9).await.unwrap(), []);
    let drop = "DROP OWNED BY tower_tagging_reader; DROP ROLE tower_tagging_reader";
    admin.batch_execute(drop).await.unwrap();
}

#[test]
fn tags_that_no_request_has_are_reported() {
    let filled = Filled::new("unknown", &events());
    let arguments = ["report", &filled.url, "--since", FROM, "--until", TO, "--where", "tem=growth", "--by", "team"];
    let (code, output, errors) = run(&arguments);
    assert_eq!((code, &*errors), (0, "tagging: no request has the tag \"tem\"\n"), "{output}");
}
