use http::{HeaderMap, Uri, header, uri::Authority};

use crate::config_error::ConfigError;

use super::destination::Destination;

/// The destinations of outgoing requests, by host.
#[derive(Clone, Debug, Default)]
pub(super) struct Hosts {
    named: Vec<(Pattern, Destination)>,
    /// The destination of all hosts that match no pattern.
    pub(super) other: Destination,
}

/// A host, or all subdomains of one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    /// In lowercase. A suffix starts with a dot.
    host: Box<str>,
    is_suffix: bool,
    port: Option<u16>,
}

impl Hosts {
    /// Sets the destination for a pattern, replacing an earlier one.
    pub(super) fn add(&mut self, pattern: &str, destination: Destination) -> Result<(), ConfigError> {
        let invalid = || {
            let expected =
                "expected a host such as \"api.example.com\", \"api.example.com:8443\", or \"*.example.com\"";
            ConfigError::new(format!("invalid host pattern {pattern:?}: {expected}"))
        };
        let pattern = Pattern::parse(pattern).ok_or_else(invalid)?;
        self.named.retain(|(other, _)| *other != pattern);
        self.named.push((pattern, destination));
        Ok(())
    }

    /// Returns the destination of a request by the authority of its URI, or else by its `Host` header.
    pub(super) fn destination(&self, uri: &Uri, headers: &HeaderMap) -> &Destination {
        if self.named.is_empty() {
            return &self.other;
        }
        let from_header = || Authority::try_from(headers.get(header::HOST)?.as_bytes()).ok();
        let Some(authority) = uri.authority().cloned().or_else(from_header) else { return &self.other };
        let host = normal_host(&authority);
        let port = authority.port_u16().or_else(|| match uri.scheme_str() {
            Some("https") => Some(443),
            Some("http") => Some(80),
            _ => None,
        });
        let matching = self.named.iter().filter(|(pattern, _)| pattern.matches(&host, port));
        matching.max_by_key(|(pattern, _)| pattern.rank()).map_or(&self.other, |(_, destination)| destination)
    }
}

impl Pattern {
    fn parse(pattern: &str) -> Option<Self> {
        let pattern = pattern.trim();
        let (is_suffix, host) = match pattern.strip_prefix("*.") {
            Some(suffix) => (true, suffix),
            None => (false, pattern),
        };
        let authority: Authority = host.parse().ok()?;
        let name = normal_host(&authority);
        let is_name = !name.is_empty() && !name.starts_with('.') && !name.contains('*');
        // Rejects credentials and invalid ports: there must be nothing except the host and a valid port.
        let port_len = authority.port().map_or(0, |port| 1 + port.as_str().len());
        let is_whole = authority.host().len() + port_len == host.len();
        let host = if is_suffix { format!(".{name}") } else { name };
        (is_name && is_whole).then(|| Self { host: host.into(), is_suffix, port: authority.port_u16() })
    }

    fn matches(&self, host: &str, port: Option<u16>) -> bool {
        let is_host = if self.is_suffix {
            host.ends_with(&*self.host) && host.len() > self.host.len()
        } else {
            host == &*self.host
        };
        is_host && (self.port.is_none() || self.port == port)
    }

    /// Orders patterns by how specific they are: hosts above suffixes, longer suffixes above shorter ones, and patterns
    /// with a port above those without.
    fn rank(&self) -> (bool, usize, bool) {
        (!self.is_suffix, self.host.len(), self.port.is_some())
    }
}

/// Returns the host in lowercase, without the trailing dot of a fully qualified name.
fn normal_host(authority: &Authority) -> String {
    let host = authority.host().to_ascii_lowercase();
    host.strip_suffix('.').map(str::to_owned).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, Uri, header};

    use super::{super::Dialect, Destination, Hosts};

    /// Returns hosts with one destination per pattern. Destinations differ in the number of allowed tags.
    fn hosts(patterns: &[&str]) -> Hosts {
        let mut hosts = Hosts::default();
        for (at, pattern) in patterns.iter().enumerate() {
            let keys = (0..=at).map(|key| key.to_string());
            hosts.add(pattern, Destination::new().dialect(Dialect::Baggage).allow(keys)).unwrap();
        }
        hosts
    }

    fn found<'p>(hosts: &Hosts, patterns: &[&'p str], uri: &str, header: Option<&str>) -> Option<&'p str> {
        let mut headers = HeaderMap::new();
        if let Some(host) = header {
            headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
        }
        let destination = hosts.destination(&uri.parse::<Uri>().unwrap(), &headers);
        patterns.get(destination.allowed_count().checked_sub(1)?).copied()
    }

    #[test]
    fn the_most_specific_pattern_applies() {
        let patterns = ["api.example.com", "*.example.com", "*.eu.example.com", "api.example.com:8443", "[::1]"];
        let hosts = hosts(&patterns);
        for (uri, expected) in [
            ("https://api.example.com/v1", Some("api.example.com")),
            ("https://API.Example.COM./v1", Some("api.example.com")),
            ("https://api.example.com:443", Some("api.example.com")),
            ("https://api.example.com:8443", Some("api.example.com:8443")),
            ("https://other.example.com", Some("*.example.com")),
            ("https://a.b.example.com", Some("*.example.com")),
            ("https://a.eu.example.com:1", Some("*.eu.example.com")),
            ("https://example.com", None),
            ("https://evilexample.com", None),
            ("https://api.example.com.evil.test", None),
            ("https://api.example.com@evil.test", None),
            ("https://evil.test@api.example.com", Some("api.example.com")),
            ("http://[::1]:80/", Some("[::1]")),
            ("/path", None),
        ] {
            assert_eq!(found(&hosts, &patterns, uri, None), expected, "{uri}");
        }
        assert_eq!(found(&hosts, &patterns, "/", Some("api.example.com:8443")), Some("api.example.com:8443"));
        assert_eq!(found(&hosts, &patterns, "/", Some("api.example.com")), Some("api.example.com"));
        assert_eq!(
            found(&hosts, &patterns, "https://evil.test", Some("api.example.com")),
            None,
            "the URI takes precedence over the `Host` header"
        );
    }

    #[test]
    fn rejects_patterns_that_are_not_hosts() {
        for pattern in [
            "",
            "*",
            "*.",
            "https://example.com",
            "example.com/v1",
            "user@example.com",
            "a.*.com",
            "exa mple",
            ".com",
            "a:",
            "a:http",
            "a:65536",
        ] {
            let error = Hosts::default().add(pattern, Destination::nothing()).unwrap_err();
            assert!(error.to_string().contains(pattern), "{error}");
        }
    }
}
