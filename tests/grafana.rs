//! The queries of the Grafana dashboard are compared with the metrics that the crate exports, under the names that
//! Prometheus gives them.

#[path = "common/otlp.rs"]
mod otlp;

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    time::Duration,
};

use futures_util::{FutureExt, StreamExt, stream};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Bytes, Frame};
use opentelemetry_proto::tonic::{
    common::v1::KeyValue,
    metrics::v1::{Metric, metric::Data},
};
use otlp::Receiver;
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};
use tower_tagging::{
    MetadataLayer, TaggingLayer, Tags,
    otel::{Otel, OtelBuilder, OtlpExporter, OtlpProtocol, opentelemetry_sdk::Resource},
    tagging::RequestBody,
    usage::UsageTap,
};

/// Names of metrics with the labels of each.
type Names = BTreeMap<String, BTreeSet<String>>;

/// The labels that Prometheus derives from the resource.
const RESOURCE_LABELS: [&str; 2] = ["job", "instance"];

fn dashboard() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/otel/grafana/dashboards/tower-tagging.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Returns all values of a member, wherever it is.
fn members<'v>(value: &'v Value, name: &str, found: &mut Vec<&'v str>) {
    match value {
        Value::Array(list) => list.iter().for_each(|value| members(value, name, found)),
        Value::Object(map) => {
            found.extend(map.get(name).and_then(Value::as_str));
            map.values().for_each(|value| members(value, name, found));
        }
        _ => {}
    }
}

/// Translates a name as Prometheus does:
/// <https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/#otlp-metric-points-to-prometheus>.
fn underscored(name: &str) -> String {
    name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' }).collect()
}

/// Returns the names of the series of a metric, with their labels.
fn series(metric: &Metric) -> Vec<(String, BTreeSet<String>)> {
    let unit = match metric.unit.as_str() {
        "s" => "_seconds",
        "By" => "_bytes",
        // Annotations such as `{request}` are no units.
        unit if unit.is_empty() || unit.starts_with('{') => "",
        other => panic!("add the suffix of the unit {other}"),
    };
    let name = format!("{}{unit}", underscored(&metric.name));
    let labels = |points: Vec<&Vec<KeyValue>>| -> BTreeSet<String> {
        let keys = points.into_iter().flatten().map(|attribute| underscored(&attribute.key));
        keys.chain(RESOURCE_LABELS.map(str::to_owned)).collect()
    };
    match metric.data.as_ref().unwrap() {
        Data::Sum(sum) => {
            let suffix = if sum.is_monotonic { "_total" } else { "" };
            vec![(format!("{name}{suffix}"), labels(sum.data_points.iter().map(|point| &point.attributes).collect()))]
        }
        Data::Gauge(gauge) => {
            vec![(name, labels(gauge.data_points.iter().map(|point| &point.attributes).collect()))]
        }
        Data::Histogram(histogram) => {
            let labels = labels(histogram.data_points.iter().map(|point| &point.attributes).collect());
            let mut with_bound = labels.clone();
            with_bound.insert("le".to_owned());
            vec![
                (format!("{name}_bucket"), with_bound),
                (format!("{name}_sum"), labels.clone()),
                (format!("{name}_count"), labels),
            ]
        }
        other => panic!("{other:?}"),
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Name(String),
    Sign(char),
}

/// Splits a query into names and signs, without strings, numbers, durations, and variables.
fn tokens(query: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut letters = query.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => {
                letters.by_ref().find(|letter| *letter == '"');
            }
            '[' => {
                letters.by_ref().find(|letter| *letter == ']');
            }
            '0'..='9' => while letters.next_if(|next| next.is_ascii_digit() || *next == '.').is_some() {},
            letter if letter.is_ascii_alphabetic() || letter == '_' => {
                let mut name = String::from(letter);
                while let Some(next) = letters.next_if(|next| next.is_ascii_alphanumeric() || *next == '_') {
                    name.push(next);
                }
                tokens.push(Token::Name(name));
            }
            letter if letter.is_whitespace() => {}
            sign => tokens.push(Token::Sign(sign)),
        }
    }
    tokens
}

