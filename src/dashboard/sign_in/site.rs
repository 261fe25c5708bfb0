use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, Uri, header, request::Parts, uri::Authority};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Where browsers see the dashboard: at the public URL, or else at the host of the request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Site {
    public: Option<Origin>,
}

/// The scheme, the host, and the port of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    is_https: bool,
    host: String,
    port: u16,
}

impl Site {
    /// Creates a site at a public URL. Returns `None` unless it is an `http` or `https` URL with a host.
    pub(crate) fn at(url: &str) -> Option<Self> {
        Origin::read(url).map(|origin| Self { public: Some(origin) })
    }

    /// Returns `true` if the page that sent a form is of this origin.
    ///
    /// Browsers send `Sec-Fetch-Site` or `Origin` with each form. A request without both does not come from a page of another
    /// origin that the cookie would be sent with, but it is not from a browser either.
    pub(crate) fn has_same_origin(&self, head: &Parts) -> bool {
        if let Some(site) = text(&head.headers, &SEC_FETCH_SITE) {
            return site == "same-origin";
        }
        let Some(origin) = text(&head.headers, &header::ORIGIN).and_then(Origin::read) else { return false };
        match &self.public {
            Some(public) => origin == *public,
            // Without a public URL, the scheme is unknown, because a proxy may have ended TLS.
            None => host(head).is_some_and(|host| origin == Origin::new(origin.is_https, &host)),
        }
    }

    /// Returns `true` if cookies are for TLS only: if the public URL has it, or else unless the request was sent to a loopback
    /// address.
    pub(crate) fn is_secure(&self, head: &Parts) -> bool {
        self.public.as_ref().map_or_else(|| !self.is_loopback(head), |public| public.is_https)
    }

    /// Returns `true` if browsers see the dashboard at a loopback address.
    pub(crate) fn is_loopback(&self, head: &Parts) -> bool {
        let is_local = |name: &str| {
            let name = name.trim_matches(['[', ']']);
            name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        };
        match &self.public {
            Some(public) => is_local(&public.host),
            None => host(head).is_some_and(|host| is_local(host.host())),
        }
    }
}

impl Origin {
    fn read(url: &str) -> Option<Self> {
        let uri = url.parse::<Uri>().ok()?;
        let is_https = match uri.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        Some(Self::new(is_https, uri.authority().filter(|authority| !authority.host().is_empty())?))
    }

    fn new(is_https: bool, authority: &Authority) -> Self {
        let port = authority.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        Self { is_https, host: authority.host().to_ascii_lowercase(), port }
    }
}

/// Returns the host that a request was sent to: `:authority` of HTTP/2, or else the header `host`.
fn host(head: &Parts) -> Option<Authority> {
    head.uri.authority().cloned().or_else(|| text(&head.headers, &header::HOST)?.parse().ok())
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use http::{Request, request::Parts};

    use super::Site;

    fn head(uri: &str, pairs: &[(&'static str, &'static str)]) -> Parts {
        let request =
            pairs.iter().fold(Request::builder().uri(uri), |request, (name, value)| request.header(*name, *value));
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn accepts_forms_of_the_same_origin_only() {
        let cases: [(&[(&str, &str)], bool); 9] = [
            (&[("sec-fetch-site", "same-origin")], true),
            (&[("sec-fetch-site", "same-site"), ("origin", "http://a:1"), ("host", "a:1")], false),
            (&[("sec-fetch-site", "none")], false),
            (&[("origin", "http://a:1"), ("host", "a:1")], true),
            (&[("origin", "https://A"), ("host", "a:443")], true),
            (&[("origin", "http://a:2"), ("host", "a:1")], false),
            (&[("origin", "http://a"), ("host", "a:443")], false),
            (&[("origin", "null"), ("host", "a")], false),
            (&[("host", "a")], false),
        ];
        for (pairs, expected) in cases {
            assert_eq!(Site::default().has_same_origin(&head("/", pairs)), expected, "{pairs:?}");
        }
        // HTTP/2 has no `host`.
        assert!(Site::default().has_same_origin(&head("https://a/x", &[("origin", "https://a")])));
        assert!(!Site::default().has_same_origin(&head("https://a/x", &[("origin", "https://b"), ("host", "b")])));
    }

    #[test]
    fn a_public_url_decides_instead_of_the_host() {
        let site = Site::at("https://llm.example.com/base").unwrap();
        let behind = |origin| head("/", &[("origin", origin), ("host", "127.0.0.1:8080")]);
        assert!(site.has_same_origin(&behind("https://llm.example.com")));
        assert!(!site.has_same_origin(&behind("http://127.0.0.1:8080")));
        assert!(!site.has_same_origin(&behind("http://llm.example.com")));
        assert!(site.is_secure(&behind("null")) && !site.is_loopback(&behind("null")));
        let site = Site::at("http://llm.internal:8080").unwrap();
        assert!(!site.is_secure(&head("/", &[("host", "llm.internal:8080")])));
        for other in ["", "llm.example.com", "ftp://llm.example.com", "/x", "https://"] {
            assert!(Site::at(other).is_none(), "{other}");
        }
    }

    #[test]
    fn recognizes_loopback_addresses() {
        let site = Site::default();
        for host in ["localhost", "127.0.0.1:8787", "[::1]:80"] {
            assert!(site.is_loopback(&head("/", &[("host", host)])) && !site.is_secure(&head("/", &[("host", host)])));
        }
        for host in ["example.com", "localhost.example.com", "10.0.0.1", ""] {
            assert!(!site.is_loopback(&head("/", &[("host", host)])), "{host}");
            assert!(site.is_secure(&head("/", &[("host", host)])), "{host}");
        }
    }
}
