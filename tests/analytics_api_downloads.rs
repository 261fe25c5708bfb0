//! Traces, sessions, streamed exports, and FOCUS files of the HTTP API.

#![allow(clippy::float_cmp, reason = "the numbers are exact")]

#[path = "common/api.rs"]
mod api;

use std::{
    collections::HashMap,
    io::Read,
    time::{Duration, SystemTime},
};

use axum::{Router, body::Body};
use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tower::ServiceExt;
use tower_tagging::analytics::{
    Grant,
    api::{Api, RegistryAccess},
};

use api::{ADMIN, FROM, Sample, TO, get, post, ranged, samples, secret, stores};

fn apps() -> Vec<Router> {
    stores(&samples()).into_iter().map(api::api).collect()
}

fn acme() -> String {
    secret("acme")
}

fn request(path: &str, key: &str) -> http::request::Builder {
    Request::get(path).header("x-portkey-api-key", key).header("accept-encoding", "gzip")
}

/// Downloads a file as a client that accepts compressed responses.
async fn download(app: &Router, path: &str, key: &str) -> (HeaderMap, Vec<u8>) {
    let response = app.clone().oneshot(request(path, key).body(Body::empty()).unwrap()).await.unwrap();
    let (head, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes().to_vec();
    assert_eq!(head.status, 200, "{path}: {}", String::from_utf8_lossy(&bytes));
    (head.headers, bytes)
}

fn lines(bytes: &[u8]) -> Vec<Value> {
    std::str::from_utf8(bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn csv_rows(bytes: &[u8]) -> Vec<HashMap<String, String>> {
    csv::Reader::from_reader(bytes).deserialize().map(Result::unwrap).collect()
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut content).unwrap();
    content
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat()
}

#[tokio::test]
async fn traces_are_found_by_either_id_within_the_range_and_the_workspace() {
    let events = samples();
    let w3c = events[0].trace().trace_id().to_string();
    for app in stores(&events).into_iter().map(api::api) {
        let with_dashes = format!("{}-{}", &w3c[..8], &w3c[8..]);
        for id in ["trace-1", &w3c, &w3c.to_uppercase(), &with_dashes] {
            for key in [ADMIN.to_owned(), acme(), secret("acme-logs")] {
                let view = get(&app, &format!("/traces/{id}"), &key).await.ok();
                let turn = &view["turns"][0];
                assert_eq!(
                    (&turn["id"], &turn["cost"], &turn["model"], &view["summary"]["turns"], &view["is_cut"]),
                    (&json!(events[0].id().to_string()), &json!(0.03), &json!("gpt-4o"), &json!(1), &json!(false))
                );
            }
            get(&app, &format!("/traces/{id}"), &secret("globex")).await.fails(404, "AB02");
            let before = format!("/traces/{id}?time_of_generation_max={FROM}");
            get(&app, &before, ADMIN).await.fails(404, "AB02");
            let after = format!("/traces/{id}?time_of_generation_min={TO}");
            get(&app, &after, ADMIN).await.fails(404, "AB02");
            get(&app, &ranged(&format!("/traces/{id}"), ""), ADMIN).await.ok();
        }
        get(&app, "/traces/unknown", ADMIN).await.fails(404, "AB02");
        for more in [
            "x=1",
            "time_of_generation_min=June",
            &format!("time_of_generation_min={TO}&time_of_generation_max={FROM}"),
        ] {
            get(&app, &format!("/traces/trace-1?{more}"), ADMIN).await.fails(400, "AB01");
        }
    }
}

#[tokio::test]
async fn sessions_are_the_requests_with_a_tag_of_the_workspace() {
    for app in apps() {
        for (key, turns, cost) in
            [(ADMIN.to_owned(), 7, 1.1), (acme(), 6, 0.100_000_001), (secret("globex"), 1, 0.999_999_999)]
        {
            let view = get(&app, &ranged("/sessions/_user/ada", ""), &key).await.ok();
            assert_eq!((&view["summary"]["turns"], &view["summary"]["cost"]), (&json!(turns), &json!(cost)));
            let times: Vec<&str> =
                view["turns"].as_array().unwrap().iter().map(|turn| turn["requested_at"].as_str().unwrap()).collect();
            assert!(times.is_sorted(), "{times:?}");
        }
        get(&app, &ranged("/sessions/_user/carol", ""), &acme()).await.fails(404, "AB02");
        get(&app, &ranged("/sessions/tenant_id/globex", ""), &acme()).await.fails(404, "AB02");
    }
}

#[tokio::test]
async fn sessions_without_a_range_cover_the_last_30_days() {
    for app in apps() {
        let day = Duration::from_secs(86_400);
        for days in [0, 29, 31] {
            let time = humantime::format_rfc3339_micros(SystemTime::now() - day * days - Duration::from_secs(1));
            let log = json!({
                "request": { "url": "/v1/x" }, "response": { "status": 200 }, "created_at": time.to_string(),
                "metadata": { "session_id": "chat 4/2" },
            });
            post(&app, "/logs", &acme(), log).await.ok();
        }
        let path = "/sessions/session_id/chat%204%2F2";
        assert_eq!(get(&app, path, &acme()).await.ok()["summary"]["turns"], 2);
        let before = humantime::format_rfc3339_seconds(SystemTime::now() - day * 10);
        let path = format!("{path}?time_of_generation_max={before}");
        assert_eq!(get(&app, &path, &acme()).await.ok()["summary"]["turns"], 2, "30 days before the end of the range");
    }
}

#[tokio::test]
async fn exports_have_the_selected_requests_in_each_format() {
    for app in apps() {
        for (key, more, count) in [
            (ADMIN.to_owned(), "", 13),
            (acme(), "workspace_slug=globex", 10),
            (secret("globex"), "", 3),
            (secret("acme-export"), "ai_model=gpt-4o&status_code=200", 4),
            (ADMIN.to_owned(), "weighted_feedback_min=1", 0),
        ] {
            let (headers, content) = download(&app, &ranged("/export", more), &key).await;
            let rows = lines(&content);
            assert_eq!(rows.len(), count, "{more}");
            assert!(rows.iter().all(|row| key == ADMIN || key == secret("globex") || row["workspace"] == "acme"));
            assert_eq!(headers["content-type"], "application/jsonl");
            assert_eq!(headers["content-disposition"], "attachment; filename=\"requests.jsonl\"");
            assert!(!headers.contains_key("content-encoding"));
        }

        let path = ranged("/export", "format=csv&columns=total_cost,model&keys=_user,nobody");
        let rows = csv_rows(&download(&app, &path, &acme()).await.1);
        assert_eq!(rows.len(), 10);
        let expected =
            [("model", "gpt-4o"), ("total_cost", "0.030000000"), ("metadata._user", "ada"), ("metadata.nobody", "")];
        assert_eq!(rows[0], expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());

        let (_, plain) = download(&app, &ranged("/export", "format=csv"), &acme()).await;
        for (compression, media_type) in [("gzip", "application/gzip"), ("zstd", "application/zstd")] {
            let path = ranged("/export", &format!("format=csv&compression={compression}"));
            let (headers, content) = download(&app, &path, &acme()).await;
            assert_eq!(headers["content-type"], media_type);
            assert!(!headers.contains_key("content-encoding"), "compressed twice");
            let content = if compression == "gzip" { gunzip(&content) } else { zstd::decode_all(&*content).unwrap() };
            assert_eq!(content, plain);
        }
        let (headers, content) = download(&app, &ranged("/export", "format=parquet"), &acme()).await;
        assert_eq!(
            (&content[..4], &headers["content-type"]),
            (&b"PAR1"[..], &"application/vnd.apache.parquet".parse().unwrap())
        );
    }
}

#[tokio::test]
async fn exports_continue_after_a_row_and_end_with_a_summary() {
    for app in apps() {
        let (_, content) = download(&app, &ranged("/export", "summary=true"), ADMIN).await;
        let all = lines(&content);
        let rows: String = content_before_last_line(&content);
        assert_eq!(all[13], json!({ "export": { "rows": 13, "sha256": sha256(rows.as_bytes()), "next": null } }));

        let last = &all[8];
        let place = format!("{}/{}", last["requested_at"].as_str().unwrap(), last["id"].as_str().unwrap());
        let (_, content) = download(&app, &ranged("/export", &format!("resume={place}")), ADMIN).await;
        assert_eq!(lines(&content), all[9..13]);
    }
}

fn content_before_last_line(content: &[u8]) -> String {
    let text = std::str::from_utf8(content).unwrap();
    text.split_inclusive('\n').take(13).collect()
}

#[tokio::test]
async fn invalid_exports_are_refused_with_the_reason() {
    let app = apps().remove(0);
    for (more, part) in [
        ("format=xlsx", "jsonl"),
        ("compression=br", "gzip"),
        ("format=parquet&compression=gzip", "Parquet"),
        ("columns=nothing", "nothing"),
        ("keys=a,%20,b%00", "NUL"),
        ("resume=yesterday", "yesterday"),
        ("resume=2020-01-01T00:00:00Z/01979b3c-0000-7000-8000-000000000001", "outside"),
        ("summary=maybe", "maybe"),
        ("page_size=1", "page_size"),
        ("ai_org_model=x", "ai_org_model"),
    ] {
        let message = get(&app, &ranged("/export", more), ADMIN).await.fails(400, "AB01");
        assert!(message.contains(part), "{more}: {message}");
    }
    get(&app, "/export", ADMIN).await.fails(400, "AB01");
}

/// A real server and client.
#[tokio::test]
async fn downloads_over_http_end_with_trailers() {
    let events: Vec<_> = (0..2_500).map(|at| Sample { hour: at % 72, ..Sample::default() }.event()).collect();
    let app = api::api(api::memory(&events));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http();
    let path = format!("http://{address}{}", ranged("/export", "compression=gzip"));
    let request = request(&path, ADMIN).header("te", "trailers").body(Body::empty()).unwrap();
    let response = client.request(request).await.unwrap();
    assert_eq!(response.headers()["trailer"], "x-export-count, x-export-digest, x-export-next");
    assert_eq!((response.headers().get("content-length"), response.headers().get("content-encoding")), (None, None));
    assert_eq!(response.headers()["cache-control"], "no-store");
    let body = response.into_body().collect().await.unwrap();
    let trailers = body.trailers().unwrap().clone();
    let content = gunzip(&body.to_bytes());
    assert_eq!(lines(&content).len(), 2_500);
    assert_eq!(trailers["x-export-count"], "2500");
    assert_eq!(trailers["x-export-digest"], format!("sha256={}", sha256(&content)));
    assert!(!trailers.contains_key("x-export-next"));
}

/// A reader that pauses after the first rows receives those that were written in the meantime.
#[tokio::test]
async fn exports_are_read_while_they_are_sent_without_a_time_limit() {
    let events: Vec<_> = (0..1_500).map(|at| Sample { hour: at % 70, ..Sample::default() }.event()).collect();
    for analytics in stores(&events) {
        let access = RegistryAccess::new(api::registry()).admin_key(ADMIN);
        let limit = Duration::from_secs(2);
        let app = Api::new(analytics.clone(), access).timeout(limit).into_router();
        let request = request(&ranged("/export", ""), ADMIN).body(Body::empty()).unwrap();
        let response = app.oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        let mut body = response.into_body();
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(lines(&first).len(), 1_000);
        analytics.write(vec![Sample { hour: 71, ..Sample::default() }.event()], &Grant::everything()).await.unwrap();
        tokio::time::sleep(limit + Duration::from_millis(100)).await;
        assert_eq!(lines(&body.collect().await.unwrap().to_bytes()).len(), 501);
    }
}

#[tokio::test]
async fn denied_fields_are_in_no_streamed_export() {
    for analytics in stores(&samples()) {
        let app = |fields: &'static [&'static str]| {
            let access = RegistryAccess::new(api::registry()).admin_key(ADMIN);
            Api::new(analytics.clone(), access).deny_export_fields(fields.iter().copied()).unwrap().into_router()
        };
        let denying = app(&["request_url", "metadata._user", "cost", "response_time_ms"]);
        for format in ["jsonl", "csv"] {
            let (_, content) = download(&denying, &ranged("/export", &format!("format={format}")), ADMIN).await;
            let text = String::from_utf8(content).unwrap();
            for word in ["request_path", "host", "_user", "cost_nanos", "total_cost", "cost_lines", "response_time_ms"]
            {
                assert!(!text.contains(word), "{format}: {word}");
            }
            assert!(text.contains("tenant_id") && text.contains("input_tokens"));
        }
        for more in [
            "columns=id,host",
            "columns=total_cost",
            "columns=total_cost_nanos",
            "format=csv&columns=response_time_ms",
            "format=csv&keys=_USER",
        ] {
            get(&denying, &ranged("/export", more), ADMIN).await.fails(403, "AB03");
        }
        get(&denying, &ranged("/focus", "account=a"), ADMIN).await.fails(403, "AB03");

        let denying = app(&["metadata._user"]);
        get(&denying, &ranged("/focus", "account=a&tags=feature,_User"), ADMIN).await.fails(403, "AB03");
        download(&denying, &ranged("/focus", "account=a&tags=feature"), ADMIN).await;

        let denying = app(&["metadata"]);
        let (_, content) = download(&denying, &ranged("/export", ""), ADMIN).await;
        let text = String::from_utf8(content).unwrap();
        assert!(!text.contains("metadata") && !text.contains("diagnostics") && !text.contains("tenant_id"));
        for path in [
            ranged("/export", "columns=raw_metadata"),
            ranged("/export", "columns=metadata_sources"),
            ranged("/export", "format=csv&keys=feature"),
            ranged("/focus", "account=a&tags=feature"),
        ] {
            get(&denying, &path, ADMIN).await.fails(403, "AB03");
        }
    }
}

#[tokio::test]
async fn focus_files_have_the_cost_of_whole_days() {
    for app in apps() {
        for (key, nanos, unpriced) in
            [(ADMIN.to_owned(), 1_205_000_000, 1), (acme(), 175_000_001, 1), (secret("globex"), 1_029_999_999, 0)]
        {
            let (headers, content) = download(&app, &ranged("/focus", "account=acme-llm&tags=_user"), &key).await;
            assert_eq!(headers["content-type"], "text/csv; charset=utf-8; header=present");
            assert_eq!(headers["content-disposition"], "attachment; filename=\"focus.csv\"");
            assert_eq!(headers["content-encoding"], "gzip");
            let rows = csv_rows(&gunzip(&content));
            let cost = |row: &HashMap<String, String>| (row["BilledCost"].parse::<f64>().unwrap() * 1e9).round();
            assert_eq!(rows.iter().map(cost).sum::<f64>(), f64::from(nanos));
            assert!(rows.iter().all(|row| row["BillingAccountId"] == "acme-llm"));
            let mut days: Vec<&str> = rows.iter().map(|row| row["ChargePeriodStart"].as_str()).collect();
            assert!(days.is_sorted());
            days.dedup();
            assert_eq!(days[..2], ["2026-06-01T00:00:00Z", "2026-06-02T00:00:00Z"]);
            assert!(rows.iter().any(|row| row["Tags"].contains("ada")));

            let path = ranged("/focus", "account=acme-llm&tags=_user&manifest=true");
            let manifest = get(&app, &path, &key).await.ok();
            assert_eq!(
                (&manifest["billed_cost_nanos"], &manifest["rows"], &manifest["unpriced_requests"]),
                (&json!(nanos), &json!(rows.len()), &json!(unpriced))
            );
            assert_eq!(manifest["sha256"], sha256(&gunzip(&content)));
            let models: Vec<&Value> =
                manifest["unpriced"].as_array().unwrap().iter().map(|usage| &usage["model"]).collect();
            assert_eq!(models, vec!["in-house-1"; unpriced]);
        }
        let none =
            "/focus?time_of_generation_min=2020-01-01T00:00:00Z&time_of_generation_max=2020-01-03T00:00:00Z&account=a";
        let (_, content) = download(&app, none, ADMIN).await;
        let text = String::from_utf8(gunzip(&content)).unwrap();
        assert!(text.starts_with("AvailabilityZone,") && text.lines().count() == 1, "{text}");
    }
}

/// Returns the files of a ZIP archive, by its central directory.
fn unzip(archive: &[u8]) -> HashMap<String, Vec<u8>> {
    let short = |at: usize| usize::from(u16::from_le_bytes(archive[at..at + 2].try_into().unwrap()));
    let long = |at: usize| u32::from_le_bytes(archive[at..at + 4].try_into().unwrap());
    let size = |at: usize| usize::try_from(long(at)).unwrap();
    let end = archive.len() - 22;
    assert_eq!(&archive[end..end + 4], b"PK\x05\x06");
    let mut at = size(end + 16);
    let mut files = HashMap::new();
    for _ in 0..short(end + 10) {
        assert_eq!(&archive[at..at + 4], b"PK\x01\x02");
        let name = String::from_utf8(archive[at + 46..at + 46 + short(at + 28)].to_vec()).unwrap();
        let local = size(at + 42);
        assert_eq!((&archive[local..local + 4], short(local + 26)), (&b"PK\x03\x04"[..], name.len()));
        let start = local + 30 + short(local + 26) + short(local + 28);
        let content = &archive[start..start + size(at + 20)];
        let mut file = Vec::new();
        flate2::read::DeflateDecoder::new(content).read_to_end(&mut file).unwrap();
        let mut crc = flate2::Crc::new();
        crc.update(&file);
        assert_eq!((crc.sum(), file.len()), (long(at + 16), size(at + 24)), "{name}");
        let descriptor = start + content.len();
        assert_eq!(archive[descriptor..descriptor + 4], *b"PK\x07\x08");
        assert_eq!(archive[descriptor + 4..descriptor + 16], archive[at + 16..at + 28], "{name}");
        at += 46 + short(at + 28);
        files.insert(name, file);
    }
    assert_eq!(at, end);
    files
}

#[tokio::test]
async fn an_archive_has_a_focus_file_and_its_manifest() {
    for app in apps() {
        let path = ranged("/focus", "account=acme-llm&tags=_user");
        let (_, csv) = download(&app, &path, ADMIN).await;
        let (headers, content) = download(&app, &format!("{path}&archive=true"), ADMIN).await;
        assert_eq!(headers["content-type"], "application/zip");
        assert_eq!(headers["content-disposition"], "attachment; filename=\"focus.zip\"");
        let is_gzip = headers.get("content-encoding").is_some();
        let files = unzip(&if is_gzip { gunzip(&content) } else { content });
        assert_eq!((files.len(), &files["focus.csv"]), (2, &gunzip(&csv)));
        let manifest: Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
        assert_eq!(manifest["sha256"], sha256(&files["focus.csv"]));
        assert_eq!(manifest, get(&app, &format!("{path}&manifest=true"), ADMIN).await.ok());
    }
}

#[tokio::test]
async fn focus_files_need_an_account_and_whole_days() {
    let app = apps().remove(0);
    for (from, to, more, part) in [
        (FROM, TO, "", "account"),
        (FROM, TO, "account=a&manifest=1", "manifest"),
        (FROM, TO, "account=a&archive=zip", "archive"),
        (FROM, TO, "account=a&format=csv", "format"),
        ("2026-06-01T00:00:01Z", TO, "account=a", "midnight"),
        (FROM, "2026-06-04T00:00:00.5Z", "account=a", "midnight"),
        ("2026-06-01T00:00:00%2B02:00", TO, "account=a", "midnight"),
        ("2020-01-01T00:00:00Z", TO, "account=a", "366"),
    ] {
        let path = format!("/focus?time_of_generation_min={from}&time_of_generation_max={to}&{more}");
        let message = get(&app, &path, ADMIN).await.fails(400, "AB01");
        assert!(message.contains(part), "{more}: {message}");
    }
}

#[tokio::test]
async fn json_lines_have_costs_in_the_form_that_a_request_names() {
    for app in apps() {
        let path = ranged("/export", "columns=total_cost,input_cost_nanos,total_cost_nanos,model&trace_id=trace-1");
        let (_, content) = download(&app, &path, ADMIN).await;
        let text = String::from_utf8(content).unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(&text).unwrap(),
            json!({ "model": "gpt-4o", "total_cost": 0.03, "total_cost_nanos": 30_000_000, "input_cost_nanos": 10_000_000 })
        );
        assert!(text.contains("\"total_cost\":0.030000000"), "all decimals: {text}");
        let (_, content) = download(&app, &ranged("/export", "columns=total_cost&ai_model=in-house-1"), ADMIN).await;
        assert_eq!(lines(&content), [json!({ "total_cost": null })]);
    }
}

