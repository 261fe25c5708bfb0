use std::net::IpAddr;

use http::{Uri, header, request::Parts, uri::Authority};

use crate::analytics::{QueryError, jiff::tz::TimeZone};

/// What all calls share.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The external address of the host, without a slash at its end.
    pub(crate) public_url: Option<String>,
    /// The path of the dashboard below that address, with slashes on both sides.
    pub(crate) dashboard_path: String,
    /// The time zone of days in calls that do not name one.
    pub(crate) zone: TimeZone,
    /// What to do about a key that is not accepted.
    pub(crate) key_hint: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            public_url: None,
            dashboard_path: "/tagging/".to_owned(),
            zone: TimeZone::UTC,
            key_hint: "Send a valid key in the header x-portkey-api-key, or as a bearer token.".to_owned(),
        }
    }
}

impl Settings {
    /// Sets the external address.
    ///
    /// # Errors
    /// Returns an error if it is not an address with a host.
    pub(crate) fn set_public_url(&mut self, url: &str) -> Result<(), QueryError> {
        if host_and_origin(url).is_none() || url.contains(['?', '#', '@']) {
            return Err(QueryError::Invalid(format!(
                "invalid public URL {url:?}: expected one such as https://llm.example.com"
            )));
        }
        self.public_url = Some(url.trim_end_matches('/').to_owned());
        Ok(())
    }

    /// Sets the path of the dashboard, with or without slashes around it.
    pub(crate) fn set_dashboard_path(&mut self, path: &str) {
        let path = path.trim_matches('/');
        self.dashboard_path = if path.is_empty() { "/".to_owned() } else { format!("/{path}/") };
    }

    /// Sets the time zone.
    ///
    /// # Errors
    /// Returns an error if it is unknown.
    pub(crate) fn set_zone(&mut self, name: &str) -> Result<(), QueryError> {
        self.zone = TimeZone::get(name).map_err(|_| {
            QueryError::Invalid(format!("unknown time zone {name:?}: expected an IANA name, such as Europe/Berlin"))
        })?;
        Ok(())
    }

    /// Returns the address of the dashboard, which ends with a slash.
    ///
    /// Without a public address, it is known only for clients on this machine: a proxy in front of another host may change the
    /// scheme and the path.
    pub(crate) fn dashboard(&self, head: Option<&Parts>) -> Option<String> {
        let base = self.public_url.clone().or_else(|| Some(format!("http://{}", loopback_host(head?)?)))?;
        Some(format!("{base}{}", self.dashboard_path))
    }
}

/// Returns the host that a client asked for, with its port, if it is this machine.
fn loopback_host(head: &Parts) -> Option<String> {
    let text = match head.headers.get(header::HOST) {
        Some(value) => value.to_str().ok()?,
        None => head.uri.authority()?.as_str(),
    };
    let authority: Authority = text.parse().ok()?;
    let host = authority.host();
    let address: Option<IpAddr> = host.trim_start_matches('[').trim_end_matches(']').parse().ok();
    let is_loopback = host.eq_ignore_ascii_case("localhost") || address.is_some_and(|address| address.is_loopback());
    let port = authority.port().map(|port| format!(":{port}")).unwrap_or_default();
    is_loopback.then(|| format!("{host}{port}"))
}

/// Returns the host of an address, with its port, and its origin.
pub(crate) fn host_and_origin(url: &str) -> Option<(String, String)> {
    let uri: Uri = url.parse().ok()?;
    let (scheme, authority) = (uri.scheme_str()?, uri.authority()?);
    let port = authority.port_u16().or(match scheme {
        "https" => Some(443),
        "http" => Some(80),
        _ => None,
    })?;
    let host = authority.host();
    let allowed = if authority.port().is_some() { format!("{host}:{port}") } else { host.to_owned() };
    Some((allowed, format!("{scheme}://{host}:{port}")))
}
