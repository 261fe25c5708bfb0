//! Exports of requests: formats, compression, continuation, denied fields, and downloads over HTTP.

mod common;
#[path = "common/events.rs"]
mod events;
#[path = "common/rows.rs"]
mod rows;

use std::{collections::HashMap, io::Read, sync::Arc};

use axum::{Router, routing::get};
use futures_util::TryStreamExt;
use http_body_util::BodyExt;
use rows::{analytics, day, event};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tower_tagging::{
    Event,
    analytics::{
        Analytics, Compression, Export, ExportFormat, ExportSummary, Filter, Grant, Measure, Query, QueryError,
        RowQuery, TimeRange,
    },
    registry::Permission,
    store::{Dimension, EventRow, Field, SCHEMA, SqliteStore},
};

/// Reads an export to its end.
async fn read(export: Export, analytics: &Analytics, grant: &Grant) -> (Vec<u8>, ExportSummary) {
    let mut stream = export.start(analytics, grant).await.unwrap();
    let mut bytes = Vec::new();
    while let Some(piece) = stream.try_next().await.unwrap() {
        assert!(!piece.is_empty());
        bytes.extend_from_slice(&piece);
    }
    let summary = stream.summary().unwrap();
    assert_eq!(stream.rows(), summary.rows);
    (bytes, summary)
}

async fn read_all(export: Export, analytics: &Analytics) -> (Vec<u8>, ExportSummary) {
    read(export, analytics, &Grant::everything()).await
}

