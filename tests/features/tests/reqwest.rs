//! The feature `reqwest`: a client whose calls are tagged.

use futures_util::FutureExt;
use tower_tagging::{PropagateLayer, TaggingLayer, Tags, client::ReqwestClient};

#[test]
fn wraps_a_client_and_returns_its_errors() {
    let tagging = TaggingLayer::client_builder().build().unwrap();
    let client = ReqwestClient::new(reqwest::Client::new()).tagging(tagging).propagate(PropagateLayer::new());
    // Connections need a runtime, which reqwest expects to be there.
    let call = client.client().get("not a url");
    let error = Tags::new().scope(client.send(call)).now_or_never().unwrap().unwrap_err();
    assert!(error.is_builder());
}
