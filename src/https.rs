//! What the crate's own HTTP clients share: TLS, their name, and the text of their errors.

use std::{error::Error, io};

use hyper_util::client::legacy::connect::HttpConnector;

/// Connects over TLS, or without it if the scheme of the URL is `http`.
pub(crate) type Connector<R> = hyper_rustls::HttpsConnector<HttpConnector<R>>;

/// The value of the header `user-agent`.
pub(crate) const USER_AGENT: &str = concat!("tower-tagging/", env!("CARGO_PKG_VERSION"));

/// Creates a connector for HTTP/1.1 that trusts the bundled certificate authorities.
///
/// # Errors
///
/// Returns an error if the TLS provider does not support the default versions.
pub(crate) fn connector<R>(mut http: HttpConnector<R>) -> io::Result<Connector<R>> {
    http.enforce_http(false);
    let connector = hyper_rustls::HttpsConnectorBuilder::new()
        .with_provider_and_webpki_roots(rustls::crypto::ring::default_provider())
        .map_err(io::Error::other)?
        .https_or_http()
        .enable_http1()
        .wrap_connector(http);
    Ok(connector)
}

/// Returns the text of an error with those of its causes.
pub(crate) fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
