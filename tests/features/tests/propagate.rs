//! The feature `propagate`.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, Request, Response};
use http_body_util::Full;
use tower::{Layer, ServiceExt, service_fn};
use tower_tagging::{
    Tags,
    propagate::{self, Destination, Dialect, PropagateLayer},
};
use tower_tagging_feature_tests::{Collector, request, tagging};

/// Serves a request whose handler makes a call, and returns the headers of that call.
async fn outgoing(layered: bool) -> HeaderMap {
    let layer = tagging().sink(Collector::default()).build().unwrap().without_request_body();
    let service = layer.layer(service_fn(async |request: Request<Full<Bytes>>| {
        let tags = request.extensions().get::<Tags>().unwrap();
        let destination = Destination::new().dialect(Dialect::Majordomo).allow(["feature"]);
        let headers = if layered {
            let client = service_fn(async |call: Request<()>| Ok::<_, Infallible>(call.headers().clone()));
            let client = PropagateLayer::builder().other_hosts(destination).build().unwrap().layer(client);
            let call = client.oneshot(Request::get("http://api.example.com/").body(()).unwrap());
            tags.clone().scope(call).await?
        } else {
            propagate::headers(tags, &destination)
        };
        let mut response = Response::new(Full::<Bytes>::default());
        response.extensions_mut().insert(headers);
        Ok::<_, Infallible>(response)
    }));
    service.oneshot(request()).await.unwrap().extensions_mut().remove::<HeaderMap>().unwrap()
}

#[test]
fn calls_carry_allowed_tags_and_trace_ids() {
    for layered in [true, false] {
        let headers = outgoing(layered).now_or_never().unwrap();
        assert_eq!(headers["x-majordomo-feature"], "search", "{layered}: {headers:?}");
        assert!(headers.contains_key("traceparent"), "{layered}: {headers:?}");
    }
}
