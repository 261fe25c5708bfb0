use http::{HeaderMap, Uri, header, uri::Authority};

/// Returns `true` if the page that sent a form is of this origin.
///
/// Browsers send `Sec-Fetch-Site` or `Origin` with each form. A request without both does not come from a page of another
/// origin that the cookie would be sent with, but it is not from a browser either.
pub(crate) fn has_same_origin(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    if let Some(site) = text(header::HeaderName::from_static("sec-fetch-site")) {
        return site == "same-origin";
    }
    let origin = text(header::ORIGIN).and_then(|origin| origin.parse::<Uri>().ok());
    let origin = origin.as_ref().and_then(Uri::authority).map(Authority::as_str);
    origin.is_some() && origin == text(header::HOST)
}

/// Returns `true` if the request was sent to a loopback address, where cookies need no TLS.
pub(crate) fn is_loopback(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    host.is_some_and(|host| {
        let name = host.host().trim_matches(['[', ']']);
        name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    })
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::{has_same_origin, is_loopback};

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn accepts_forms_of_the_same_origin_only() {
        let cases: [(&[(&str, &str)], bool); 7] = [
            (&[("sec-fetch-site", "same-origin")], true),
            (&[("sec-fetch-site", "same-site"), ("origin", "http://a:1"), ("host", "a:1")], false),
            (&[("sec-fetch-site", "none")], false),
            (&[("origin", "http://a:1"), ("host", "a:1")], true),
            (&[("origin", "http://a:2"), ("host", "a:1")], false),
            (&[("origin", "null"), ("host", "a")], false),
            (&[("host", "a")], false),
        ];
        for (pairs, expected) in cases {
            assert_eq!(has_same_origin(&headers(pairs)), expected, "{pairs:?}");
        }
    }

    #[test]
    fn recognizes_loopback_addresses() {
        for host in ["localhost", "127.0.0.1:8787", "[::1]:80"] {
            assert!(is_loopback(&headers(&[("host", host)])), "{host}");
        }
        for host in ["example.com", "localhost.example.com", "10.0.0.1", ""] {
            assert!(!is_loopback(&headers(&[("host", host)])), "{host}");
        }
    }
}
