//! Limits without the feature `llm`: requests and recorded costs.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tower::{Layer, ServiceExt, service_fn};
use tower_tagging::{
    TaggingLayer, Tags,
    limit::{Amount, LimitDecision, LimitLayer, LimitRule, Limiter, Window},
    usage::{ExtraCost, Money},
};

async fn answer<B>(request: Request<B>) -> Result<Response<Full<Bytes>>, Infallible> {
    if let Some(tags) = request.extensions().get::<Tags>() {
        tags.record_cost(ExtraCost::new(Money::from_nano_usd(5)));
    }
    Ok(Response::new(Full::default()))
}

#[test]
fn limits_requests_and_settles_recorded_costs() {
    let requests = LimitRule::rate("two", Amount::requests(2), Duration::from_secs(3600));
    let cost = LimitRule::budget("cost", "1 USD".parse().unwrap(), Window::month("UTC").unwrap());
    let cost = cost.on_unpriced(LimitDecision::Deny);
    let rules = [requests, cost].map(|rule| rule.on_store_error(LimitDecision::Allow).build().unwrap());
    let limiter = Limiter::builder().rules(rules).build().unwrap();
    let layer = LimitLayer::new(limiter.clone(), TaggingLayer::builder().build().unwrap());
    let service = layer.layer(service_fn(answer));
    let statuses: Vec<StatusCode> = (0..3)
        .map(|_| {
            let request = Request::new(Full::<Bytes>::default());
            service.clone().oneshot(request).now_or_never().unwrap().unwrap().status()
        })
        .collect();
    assert_eq!(statuses, [200, 200, 429].map(|status| StatusCode::from_u16(status).unwrap()));
    assert!(layer.delivery().shutdown_blocking(Duration::from_secs(10)).is_complete());
    let usage = limiter.usage().now_or_never().unwrap().unwrap();
    assert_eq!(usage[0].settled, Amount::cost(Money::from_nano_usd(10)));
}