fn export(format: ExportFormat) -> Export {
    Export::new(RowQuery::new(day())).format(format)
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

fn json_lines(bytes: &[u8]) -> Vec<Value> {
    std::str::from_utf8(bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Reads CSV with a header.
fn csv_rows(bytes: &[u8]) -> Vec<HashMap<String, String>> {
    let mut reader = csv::Reader::from_reader(bytes);
    reader.deserialize().map(Result::unwrap).collect()
}

/// Returns events, several of which have the same time.
fn many(count: u64) -> Vec<Arc<Event>> {
    (0..count).map(|number| event(number, number / 3 * 1_000, json!({}))).collect()
}

#[tokio::test]
async fn json_lines_are_the_rows_from_the_oldest_to_the_newest() {
    let (analytics, store) = analytics(many(2_500)).await;
    let (bytes, summary) = read_all(export(ExportFormat::Jsonl), &analytics).await;
    let mut expected = store.latest(u32::MAX);
    expected.reverse();
    assert_eq!(json_lines(&bytes), expected.iter().map(|row| serde_json::to_value(row).unwrap()).collect::<Vec<_>>());
    assert_eq!((summary.rows, summary.sha256, summary.next), (2_500, sha256(&bytes), None));
}

#[tokio::test]
async fn csv_has_each_column_and_each_tag() {
    let tags = json!({"metadata": {"team": "a \"quoted\", team\nof two", "feature": "Zoë 東京"}});
    let (analytics, store) = analytics(vec![event(0, 0, tags), event(1, 1, json!({"llm": null}))]).await;
    store.activate_key("team").unwrap();
    let (bytes, summary) = read_all(export(ExportFormat::Csv), &analytics).await;
    assert_eq!((summary.rows, &summary.sha256), (2, &sha256(&bytes)));
    let text = String::from_utf8(bytes.clone()).unwrap();
    let header: Vec<&str> = text.split("\r\n").next().unwrap().split(',').collect();
    for column in SCHEMA {
        // Costs are in dollars where the schema has both.
        let dollars = column.name.strip_suffix("_nanos");
        let has_dollars = dollars.is_some_and(|name| SCHEMA.iter().any(|other| other.name == name));
        let is_expected = !has_dollars && column.name != "indexed_metadata";
        assert_eq!(header.iter().filter(|name| **name == column.name).count(), usize::from(is_expected), "{header:?}");
    }
    let rows = csv_rows(&bytes);
    assert_eq!(rows[0]["metadata.team"], "a \"quoted\", team\nof two");
    assert_eq!(rows[0]["total_cost"], "0.003500000");
    assert_eq!(rows[0]["requested_at"], "2026-06-01T12:00:00.000000Z");
    let tags: Value = serde_json::from_str(&rows[0]["raw_metadata"]).unwrap();
    assert_eq!(tags, json!({"feature": "Zoë 東京", "team": "a \"quoted\", team\nof two"}));
    // Unknown values are empty, never zero.
    assert_eq!((&*rows[1]["total_cost"], &*rows[1]["input_tokens"], &*rows[1]["cost_status"]), ("", "", ""));

    let (bytes, _) = read_all(export(ExportFormat::Csv).keys(["feature", "nobody"]), &analytics).await;
    let rows = csv_rows(&bytes);
    assert_eq!((&*rows[0]["metadata.feature"], &*rows[0]["metadata.nobody"]), ("Zoë 東京", ""));
    assert!(!rows[0].contains_key("metadata.team"));
}

#[tokio::test]
async fn csv_has_no_formulas() {
    let cells = [
        ("=HYPERLINK(\"http://evil\")", "'=HYPERLINK(\"http://evil\")"),
        ("+1+cmd|' /C calc'!A0", "'+1+cmd|' /C calc'!A0"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("-1e5", "'-1e5"),
        ("-", "'-"),
        ("-1.5", "-1.5"),
        ("+49123", "+49123"),
        ("a=b", "a=b"),
        ("2026", "2026"),
    ];
    let events = cells.iter().enumerate().map(|(number, (value, _))| {
        let changes = json!({"metadata": {"team": value}, "error": value, "request": {"host": value}});
        event(number as u64, number as u64, changes)
    });
    let (analytics, _) = analytics(events.collect()).await;
    let (bytes, _) = read_all(export(ExportFormat::Csv).keys(["team", "=key"]), &analytics).await;
    let rows = csv_rows(&bytes);
    for ((value, expected), row) in cells.iter().zip(&rows) {
        assert_eq!((&*row["metadata.team"], &*row["error_message"], &*row["host"]), (*expected, *expected, *expected));
        let tags: Value = serde_json::from_str(&row["raw_metadata"]).unwrap();
        assert_eq!(tags["team"], *value, "JSON keeps the value");
        for cell in row.values().filter(|cell| cell.parse::<f64>().is_err()) {
            assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{cell}");
        }
    }
    // Tabs and line breaks are removed from tags, but an error message may have them.
    let texts = ["\t=1", "\r=1"].map(|text| event(90, 90, json!({"error": text})));
    let (analytics, _) = self::analytics(texts.to_vec()).await;
    let (bytes, _) = read_all(export(ExportFormat::Csv), &analytics).await;
    assert_eq!(csv_rows(&bytes)[0]["error_message"], "'\t=1");
}

#[tokio::test]
async fn compressed_files_have_the_same_content() {
    let (analytics, _) = analytics(many(2_100)).await;
    for format in [ExportFormat::Jsonl, ExportFormat::Csv] {
        let (plain, summary) = read_all(export(format), &analytics).await;
        let (gzip, gzip_summary) = read_all(export(format).compression(Compression::Gzip), &analytics).await;
        let mut content = Vec::new();
        flate2::read::GzDecoder::new(&*gzip).read_to_end(&mut content).unwrap();
        assert_eq!((&content, &gzip_summary), (&plain, &summary));
        let (zstd, zstd_summary) = read_all(export(format).compression(Compression::Zstd), &analytics).await;
        assert_eq!((&zstd::decode_all(&*zstd).unwrap(), &zstd_summary), (&plain, &summary));
        assert!(gzip.len() * 10 < plain.len() && zstd.len() * 10 < plain.len());
    }
}

#[tokio::test]
async fn the_first_bytes_precede_the_rows() {
    let (analytics, _) = analytics(many(3)).await;
    for (format, compression) in [
        (ExportFormat::Csv, Compression::None),
        (ExportFormat::Csv, Compression::Gzip),
        (ExportFormat::Jsonl, Compression::Gzip),
        (ExportFormat::Parquet, Compression::None),
    ] {
        let mut stream = export(format).compression(compression).start(&analytics, &Grant::everything()).await.unwrap();
        assert!(!stream.try_next().await.unwrap().unwrap().is_empty());
        assert_eq!((stream.token(), stream.summary()), (None, None), "{format} {compression}");
    }
}

#[tokio::test]
async fn an_empty_range_becomes_a_valid_file() {
    let (analytics, _) = analytics(many(3)).await;
    let empty = || RowQuery::new(TimeRange::parse("2020-01-01T00:00:00Z", "2020-02-01T00:00:00Z", "UTC").unwrap());
    let (bytes, summary) = read_all(Export::new(empty()), &analytics).await;
    assert_eq!((bytes.len(), summary.rows, summary.sha256), (0, 0, sha256(b"")));
    let (bytes, summary) = read_all(Export::new(empty()).format(ExportFormat::Csv), &analytics).await;
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.starts_with("id,requested_at,") && text.matches("\r\n").count() == 1, "{text}");
    assert_eq!(summary.rows, 0);
    let (bytes, _) = read_all(Export::new(empty()).compression(Compression::Gzip), &analytics).await;
    assert_eq!(flate2::read::GzDecoder::new(&*bytes).read_to_end(&mut Vec::new()).unwrap(), 0);
    let (bytes, _) = read_all(Export::new(empty()).format(ExportFormat::Parquet), &analytics).await;
    assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
}

/// Cuts the export after each number of pages, and continues it after the last item.
#[tokio::test]
async fn continues_after_each_item_without_loss_or_duplicates() {
    let (analytics, _) = analytics(many(2_100)).await;
    for format in [ExportFormat::Jsonl, ExportFormat::Csv] {
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let (whole, _) = read_all(export(format), &analytics).await;
            for items in 0.. {
                let mut stream =
                    export(format).compression(compression).start(&analytics, &Grant::everything()).await.unwrap();
                let mut bytes = Vec::new();
                for _ in 0..items {
                    bytes.extend_from_slice(&stream.try_next().await.unwrap().unwrap_or_default());
                }
                let is_complete = stream.summary().is_some();
                let Some(token) = stream.token().filter(|_| !is_complete) else {
                    if is_complete {
                        break;
                    }
                    continue;
                };
                // The first part is cut off within its compressed form.
                let mut content = decompressed_prefix(compression, &bytes);
                let token = token.to_string().parse().unwrap();
                let (rest, _) = read_all(export(format).compression(compression).resume(token), &analytics).await;
                content.extend_from_slice(&decompressed_prefix(compression, &rest));
                assert!(content == whole, "{format} {compression} after {items} items");
            }
        }
    }
}

/// Decompresses what is there.
fn decompressed_prefix(compression: Compression, bytes: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    let mut reader: Box<dyn Read> = match compression {
        Compression::Gzip => Box::new(flate2::read::GzDecoder::new(bytes)),
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::new(bytes).unwrap()),
        _ => Box::new(bytes),
    };
    let mut buffer = [0; 4_096];
    while let Ok(count @ 1..) = reader.read(&mut buffer) {
        content.extend_from_slice(&buffer[..count]);
    }
    content
}

/// A client that was cut off at any byte knows the time and the id of its last complete row.
#[tokio::test]
async fn continues_after_any_row() {
    let (analytics, _) = analytics(many(50)).await;
    let (whole, _) = read_all(export(ExportFormat::Jsonl), &analytics).await;
    let mut at = 0;
    for line in std::str::from_utf8(&whole).unwrap().split_inclusive('\n') {
        at += line.len();
        let row: Value = serde_json::from_str(line).unwrap();
        let token = format!("{}/{}", row["requested_at"].as_str().unwrap(), row["id"].as_str().unwrap());
        let (rest, _) = read_all(export(ExportFormat::Jsonl).resume(token.parse().unwrap()), &analytics).await;
        assert!(rest == whole[at..], "after {token}");
    }
}

#[tokio::test]
async fn a_limited_export_ends_with_the_token_of_the_next_one() {
    let (analytics, _) = analytics(many(25)).await;
    let (whole, _) = read_all(export(ExportFormat::Csv), &analytics).await;
    let mut parts = Vec::new();
    let mut next = None;
    let mut counts = Vec::new();
    loop {
        let part = export(ExportFormat::Csv).max_rows(10);
        let part = if let Some(token) = next { part.resume(token) } else { part };
        let (bytes, summary) = read_all(part, &analytics).await;
        parts.extend_from_slice(&bytes);
        counts.push(summary.rows);
        next = summary.next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!((counts, parts), (vec![10, 10, 5], whole));
}

#[tokio::test]
async fn rejects_tokens_of_other_exports() {
    let (analytics, _) = analytics(many(5)).await;
    let (_, summary) = read_all(export(ExportFormat::Csv).max_rows(1), &analytics).await;
    let token = summary.next.unwrap();
    let grant = Grant::everything();
    for other in [
        export(ExportFormat::Jsonl),
        export(ExportFormat::Csv).keys(["feature"]),
        export(ExportFormat::Csv).deny_columns(["host"]),
        Export::new(RowQuery::new(TimeRange::parse("2026-07-01T00:00:00Z", "2026-07-02T00:00:00Z", "UTC").unwrap()))
            .format(ExportFormat::Csv),
    ] {
        let error = other.resume(token.clone()).start(&analytics, &grant).await.unwrap_err();
        assert!(matches!(error, QueryError::Invalid(_)), "{error}");
    }
    for text in ["", "7", "2026-06-01T12:00:00Z", "2026-06-01T12:00:00Z/7", "now/01979b3c-0000-7000-8000-000000000001"]
    {
        text.parse::<tower_tagging::analytics::ExportToken>().unwrap_err();
    }
}

#[tokio::test]
async fn needs_the_permission_and_covers_only_the_rows_of_the_grant() {
    let teams = ["search", "growth", "search"];
    let events = teams.iter().enumerate().map(|(number, team)| {
        event(number as u64, number as u64, json!({"workspace": team, "metadata": {"team": team}}))
    });
    let (analytics, _) = analytics(events.collect()).await;
    let viewer = Grant::only([Filter::is(Field::Workspace, "search")]);
    let error = export(ExportFormat::Csv).start(&analytics, &viewer).await.unwrap_err();
    assert!(matches!(&error, QueryError::Forbidden(text) if text.contains("logs.export")), "{error}");
    let exporter = viewer.with_permission(Permission::LogsExport);
    let (bytes, summary) = read(export(ExportFormat::Jsonl), &analytics, &exporter).await;
    assert_eq!(summary.rows, 2);
    assert!(json_lines(&bytes).iter().all(|row| row["workspace"] == "search"));
    let query = RowQuery::new(day()).filter(Filter::is(Dimension::tag("team"), "growth"));
    assert_eq!(read(Export::new(query), &analytics, &exporter).await.1.rows, 0);
}

/// The names of the keys of other tenants are not for everybody.
#[tokio::test]
async fn the_default_columns_of_csv_have_no_keys_of_other_tenants() {
    let tagged = |workspace: &str, tags| {
        let event = Event::builder().time(day().from().try_into().unwrap()).workspace(workspace.to_owned());
        Arc::new(event.tags(tower_tagging::Scope::Request, tags).build())
    };
    let events = [
        tagged("acme", tower_tagging::tags! { "team" => "search", "own_key" => "1" }),
        tagged("globex", tower_tagging::tags! { "team" => "growth", "secret_project" => "x", "tenant_id" => "globex" }),
    ];
    let (memory, _) = analytics(events.to_vec()).await;
    let folder = common::TempFolder::new("export-default-keys");
    let sqlite = SqliteStore::open(folder.file("events.db")).unwrap();
    sqlite.migrate().unwrap();
    let sqlite = Analytics::new(sqlite);
    sqlite.write(events.to_vec(), &Grant::everything()).await.unwrap();
    for analytics in [memory, sqlite] {
        for key in ["secret_project", "own_key"] {
            analytics.activate_key(key).await.unwrap();
        }
        let columns = async |grant: &Grant| {
            let (content, _) = read(export(ExportFormat::Csv), &analytics, grant).await;
            let header = String::from_utf8(content).unwrap().lines().next().unwrap().to_owned();
            let mut keys: Vec<String> =
                header.split(',').filter_map(|name| name.strip_prefix("metadata.")).map(str::to_owned).collect();
            keys.sort();
            keys
        };
        let of = |filter: Filter| Grant::only([filter]).with_permission(Permission::LogsExport);
        let acme = of(Filter::is(Field::Workspace, "acme"));
        assert_eq!(columns(&acme).await, ["own_key", "team"]);
        assert_eq!(columns(&of(Filter::is(Field::Workspace, "globex"))).await, ["secret_project", "team", "tenant_id"]);
        // A grant that names a key, whose requests have it.
        let by_tag = of(Filter::is(Dimension::tag("tenant_id"), "nobody"));
        assert_eq!(columns(&by_tag).await, ["tenant_id"]);
        assert_eq!(columns(&of(Filter::is(Field::Workspace, "nobody"))).await, Vec::<String>::new());
        let everything = columns(&Grant::everything()).await;
        assert!(everything.len() > 4 && everything.contains(&"secret_project".to_owned()), "{everything:?}");
        for format in ExportFormat::ALL {
            let (content, _) = read(export(*format), &analytics, &acme).await;
            assert!(!content.windows(14).any(|part| part == b"secret_project"), "{format}");
        }
    }
}

#[tokio::test]
async fn denied_fields_are_in_no_export() {
    let secret = json!({
        "metadata": {"team": "search", "Email": "secret@example.com"},
        "sources": {"team": "request", "Email": "request"},
        "diagnostics": [
            {"code": "shadowed", "key": "Email", "detail": "secret@example.com"},
            {"code": "shadowed", "key": "team", "detail": "growth"}
        ],
        "request": {"host": "secret.internal"},
    });
    let (analytics, store) = analytics(vec![event(0, 0, secret)]).await;
    for key in ["Email", "team"] {
        store.activate_key(key).unwrap();
    }
    for &format in ExportFormat::ALL {
        let denied = export(format)
            .columns(SCHEMA.iter().map(|column| column.name))
            .keys(["Email", "team"])
            .deny_keys(["email"])
            .deny_columns(["host", "total_cost", "input_cost_nanos"]);
        let (bytes, _) = read_all(denied, &analytics).await;
        let text = String::from_utf8_lossy(&bytes);
        for absent in ["secret", "Email", "host", "total_cost", "input_cost"] {
            assert!(!text.contains(absent), "{format} has {absent}: {text}");
        }
        for present in ["output_cost", "raw_metadata", "shadowed", "team"] {
            assert!(text.contains(present), "{format} lacks {present}");
        }
        let (bytes, _) = read_all(export(format).keys(["team"]).deny_columns(["raw_metadata"]), &analytics).await;
        let text = String::from_utf8_lossy(&bytes);
        for absent in ["secret@", "Email", "metadata", "growth", "diagnostics"] {
            assert!(!text.contains(absent), "{format} has {absent}: {text}");
        }
        let error = export(format).deny_columns(["hots"]).start(&analytics, &Grant::everything()).await.unwrap_err();
        assert!(error.to_string().contains("\"hots\""), "{error}");
    }
}

#[tokio::test]
async fn selects_columns() {
    let (analytics, _) = analytics(many(1)).await;
    let (bytes, _) = read_all(export(ExportFormat::Csv).columns(["total_cost", "id"]).keys(["team"]), &analytics).await;
    let text = String::from_utf8(bytes).unwrap();
    assert_eq!(text, "id,total_cost,metadata.team\r\n01979b3c-0000-7000-8000-000000000000,0.003500000,search\r\n");
    let (bytes, _) = read_all(export(ExportFormat::Jsonl).columns(["model", "total_cost_nanos"]), &analytics).await;
    assert_eq!(bytes, b"{\"model\":\"gpt-4o-2024-08-06\",\"total_cost_nanos\":3500000}\n");
    let none = export(ExportFormat::Jsonl).columns(["host"]).deny_columns(["host"]);
    none.start(&analytics, &Grant::everything()).await.unwrap_err();
}

#[tokio::test]
async fn a_summary_line_ends_json_lines() {
    let (analytics, _) = analytics(many(4)).await;
    let (bytes, summary) = read_all(export(ExportFormat::Jsonl).summary_line().max_rows(3), &analytics).await;
    let text = String::from_utf8(bytes).unwrap();
    let (content, line) = text.trim_end().rsplit_once('\n').unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    let expected = json!({"rows": 3, "sha256": sha256(format!("{content}\n").as_bytes()), "next": summary.next});
    assert_eq!(line, json!({ "export": expected }));
    assert_eq!(json!(summary), expected);
    let (csv, _) = read_all(export(ExportFormat::Csv).summary_line(), &analytics).await;
    assert_eq!(csv_rows(&csv).len(), 4);
}

#[tokio::test]
async fn a_parquet_file_takes_no_other_compression() {
    let (analytics, _) = analytics(Vec::new()).await;
    let gzip = export(ExportFormat::Parquet).compression(Compression::Gzip);
    assert!(matches!(gzip.start(&analytics, &Grant::everything()).await, Err(QueryError::Invalid(_))));
}

/// A real server and client: the trailers arrive if the client accepts them.
#[tokio::test]
async fn downloads_end_with_trailers() {
    let (analytics, _) = analytics(many(2_500)).await;
    let handler = async move || {
        let export = export(ExportFormat::Csv).compression(Compression::Gzip).max_rows(2_200);
        export.start(&analytics, &Grant::everything()).await.unwrap().into_response()
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/export", get(handler))).await });
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new());
    let client = client.build_http::<axum::body::Body>();
    let request = http::Request::get(format!("http://{address}/export")).header("te", "trailers");
    let response = client.request(request.body(axum::body::Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/gzip");
    assert_eq!(response.headers()["content-disposition"], "attachment; filename=\"requests.csv.gz\"");
    let body = response.into_body().collect().await.unwrap();
    let trailers = body.trailers().unwrap().clone();
    let mut content = Vec::new();
    flate2::read::GzDecoder::new(&*body.to_bytes()).read_to_end(&mut content).unwrap();
    assert_eq!(trailers["x-export-count"], "2200");
    assert_eq!(trailers["x-export-digest"], format!("sha256={}", sha256(&content)));
    let last = &csv_rows(&content)[2_199];
    let next = trailers["x-export-next"].to_str().unwrap();
    assert!(next.starts_with(&format!("{}/{}/", last["requested_at"], last["id"])), "{next}");
}

#[tokio::test]
async fn answers_become_csv_with_exactly_their_values() {
    let teams = ["=cmd", "growth", "growth"];
    let events = teams
        .iter()
        .enumerate()
        .map(|(number, team)| event(number as u64, number as u64 * 3_600_000_000, json!({"metadata": {"team": team}})));
    let unset = event(9, 0, json!({"metadata": {}, "sources": {}, "llm": null}));
    let (analytics, _) = analytics(events.chain([unset]).collect()).await;
    let query = Query::new(day()).measure(Measure::Cost).measure(Measure::Requests).measure(Measure::UnpricedShare);
    let run = async |query: Query| analytics.run(&query, &Grant::everything()).await.unwrap().to_csv().unwrap();
    assert_eq!(run(query.clone()).await, "cost,requests,unpriced_share\r\n0.0105,4,0\r\n");
    assert_eq!(
        run(query.clone().group_by(Dimension::tag("team"))).await,
        "metadata.team,cost,requests,unpriced_share\r\ngrowth,0.007,2,0\r\n'=cmd,0.0035,1,0\r\n,0,1,\r\n"
    );
    let afternoon = TimeRange::parse("2026-06-01T12:00:00Z", "2026-06-01T14:00:00Z", "UTC").unwrap();
    let mut series = query;
    series.range = afternoon;
    let series = series.bucket(tower_tagging::analytics::Bucket::Hour);
    assert_eq!(
        run(series).await,
        "bucket,cost,requests,unpriced_share\r\n2026-06-01T12:00:00Z,0.0035,2,0\r\n2026-06-01T13:00:00Z,0.0035,1,0\r\n"
    );
}

/// The store keeps times and ids as text, and reads pages by keyset.
#[tokio::test]
async fn exports_of_sqlite_are_those_of_the_memory_store() {
    let folder = common::TempFolder::new("analytics-export-sqlite");
    let store = SqliteStore::open(folder.file("events.db")).unwrap();
    store.migrate().unwrap();
    let sqlite = Analytics::new(store.clone());
    let mut all = many(2_500);
    all.extend(tokio::task::spawn_blocking(events::varied_events).await.unwrap());
    let (memory, memory_store) = analytics(all.clone()).await;
    sqlite.write(all, &Grant::everything()).await.unwrap();
    store.activate_key("team").unwrap();
    memory_store.activate_key("team").unwrap();
    let years = || RowQuery::new(TimeRange::parse("2020-01-01T00:00:00Z", "2040-01-01T00:00:00Z", "UTC").unwrap());
    for &format in ExportFormat::ALL {
        let export = || Export::new(years()).format(format).keys(["team", "Feature"]);
        let (bytes, summary) = read_all(export(), &sqlite).await;
        let (expected, expected_summary) = read_all(export(), &memory).await;
        assert!(bytes == expected, "{format}");
        assert_eq!(summary, expected_summary);
        let (bytes, summary) = read_all(export().max_rows(1_234), &sqlite).await;
        let (rest, _) = read_all(export().resume(summary.next.unwrap()), &sqlite).await;
        if matches!(format, ExportFormat::Jsonl | ExportFormat::Csv) {
            assert!([bytes, rest].concat() == expected, "{format}");
        }
    }
}

/// DuckDB reads the Parquet file and finds the same sums as Rust does.
#[tokio::test]
#[ignore = "needs a Python with DuckDB, whose path is DUCKDB_PYTHON"]
async fn duckdb_finds_the_same_sums_in_a_parquet_file() {
    let python = std::env::var("DUCKDB_PYTHON").expect("DUCKDB_PYTHON is the path of a Python with duckdb");
    let folder = common::TempFolder::new("analytics-export");
    let mut all: Vec<_> = (0..2_500_u64)
        .map(|number| {
            let nanos = 1 + number * 7_919;
            #[allow(clippy::cast_precision_loss)]
            let cost = nanos as f64 / 1e9;
            let tags = if number % 5 == 0 {
                json!({})
            } else {
                json!({"team": format!("team \"{}\" 東京", number % 3), "=x": "'"})
            };
            event(
                number,
                number * 1_000,
                json!({"metadata": tags, "sources": {}, "llm": {
            "cost_usd": cost, "usage": {"input_tokens": number * 3, "output_tokens": 1}}}),
            )
        })
        .collect();
    all.push(event(9_000, 9_000, json!({"llm": null})));
    let (analytics, store) = analytics(all).await;
    store.activate_key("team").unwrap();
    // The other events have most columns, and values of every kind.
    analytics
        .write(tokio::task::spawn_blocking(events::varied_events).await.unwrap(), &Grant::everything())
        .await
        .unwrap();
    let year = TimeRange::parse("2020-01-01T00:00:00Z", "2040-01-01T00:00:00Z", "UTC").unwrap();
    let rows = store.latest(u32::MAX);
    let (bytes, summary) = read_all(
        Export::new(RowQuery::new(year)).format(ExportFormat::Parquet).columns(SCHEMA.iter().map(|column| column.name)),
        &analytics,
    )
    .await;
    assert_eq!((summary.rows, summary.sha256), (rows.len() as u64, sha256(&bytes)));
    std::fs::write(folder.file("requests.parquet"), bytes).unwrap();
    let empty = RowQuery::new(TimeRange::parse("2010-01-01T00:00:00Z", "2011-01-01T00:00:00Z", "UTC").unwrap());
    let (bytes, _) = read_all(Export::new(empty).format(ExportFormat::Parquet), &analytics).await;
    std::fs::write(folder.file("empty.parquet"), bytes).unwrap();

    let output = std::process::Command::new(python)
        .arg("tests/analytics_parquet.py")
        .args([folder.file("requests.parquet"), folder.file("empty.parquet")])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let sum = |number: &dyn Fn(&EventRow) -> Option<u64>| rows.iter().filter_map(number).sum::<u64>();
    let nanos = sum(&|row| row.total_cost_nanos);
    let mut teams = std::collections::BTreeMap::<_, u64>::new();
    for row in &rows {
        *teams.entry(row.raw_metadata.get("team").unwrap_or("unset").to_owned()).or_default() += 1;
    }
    let indexed = rows.iter().filter(|row| row.indexed_metadata.is_some()).count();
    let tags: usize = rows.iter().map(|row| row.raw_metadata.len()).sum();
    let expected = json!({
        "rows": rows.len(),
        "cost": format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000),
        "priced": rows.iter().filter(|row| row.total_cost_nanos.is_some()).count(),
        "input_tokens": sum(&|row| row.input_tokens),
        "output_tokens": sum(&|row| row.output_tokens),
        "bytes": sum(&|row| Some(row.response_bytes)),
        "errors": rows.iter().filter(|row| row.is_error).count(),
        "teams": teams,
        "tags": tags,
        "indexed": indexed,
        "empty": 0,
    });
    assert_eq!(found["sums"], expected);
    let types = &found["types"];
    for (column, kind) in [
        ("id", "UUID"),
        ("requested_at", "TIMESTAMP WITH TIME ZONE"),
        ("total_cost", "DECIMAL(18,9)"),
        ("raw_metadata", "MAP(VARCHAR, VARCHAR)"),
        ("indexed_metadata", "MAP(VARCHAR, VARCHAR)"),
        ("input_tokens", "BIGINT"),
        ("status_code", "INTEGER"),
        ("is_error", "BOOLEAN"),
        ("diagnostics", "JSON"),
        ("model", "VARCHAR"),
    ] {
        assert_eq!(types[column], kind, "{column}");
    }
    assert_eq!(found["rows"].as_array().unwrap().len(), rows.len());
    // Each value of each row is that of the row in JSON.
    for (row, found) in rows.iter().rev().zip(found["rows"].as_array().unwrap()) {
        let mut expected = serde_json::to_value(row).unwrap();
        for name in ["total_cost", "input_cost", "output_cost"] {
            let nanos = expected.as_object_mut().unwrap().remove(&format!("{name}_nanos")).unwrap();
            let dollars = |nanos: u64| format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
            expected[name] = nanos.as_u64().map_or(Value::Null, |nanos| dollars(nanos).into());
        }
        assert_eq!(*found, expected);
    }
}
