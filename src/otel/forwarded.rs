use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, header, uri::Authority};

/// What proxies report about the original request: the client's address, the host, and the scheme.
///
/// The first entry of a list is the one that the outermost proxy added, unless the client sent the header itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Forwarded {
    pub(super) client: Option<IpAddr>,
    pub(super) host: Option<Box<str>>,
    pub(super) is_https: Option<bool>,
}

impl Forwarded {
    /// Reads `Forwarded` ([RFC 7239](https://www.rfc-editor.org/rfc/rfc7239)), and `X-Forwarded-For`, `-Host`, and `-Proto`
    /// for what it lacks.
    pub(super) fn read(headers: &HeaderMap) -> Self {
        let standard = first(headers, header::FORWARDED.as_str()).map(Self::parse).unwrap_or_default();
        let x = |name: &str| first(headers, name).and_then(|list| list.split(',').next()).map(str::trim);
        Self {
            client: standard.client.or_else(|| x("x-forwarded-for").and_then(address)),
            host: standard.host.or_else(|| x("x-forwarded-host").and_then(host)),
            is_https: standard.is_https.or_else(|| x("x-forwarded-proto").and_then(is_https)),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.client.is_none() && self.host.is_none() && self.is_https.is_none()
    }

    /// Reads the first element of a `Forwarded` header.
    fn parse(text: &str) -> Self {
        let mut this = Self::default();
        for pair in split_unquoted(text, ',').first().map(|element| split_unquoted(element, ';')).unwrap_or_default() {
            let Some((name, value)) = pair.split_once('=') else { continue };
            let value = unquoted(value.trim());
            match name.trim().to_ascii_lowercase().as_str() {
                "for" => this.client = this.client.or_else(|| address(&value)),
                "host" => this.host = this.host.take().or_else(|| host(&value)),
                "proto" => this.is_https = this.is_https.or_else(|| is_https(&value)),
                _ => {}
            }
        }
        this
    }
}

/// Returns the first header of a name, if it is text.
fn first<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// Splits text at separators that are not part of a quoted string.
fn split_unquoted(text: &str, separator: char) -> Vec<&str> {
    let (mut parts, mut start, mut is_quoted, mut is_escaped) = (Vec::new(), 0, false, false);
    for (at, letter) in text.char_indices() {
        match letter {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            _ if letter == separator && !is_quoted => {
                parts.extend(text.get(start..at));
                start = at + letter.len_utf8();
            }
            _ => {}
        }
    }
    parts.extend(text.get(start..));
    parts
}

/// Removes the quotes and escapes of a quoted string.
fn unquoted(text: &str) -> String {
    let Some(quoted) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) else { return text.to_owned() };
    let mut letters = quoted.chars();
    let mut plain = String::with_capacity(quoted.len());
    while let Some(letter) = letters.next() {
        plain.extend(if letter == '\\' { letters.next() } else { Some(letter) });
    }
    plain
}

/// Reads an IP address, with or without a port. Names that hide the address are ignored.
fn address(text: &str) -> Option<IpAddr> {
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    text.parse().ok().or_else(bracketed).or_else(|| text.parse().ok().map(|address: SocketAddr| address.ip()))
}

/// Reads a host, with or without a port. Credentials are refused.
fn host(text: &str) -> Option<Box<str>> {
    (!text.contains('@')).then(|| text.parse::<Authority>().ok()).flatten().map(|host| host.as_str().into())
}

fn is_https(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "https" | "wss" => Some(true),
        "http" | "ws" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::Forwarded;

    fn read(headers: &[(&'static str, &'static str)]) -> (String, String, Option<bool>) {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        let Forwarded { client, host, is_https } = Forwarded::read(&headers);
        (client.map(|client| client.to_string()).unwrap_or_default(), host.unwrap_or_default().into(), is_https)
    }

    #[test]
    fn reads_the_forms_of_rfc_7239_and_of_the_older_headers() {
        let of = |client: &str, host: &str, is_https| (client.to_owned(), host.to_owned(), is_https);
        for (headers, expected) in [
            (&[][..], of("", "", None)),
            (
                &[("forwarded", "for=192.0.2.60;proto=https;by=203.0.113.43;host=shop.example:8443")],
                of("192.0.2.60", "shop.example:8443", Some(true)),
            ),
            (
                &[("forwarded", "For=\"[2001:db8:cafe::17]:4711\"; PROTO=http")],
                of("2001:db8:cafe::17", "", Some(false)),
            ),
            (&[("forwarded", "for=192.0.2.43, for=198.51.100.17;proto=https")], of("192.0.2.43", "", None)),
            (&[("forwarded", "host=\"a,b;c\";for=\"192.0.2.1:80\"")], of("192.0.2.1", "a,b;c", None)),
            (&[("forwarded", "for=\"192\\.0.2.1\"")], of("192.0.2.1", "", None)),
            // A hidden address is not an address.
            (&[("forwarded", "for=unknown"), ("x-forwarded-for", "192.0.2.7")], of("192.0.2.7", "", None)),
            (&[("forwarded", "for=_secret")], of("", "", None)),
            (
                &[
                    ("x-forwarded-for", " 203.0.113.195 , 2001:db8::1"),
                    ("x-forwarded-host", "shop.example, proxy"),
                    ("x-forwarded-proto", "HTTPS,http"),
                ],
                of("203.0.113.195", "shop.example", Some(true)),
            ),
            (&[("x-forwarded-for", "2001:db8::1")], of("2001:db8::1", "", None)),
            (&[("x-forwarded-for", "[2001:db8::1]")], of("2001:db8::1", "", None)),
            (&[("x-forwarded-for", "203.0.113.195:41237")], of("203.0.113.195", "", None)),
            (
                &[("x-forwarded-for", "<script>"), ("x-forwarded-host", "me@evil"), ("x-forwarded-proto", "gopher")],
                of("", "", None),
            ),
            (&[("forwarded", "\"unterminated"), ("x-forwarded-host", "")], of("", "", None)),
            (&[("forwarded", ";;=;for;,")], of("", "", None)),
        ] {
            assert_eq!(read(headers), expected, "{headers:?}");
        }
    }
}
