//! The sign-in of the dashboard: the cookie, the one-time link, and forms of other sites.
#![cfg(feature = "dashboard")]

#[path = "common/api.rs"]
mod api;
#[path = "common/pages.rs"]
mod pages;

use axum::{Router, body::Body};
use http::{Request, StatusCode};
use tower_tagging::{
    analytics::api::RegistryAccess,
    dashboard::{Dashboard, SignIn},
    registry::{Registry, SecretDigest},
};

use api::{ADMIN, secret};
use pages::{Page, get, post, send};

const SAME_ORIGIN: (&str, &str) = ("sec-fetch-site", "same-origin");

fn sign_in() -> SignIn {
    SignIn::new(RegistryAccess::new(api::registry()).admin_key(ADMIN), ADMIN).unwrap()
}

fn app(sign_in: SignIn) -> Router {
    let analytics = api::memory(&api::samples());
    Router::new().nest("/tagging", Dashboard::with_sign_in(analytics, sign_in).into_router())
}

async fn with_cookie(app: &Router, path: &str, cookie: &str) -> Page {
    let request = Request::builder().uri(path).header("cookie", format!("a=b; {cookie}; c=d"));
    send(app, request.body(Body::empty()).unwrap()).await
}

/// Returns the attributes of the cookie.
fn cookie(page: &Page) -> Vec<String> {
    page.headers["set-cookie"].to_str().unwrap().split("; ").map(str::to_owned).collect()
}

#[tokio::test]
async fn a_key_signs_in_for_eight_hours() {
    let app = app(sign_in());
    let page = get(&app, "/tagging/explore?r=7d", "").await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    assert_eq!(page.location(), "./sign-in?next=explore?r%3D7d".replace("explore?", "explore%3F"));
    for (key, next, target) in [
        (ADMIN.to_owned(), "explore%3Fr%3D7d", "./explore?r=7d"),
        (ADMIN.to_owned(), "%3Fr%3D7d", "./../tagging?r=7d"),
        (ADMIN.to_owned(), "%252e%252e/logout", "./../tagging"),
        (ADMIN.to_owned(), "explore%3Fa%0Ab", "./../tagging"),
        (secret("acme"), "", "./../tagging"),
        (secret("acme-view"), "%2F%2Fevil.example", "./../tagging"),
    ] {
        let form = format!("key={key}&next={next}");
        let page = post(&app, "/tagging/sign-in", &[SAME_ORIGIN, ("host", "example.com")], &form).await;
        assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, target), "{}", page.html);
        let cookie = cookie(&page);
        assert_eq!(cookie[1..], ["Max-Age=28800", "HttpOnly", "SameSite=Strict", "Secure"]);
        assert!(!cookie[0].contains(&key));
        assert_eq!(with_cookie(&app, "/tagging", &cookie[0]).await.status, StatusCode::OK);
        let forged = format!("{}x", cookie[0]);
        assert_eq!(with_cookie(&app, "/tagging", &forged).await.status, StatusCode::SEE_OTHER);
        // Another process with the same secret accepts it.
        let replica = self::app(sign_in());
        assert_eq!(with_cookie(&replica, "/tagging", &cookie[0]).await.status, StatusCode::OK);
    }
    let page =
        post(&app, "/tagging/sign-in", &[SAME_ORIGIN, ("host", "127.0.0.1:8787")], &format!("key={ADMIN}")).await;
    assert!(!cookie(&page).contains(&"Secure".to_owned()));
}

#[tokio::test]
async fn the_permissions_of_the_key_count_on_each_request() {
    let app = app(sign_in());
    let page = post(&app, "/tagging/sign-in", &[SAME_ORIGIN], &format!("key={}", secret("acme"))).await;
    let own = cookie(&page)[0].clone();
    let list = with_cookie(&app, "/tagging/requests?r=2026-06-01..2026-06-03", &own).await;
    assert!(list.status == StatusCode::OK && !list.html.contains("globex"));
    // The key was disabled: a registry without it.
    let without = RegistryAccess::new(Registry::from_toml("").unwrap()).admin_key(ADMIN);
    let later = self::app(SignIn::new(without, ADMIN).unwrap());
    assert_eq!(with_cookie(&later, "/tagging", &own).await.status, StatusCode::SEE_OTHER);
    // The secret was replaced.
    let replaced = RegistryAccess::new(api::registry()).admin_key("another-admin-key-0123456789");
    let later = self::app(SignIn::new(replaced, "another-admin-key-0123456789").unwrap());
    assert_eq!(with_cookie(&later, "/tagging", &own).await.status, StatusCode::SEE_OTHER);
}

