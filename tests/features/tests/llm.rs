//! The feature `llm`.

use tower_tagging::usage::UsageTap;
use tower_tagging_feature_tests::{Collector, request, serve, tagging};

#[test]
fn events_have_usage_and_cost() {
    let collector = Collector::default();
    serve(&tagging().usage(UsageTap::new()).sink(collector.clone()).build().unwrap(), request());
    let llm = &collector.single()["llm"];
    assert_eq!((&llm["usage"]["input_tokens"], &llm["usage"]["output_tokens"]), (&1000.into(), &100.into()), "{llm:#}");
    assert_eq!((llm["usage_status"].as_str(), llm["cost_status"].as_str()), (Some("reported"), Some("priced")));
    assert!(llm["cost_usd"].as_f64().unwrap() > 0.0);
}