/// Returns the metrics of a query, and the labels that it uses.
fn names(query: &str) -> Names {
    let tokens = tokens(query);
    let (mut metrics, mut labels) = (BTreeSet::new(), BTreeSet::new());
    // The kinds of the open brackets: labels in a matcher or a grouping, or an expression.
    let mut are_labels = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let next = tokens.get(at + 1);
        match token {
            Token::Sign('{') => are_labels.push(true),
            Token::Sign('(') => {
                let word = at.checked_sub(1).and_then(|before| tokens.get(before));
                let groups =
                    matches!(word, Some(Token::Name(word)) if word == "by" || word == "without" || word == "on");
                are_labels.push(groups);
            }
            Token::Sign('}' | ')') => _ = are_labels.pop(),
            Token::Name(name) if are_labels.last() == Some(&true) => _ = labels.insert(name.clone()),
            // Functions and keywords are followed by a bracket or a grouping.
            Token::Name(_) if next == Some(&Token::Sign('(')) => {}
            Token::Name(_) if matches!(next, Some(Token::Name(word)) if word == "by" || word == "without") => {}
            // `label_values` has a label as its second argument.
            Token::Name(name) if at > 0 && tokens[at - 1] == Token::Sign(',') => _ = labels.insert(name.clone()),
            Token::Name(name) => _ = metrics.insert(name.clone()),
            Token::Sign(_) => {}
        }
    }
    metrics.into_iter().map(|metric| (metric, labels.clone())).collect()
}

#[test]
fn reads_the_names_in_queries() {
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    for (query, metrics, labels) in [
        ("sum(rate(a_total{job=~\"$service\",x!=\"y{z}\"}[5m])) * 3600", &["a_total"][..], &["job", "x"][..]),
        (
            "histogram_quantile(0.95, sum by (le, route) (rate(b_bucket[$__rate_interval])))",
            &["b_bucket"],
            &["le", "route"],
        ),
        ("sum without (x) (a) / sum by (y) (b)", &["a", "b"], &["x", "y"]),
        ("label_values(a_count, job)", &["a_count"], &["job"]),
    ] {
        let found = names(query);
        assert_eq!(found.keys().cloned().collect::<BTreeSet<_>>(), set(metrics), "{query}");
        assert!(found.values().all(|found| *found == set(labels)), "{query}: {found:?}");
    }
}

/// Exports metrics of every kind, and returns their names in Prometheus.
fn emitted() -> Names {
    let receiver = Receiver::start();
    let builder = |builder: OtelBuilder| {
        let exporter = OtlpExporter::from_env().endpoint(receiver.url()).protocol(OtlpProtocol::HttpProtobuf);
        let resource = Resource::builder().with_service_name("shop").build();
        builder.otlp(exporter).resource(resource).metric_labels(["tenant_id"]).max_label_values(2).build().unwrap()
    };
    let client = TaggingLayer::builder()
        .metadata(MetadataLayer::builder().inherit_tags())
        .usage(UsageTap::new().trust_request())
        .otel(&builder(Otel::builder().client()))
        .build()
        .unwrap();
    let llm = client.layer(service_fn(|request: Request<RequestBody<String>>| async {
        request.into_body().collect().await.unwrap();
        let body = json!({"id": "chatcmpl-1", "object": "chat.completion", "model": "gpt-4o-2024-08-06", "choices": [],
            "usage": {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200}});
        let response = Response::builder().header("content-type", "application/json");
        Ok::<_, Infallible>(response.body(body.to_string()).unwrap())
    }));
    let layer =
        TaggingLayer::builder().otel(&builder(Otel::builder())).also_deliver(client.delivery()).build().unwrap();
    let service = layer.clone().layer(service_fn(move |request: Request<RequestBody<String>>| {
        let llm = llm.clone();
        async move {
            let (head, body) = request.into_parts();
            body.collect().await.unwrap();
            let tags = head.extensions.get::<Tags>().unwrap();
            tags.insert("tenant_id", head.uri.path());
            tags.set_route("/{tenant}");
            let call = Request::post("https://api.openai.com/v1/chat/completions")
                .header("content-type", "application/json")
                .body(json!({"model": "gpt-4o"}).to_string())
                .unwrap();
            llm.oneshot(call).await.unwrap().into_body().collect().await.unwrap();
            let frames =
                stream::iter([Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"hello")))]).chain(stream::pending());
            let mut response = Response::new(StreamBody::new(frames.boxed()));
            if head.uri.path() == "/broken" {
                *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            }
            Ok::<_, Infallible>(response)
        }
    }));
    for path in ["/acme", "/globex", "/initech", "/broken"] {
        let request = Request::post(format!("http://shop.example{path}")).body("order".to_owned()).unwrap();
        let response = service.clone().oneshot(request).now_or_never().unwrap().unwrap();
        // The client leaves before the end.
        let mut body = response.into_body();
        body.frame().now_or_never().unwrap().unwrap().unwrap();
    }
    // A failed call of an LLM.
    let failing = client.layer(service_fn(|request: Request<RequestBody<String>>| async {
        request.into_body().collect().await.unwrap();
        Err::<Response<String>, _>(std::io::Error::other("no connection"))
    }));
    let call = Request::post("https://api.openai.com/v1/chat/completions").body(json!({"model": "gpt-4o"}).to_string());
    assert!(failing.oneshot(call.unwrap()).now_or_never().unwrap().is_err());
    let report = layer.delivery().shutdown_blocking(Duration::from_secs(20));
    assert!(report.is_complete(), "{report}");
    receiver.with(|received| {
        let mut all = Names::new();
        for (name, labels) in received.metrics.iter().flat_map(series) {
            all.entry(name).or_default().extend(labels);
        }
        all
    })
}

