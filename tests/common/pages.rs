//! Reads the pages of the dashboard, for its tests.

#![allow(dead_code, reason = "each test uses its part")]

use std::collections::{BTreeMap, VecDeque};

use axum::{Router, body::Body};
use http::{HeaderMap, Method, Request, StatusCode, header};
use tower::ServiceExt;

/// A page.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) html: String,
}

impl Page {
    /// Returns the target of a redirect.
    pub(crate) fn location(&self) -> &str {
        self.headers[header::LOCATION].to_str().unwrap()
    }

    /// Returns the values of an attribute, without entities.
    pub(crate) fn attributes(&self, name: &str) -> Vec<String> {
        let start = format!(" {name}=\"");
        let parts = self.html.split(&start).skip(1);
        parts.map(|part| unescaped(part.split('"').next().unwrap())).collect()
    }

    /// Returns the text of the elements with a class, without tags and entities.
    pub(crate) fn texts(&self, class: &str) -> Vec<String> {
        let start = format!(" class=\"{class}\">");
        self.html.split(&start).skip(1).map(|part| text(part.split("</").next().unwrap())).collect()
    }
}

/// Removes tags and entities.
pub(crate) fn text(html: &str) -> String {
    let mut text = String::new();
    let mut is_tag = false;
    for letter in html.chars() {
        match letter {
            '<' => is_tag = true,
            '>' => is_tag = false,
            letter if !is_tag => text.push(letter),
            _ => {}
        }
    }
    unescaped(&text)
}

fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&#60;", "<")
        .replace("&#62;", ">")
        .replace("&quot;", "\"")
        .replace("&#34;", "\"")
        .replace("&#39;", "'")
        .replace("&#38;", "&")
        .replace("&amp;", "&")
}

pub(crate) async fn send(app: &Router, request: Request<Body>) -> Page {
    let response = app.clone().oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    Page { status: head.status, headers: head.headers, html: String::from_utf8(bytes.to_vec()).unwrap() }
}

/// Gets a page with an API key.
pub(crate) async fn get(app: &Router, path: &str, key: &str) -> Page {
    let mut request = Request::builder().uri(path).header(header::HOST, "example.com");
    if !key.is_empty() {
        request = request.header("x-portkey-api-key", key);
    }
    send(app, request.body(Body::empty()).unwrap()).await
}

/// Sends a form.
pub(crate) async fn post(app: &Router, path: &str, headers: &[(&str, &str)], form: &str) -> Page {
    let mut request = Request::builder().method(Method::POST).uri(path);
    request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(app, request.body(Body::from(form.to_owned())).unwrap()).await
}

/// Returns the path that a link leads to, as browsers resolve it.
pub(crate) fn resolved(page: &str, link: &str) -> String {
    let path = page.split('?').next().unwrap();
    if link.starts_with('/') {
        return link.to_owned();
    }
    if link.starts_with('?') {
        return if link == "?" { path.to_owned() } else { format!("{path}{link}") };
    }
    let (target, query) =
        link.split_once('?').map_or((link, String::new()), |(path, query)| (path, format!("?{query}")));
    let mut segments: Vec<&str> = path.split('/').collect();
    segments.pop();
    for part in target.split('/') {
        match part {
            "." => {}
            ".." => _ = segments.pop(),
            part => segments.push(part),
        }
    }
    // A last part that is a folder ends with a slash.
    if matches!(target.rsplit('/').next(), Some("." | "..")) {
        segments.push("");
    }
    format!("{}{query}", segments.join("/"))
}

/// Visits all pages that are linked from one, at most `limit` of them. Panics if one cannot be shown.
pub(crate) async fn crawl(app: &Router, start: &str, key: &str, limit: usize) -> BTreeMap<String, Page> {
    let mut found = BTreeMap::new();
    let mut open = VecDeque::from([start.to_owned()]);
    while let Some(path) = open.pop_front() {
        if found.contains_key(&path) || found.len() >= limit {
            continue;
        }
        let page = get(app, &path, key).await;
        assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.html);
        let is_html = page.headers[header::CONTENT_TYPE].to_str().unwrap().starts_with("text/html");
        if is_html {
            let links =
                page.attributes("href").into_iter().filter(|link| !link.starts_with("data:") && !link.starts_with('#'));
            open.extend(links.map(|link| resolved(&path, &link)));
        }
        found.insert(path, page);
    }
    found
}
