use axum::extract::{NestedPath, OriginalUri};
use http::{Extensions, Uri};

/// Where the dashboard is mounted, as seen from one of its pages. All links are relative, so that any prefix works behind any
/// proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    /// The relative path in front of the paths of pages, such as `./` or `../`.
    pub(crate) root: String,
    /// The relative path of the first page.
    pub(crate) home: String,
    /// The relative path of the page itself.
    pub(crate) page: String,
}

impl Mount {
    /// Reads the place of a request.
    ///
    /// `Router::nest("/tagging", …)` has the first page at `/tagging`, and `Router::nest("/tagging/", …)` at `/tagging/`.
    pub(crate) fn of(extensions: &Extensions, uri: &Uri) -> Self {
        let inner = uri.path();
        let original = extensions.get::<OriginalUri>().map_or(inner, |uri| uri.0.path());
        let nested = extensions.get::<NestedPath>().map_or("/", NestedPath::as_str);
        let last = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
        // Without `./`, a name with a colon would be the URL of another site.
        let page = format!("./{}", last(original));
        if nested.ends_with('/') {
            let root = root(inner);
            return Self { home: root.clone(), root, page };
        }
        if inner == "/" {
            return Self { root: format!("{page}/"), home: page.clone(), page };
        }
        let root = root(inner);
        let prefix = original.strip_suffix(inner).unwrap_or(nested);
        Self { home: format!("{root}../{}", last(prefix)), root, page }
    }

    /// Returns the link to a page with parameters. The path of the first page is empty.
    pub(crate) fn link(&self, path: &str, query: &str) -> String {
        if path.is_empty() { format!("{}{query}", self.home) } else { format!("{}{path}{query}", self.root) }
    }
}

/// Returns the relative path from a page to the folder of all pages.
fn root(inner: &str) -> String {
    match inner.trim_start_matches('/').matches('/').count() {
        0 => "./".to_owned(),
        depth => "../".repeat(depth),
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, extract::Request, routing::any};
    use http::Uri;
    use tower::ServiceExt as _;

    use super::Mount;

    async fn links(prefix: &str, uri: &'static str) -> [String; 3] {
        let page = |request: Request| async move {
            let mount = Mount::of(request.extensions(), request.uri());
            [mount.root, mount.home, mount.page].join(" ")
        };
        let pages = Router::new().route("/", any(page)).route("/{*rest}", any(page));
        let app = if prefix.is_empty() { pages } else { Router::new().nest(prefix, pages) };
        let request = Request::builder().uri(Uri::from_static(uri)).body(Body::empty()).unwrap();
        let body = app.oneshot(request).await.unwrap().into_body();
        let body = axum::body::to_bytes(body, 1_000).await.unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        let parts: Vec<String> = text.split(' ').map(str::to_owned).collect();
        parts.try_into().unwrap()
    }

    #[tokio::test]
    async fn links_work_below_any_prefix() {
        let cases = [
            ("", "/", ["./", "./", "./"]),
            ("", "/explore", ["./", "./", "./explore"]),
            ("", "/requests/1", ["../", "../", "./1"]),
            ("/tagging", "/tagging", ["./tagging/", "./tagging", "./tagging"]),
            ("/tagging", "/tagging/explore", ["./", "./../tagging", "./explore"]),
            ("/a/{b}", "/a/c/sessions/k/v", ["../../", "../../../c", "./v"]),
            ("", "/by/http:evil.example", ["../", "../", "./http:evil.example"]),
            ("/tagging/", "/tagging/", ["./", "./", "./"]),
            ("/tagging/", "/tagging/requests/1", ["../", "../", "./1"]),
        ];
        for (prefix, uri, expected) in cases {
            assert_eq!(links(prefix, uri).await, expected, "{prefix} {uri}");
        }
    }
}