#[test]
fn the_dashboard_queries_only_metrics_and_labels_that_are_emitted() {
    let dashboard = dashboard();
    let emitted = emitted();
    let mut queries = Vec::new();
    for member in ["expr", "query", "definition"] {
        members(&dashboard, member, &mut queries);
    }
    queries.retain(|query| *query != "prometheus");
    assert!(queries.len() > 20, "{queries:?}");
    let mut used = BTreeSet::new();
    for query in queries {
        let names = names(query);
        assert!(!names.is_empty(), "no metric in {query}");
        for (metric, labels) in names {
            let known =
                emitted.get(&metric).unwrap_or_else(|| panic!("{metric} is not emitted: {query}\n{emitted:#?}"));
            let unknown: Vec<_> = labels.difference(known).collect();
            assert!(unknown.is_empty(), "{metric} has no labels {unknown:?}: {query}\nlabels: {known:?}");
            used.insert(metric);
        }
    }
    // Nothing that is emitted is forgotten.
    let family = |name: &str| {
        ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name).to_owned()
    };
    let used: BTreeSet<_> = used.iter().map(|name| family(name)).collect();
    let all: BTreeSet<_> = emitted.keys().map(|name| family(name)).collect();
    assert_eq!(used, all, "the dashboard shows every metric");
}

/// A legend that names a label by which the query does not group would be empty.
#[test]
fn legends_name_labels_of_their_queries() {
    fn check(value: &Value) -> usize {
        match value {
            Value::Array(list) => list.iter().map(check).sum(),
            Value::Object(map) => {
                let inner: usize = map.values().map(check).sum();
                let (Some(query), Some(legend)) = (map.get("expr"), map.get("legendFormat")) else { return inner };
                let (query, legend) = (query.as_str().unwrap(), legend.as_str().unwrap());
                let labels: BTreeSet<_> = names(query).into_values().flatten().collect();
                for label in legend.split("{{").skip(1).map(|rest| rest.split("}}").next().unwrap()) {
                    assert!(labels.contains(label), "{legend} of {query}");
                }
                inner + 1
            }
            _ => 0,
        }
    }
    assert!(check(&dashboard()) > 20);
}

/// Panels do not overlap, and their ids are unique.
#[test]
fn panels_have_their_own_ids_and_places() {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len());
    let mut taken = BTreeSet::new();
    for panel in panels {
        let [x, y, width, height] = ["x", "y", "w", "h"].map(|name| panel["gridPos"][name].as_u64().unwrap());
        assert!(x + width <= 24, "{}", panel["title"]);
        for cell in (x..x + width).flat_map(|x| (y..y + height).map(move |y| (x, y))) {
            assert!(taken.insert(cell), "{} overlaps another panel", panel["title"]);
        }
    }
}
