//! Requests while the registry changes.

use std::sync::Arc;

use tower_tagging::{
    registry::{ContractMode, Registry, Workspace},
    tags,
};

use crate::governed::{governed, key, request, requires};

/// The state at the start of a request decides about all of it, also while its body is read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_during_a_reload_see_one_state() {
    let definition = |version: usize| {
        let version = version.to_string();
        let acme = Workspace::new("acme").metadata(tags! { "workspace_version" => &version });
        let web = key("web").workspace("acme").metadata(tags! { "key_version" => &version });
        Registry::builder().workspace(acme).api_key(web.contract(requires(ContractMode::Reject, &["_user"])))
    };
    let governed = Arc::new(governed(definition(0)));
    let requests: Vec<_> = (0..4)
        .map(|_| {
            let governed = Arc::clone(&governed);
            tokio::spawn(async move {
                for _ in 0..300 {
                    // The body arrives in two parts.
                    let parts = [r#"{"model":"m","#, r#""user":"ada"}"#];
                    let frames = futures_util::stream::iter(parts.map(|part| {
                        std::thread::yield_now();
                        Ok::<_, std::io::Error>(part)
                    }));
                    let mut request = request(&[("authorization", "sk-web"), ("content-type", "application/json")], "");
                    *request.body_mut() = axum::body::Body::from_stream(frames);
                    let answer = governed.send_request(request).await;
                    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "web||ada"));
                }
            })
        })
        .collect();
    let reloads = {
        let governed = Arc::clone(&governed);
        tokio::task::spawn_blocking(move || {
            for version in 1..=200 {
                governed.registry.replace(definition(version)).unwrap();
            }
        })
    };
    reloads.await.unwrap();
    for request in requests {
        request.await.unwrap();
    }
    let events = governed.recorder.take();
    assert_eq!(events.len(), 1_200);
    for event in events {
        let tags = event.metadata();
        assert_eq!(tags["workspace_version"], tags["key_version"], "{tags:?}");
    }
    assert_eq!(governed.registry.report().keys["web"].requests, 1_200);
}

/// A reload counts requests on, and does not count its own tags.
#[tokio::test]
async fn reloads_keep_the_counts_of_requests_only() {
    use tower_tagging::registry::{Screening, ScreeningAction, ScreeningKind};

    let definition = || {
        let screening = Screening::builder().kind(ScreeningKind::Emails, ScreeningAction::Mask);
        let screening = screening.tag("nickname", ScreeningAction::Mask).build().unwrap();
        let web = key("web").metadata(tags! { "owner" => "owner@example.com", "nickname" => "Boss" });
        Registry::builder().screening(screening).api_key(web)
    };
    let governed = governed(definition());
    let counts = || {
        let report = governed.registry.report();
        (report.screened["emails"], report.screened_tags["nickname"])
    };
    assert_eq!(counts(), (0, 0));
    let headers = [("authorization", "sk-web"), ("x-portkey-metadata", r#"{"contact":"a@example.com"}"#)];
    let event = governed.event(&headers).await;
    assert_eq!((&event.metadata()["owner"], &event.metadata()["contact"]), ("[email]", "[email]"));
    assert_eq!(counts(), (1, 0));
    for _ in 0..3 {
        governed.registry.replace(definition()).unwrap();
    }
    assert_eq!(counts(), (1, 0));
    drop(governed.event(&headers).await);
    assert_eq!(counts(), (2, 0));
}