/// A leaked key is replaced: who signed in with it is signed out, and who signed in with another secret is not.
#[tokio::test]
async fn a_sign_in_ends_with_its_secret() {
    let registry = |secrets: &[(&str, &str)]| {
        let secrets = secrets.iter().map(|(secret, end)| {
            let digest = SecretDigest::of(secret);
            format!("{{ sha256 = \"{digest}\"{end} }}")
        });
        let secrets = secrets.collect::<Vec<_>>().join(", ");
        Registry::from_toml(&format!(
            "[workspaces.acme]\n[api_keys.web]\nsecrets = [{secrets}]\nworkspace = \"acme\"\n\
             permissions = [\"analytics.view\"]\n"
        ))
        .unwrap()
    };
    let app_of = |registry| app(SignIn::new(RegistryAccess::new(registry), "the secret of cookies").unwrap());
    let app = app_of(registry(&[("leaked", ""), ("kept", "")]));
    let enter = async |key: &str| {
        let page = post(&app, "/tagging/sign-in", &[SAME_ORIGIN], &format!("key={key}")).await;
        cookie(&page)[0].clone()
    };
    let (leaked, kept) = (enter("leaked").await, enter("kept").await);
    for (secrets, expected) in [
        (vec![("leaked", ""), ("kept", "")], [true, true]),
        (vec![("kept", ""), ("new", "")], [false, true]),
        (vec![("leaked", ", expires_at = 2020-01-01T00:00:00Z"), ("kept", "")], [false, true]),
        (vec![("new", "")], [false, false]),
    ] {
        let app = app_of(registry(&secrets));
        for (cookie, is_valid) in [&leaked, &kept].into_iter().zip(expected) {
            let status = with_cookie(&app, "/tagging", cookie).await.status;
            assert_eq!(status == StatusCode::OK, is_valid, "{secrets:?} {status}");
        }
    }
    // The organization-wide key was replaced, but not the secret of the cookies.
    let admin = |key: &str| {
        let access = RegistryAccess::new(api::registry()).admin_key(key);
        self::app(SignIn::new(access, "the secret of cookies").unwrap())
    };
    let page = post(&admin(ADMIN), "/tagging/sign-in", &[SAME_ORIGIN], &format!("key={ADMIN}")).await;
    for (key, status) in [(ADMIN, StatusCode::OK), ("another-admin-key-0123456789", StatusCode::SEE_OTHER)] {
        assert_eq!(with_cookie(&admin(key), "/tagging", &cookie(&page)[0]).await.status, status);
    }
}

#[tokio::test]
async fn keys_that_are_not_valid_do_not_sign_in() {
    let app = app(sign_in());
    for key in ["", "unknown", &secret("disabled"), &secret("expired"), &secret("acme-none")] {
        let page = post(&app, "/tagging/sign-in", &[SAME_ORIGIN], &format!("key={key}")).await;
        assert_eq!(page.status, StatusCode::UNAUTHORIZED, "{key}");
        assert!(!page.headers.contains_key("set-cookie") && page.html.contains("role=\"alert\""), "{key}");
    }
}

#[tokio::test]
async fn forms_of_other_sites_are_rejected() {
    let app = app(sign_in());
    for headers in
        [vec![], vec![("sec-fetch-site", "cross-site")], vec![("origin", "https://a.example"), ("host", "example.com")]]
    {
        for path in ["/tagging/sign-in", "/tagging/sign-out"] {
            let page = post(&app, path, &headers, &format!("key={ADMIN}")).await;
            assert_eq!(page.status, StatusCode::FORBIDDEN, "{path} {headers:?}");
        }
    }
    let page = post(&app, "/tagging/sign-out", &[SAME_ORIGIN], "").await;
    assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, "sign-in"));
    assert_eq!(cookie(&page)[..2], ["tagging_session=", "Max-Age=0"]);
}

#[tokio::test]
async fn the_link_of_a_demo_works_once_and_on_loopback_only() {
    let mut sign_in = sign_in();
    let link = sign_in.one_time_link().unwrap();
    let app = app(sign_in);
    let enter = async |host: &str| {
        let request = Request::builder().uri(format!("/tagging/{link}")).header("host", host);
        send(&app, request.body(Body::empty()).unwrap()).await
    };
    assert_eq!(enter("example.com").await.status, StatusCode::OK);
    // A preview of the link does not use it up.
    let preview =
        Request::head(format!("/tagging/{link}")).header("host", "127.0.0.1:8787").body(Body::empty()).unwrap();
    assert_eq!(send(&app, preview).await.status, StatusCode::OK);
    let page = enter("127.0.0.1:8787").await;
    assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, "./../tagging"));
    assert_eq!(with_cookie(&app, "/tagging", &cookie(&page)[0]).await.status, StatusCode::OK);
    let page = enter("127.0.0.1:8787").await;
    assert!(page.status == StatusCode::OK && page.html.contains("already used"));
}

/// Hosts with their own login have no form.
#[tokio::test]
async fn the_form_is_optional() {
    let pages = Dashboard::new(api::memory(&[]), RegistryAccess::new(api::registry())).into_router();
    let app = Router::new().nest("/tagging", pages);
    assert_eq!(get(&app, "/tagging/sign-in", "").await.status, StatusCode::NOT_FOUND);
    assert_eq!(get(&app, "/tagging", "").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(post(&app, "/tagging/sign-in", &[SAME_ORIGIN], "key=x").await.status, StatusCode::NOT_FOUND);
}

/// A proxy that replaces the host does not make the cookie of a public dashboard one without TLS.
#[tokio::test]
async fn a_public_url_decides_about_forms_and_cookies() {
    let public = sign_in().public_url("https://llm.example.com/").unwrap();
    let app = app(public);
    let form = format!("key={ADMIN}");
    let headers = [("origin", "https://llm.example.com"), ("host", "127.0.0.1:8080")];
    let page = post(&app, "/tagging/sign-in", &headers, &form).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    assert!(cookie(&page).contains(&"Secure".to_owned()));
    let page = post(&app, "/tagging/sign-out", &headers, "").await;
    assert!(cookie(&page).contains(&"Secure".to_owned()));
    let other = [("origin", "http://127.0.0.1:8080"), ("host", "127.0.0.1:8080")];
    assert_eq!(post(&app, "/tagging/sign-in", &other, &form).await.status, StatusCode::FORBIDDEN);
    assert!(sign_in().public_url("llm.example.com").is_err());
    // HTTP/2 has the host in the URL.
    let app = self::app(sign_in());
    let page = post(&app, "https://example.com/tagging/sign-in", &[("origin", "https://example.com")], &form).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.html);
}