#[tokio::test]
async fn hostile_texts_select_nothing_and_harm_nothing() {
    let texts = [
        "'",
        "\"; DROP TABLE tagging_events; --",
        "' OR '1'='1",
        "x' UNION SELECT * FROM tagging_events --",
        "$1",
        "%",
        "\\",
        "a\r\nx-evil: 1",
        "../../etc/passwd",
        "{\"$ne\":null}",
        "=HYPERLINK(1)",
        "a\0b",
    ];
    for app in apps() {
        for text in texts {
            let text = &encoded(text);
            for path in [
                format!("/traces/{text}"),
                ranged(&format!("/sessions/_user/{text}"), ""),
                ranged(&format!("/sessions/{text}/ada"), ""),
            ] {
                let reply = get(&app, &path, ADMIN).await;
                let status = if text.contains("%00") { 400 } else { 404 };
                reply.fails(status, if status == 400 { "AB01" } else { "AB02" });
            }
            for parameter in ["format", "compression", "columns", "resume", "summary"] {
                get(&app, &ranged("/export", &format!("{parameter}={text}")), ADMIN).await.fails(400, "AB01");
            }
            get(&app, &ranged("/focus", &format!("account=a&manifest={text}")), ADMIN).await.fails(400, "AB01");
            for path in [
                ranged("/export", &format!("format=csv&columns=id&keys={text}")),
                ranged("/focus", &format!("account={text}&tags={text}")),
            ] {
                let reply = get(&app, &path, ADMIN).await;
                if text.contains("%00") {
                    reply.fails(400, "AB01");
                    continue;
                }
                assert_eq!(reply.status, 200, "{path}: {reply:?}");
                assert!(!reply.headers.contains_key("x-evil"));
                let rows = csv_rows(reply.text.as_bytes());
                assert!(rows.len() >= 13, "{path}");
                assert!(
                    rows.iter()
                        .flat_map(HashMap::iter)
                        .all(|(name, value)| !name.starts_with('=') && !value.starts_with('='))
                );
            }
        }
        let graph = get(&app, &ranged("/analytics/graphs/requests", ""), ADMIN).await.ok();
        assert_eq!(graph["summary"]["total"], 13);
    }
}
