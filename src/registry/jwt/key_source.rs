use std::{
    fs,
    io::Read,
    net::IpAddr,
    path::{Path, PathBuf},
    time::SystemTime,
};

use http::{Uri, uri::Scheme};

use crate::ConfigError;

use super::key_set::KeySet;

/// The origin of a key set.
#[derive(Clone, Debug)]
pub(super) enum KeySource {
    Text,
    File(PathBuf),
    Url(Uri),
}

impl KeySource {
    /// # Errors
    ///
    /// Returns an error for a URL that is not HTTPS, unless its host is this machine. The error does not quote the URL,
    /// because it may contain a secret.
    pub(super) fn url(url: &str) -> Result<Self, ConfigError> {
        let invalid = |found: &str| {
            ConfigError::new(format!(
                "invalid URL of a key set: expected https://HOST/PATH, or http://localhost/PATH, found {found}"
            ))
        };
        let uri: Uri = url.parse().map_err(|_| invalid("text that is not a URL"))?;
        let authority = uri.authority().ok_or_else(|| invalid("a URL without a host"))?;
        if authority.as_str().contains('@') {
            return Err(invalid("a URL with credentials"));
        }
        match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => {}
            Some(scheme) if *scheme == Scheme::HTTP && is_loopback(authority.host()) => {}
            _ => return Err(invalid("a URL that is not https")),
        }
        Ok(Self::Url(uri))
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Reads a key set from a file.
pub(super) fn read_file(path: &Path) -> Result<KeySet, String> {
    let problem = |error: &dyn std::fmt::Display| format!("cannot read the key set {}: {error}", path.display());
    let file = fs::File::open(path).map_err(|error| problem(&error))?;
    let mut json = Vec::new();
    // One more byte than allowed, so that a longer file is noticed.
    let limit = u64::try_from(KeySet::MAX_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit).read_to_end(&mut json).map_err(|error| problem(&error))?;
    KeySet::parse(&json).map_err(|error| problem(&error))
}

/// The time of the last change and the length of a file. `None` if it cannot be read.
pub(super) fn version(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

#[cfg(test)]
mod tests {
    use super::KeySource;

    #[test]
    fn requires_https_except_on_this_machine() {
        for url in [
            "https://login.example/keys",
            "https://login.example:8443/a?b=c",
            "http://localhost/keys",
            "http://LOCALHOST:9400/keys",
            "http://127.0.0.1:9400/keys",
            "http://127.1.2.3/keys",
            "http://[::1]:9400/keys",
        ] {
            assert!(KeySource::url(url).is_ok(), "{url}");
        }
        for url in [
            "",
            "keys.json",
            "/keys",
            "login.example/keys",
            "http://login.example/keys",
            "http://localhost.example/keys",
            "http://127.0.0.1.example/keys",
            "http://10.0.0.1/keys",
            "ftp://localhost/keys",
            "https://user:hunter2@login.example/keys",
            "http://localhost@login.example/keys",
        ] {
            let error = KeySource::url(url).unwrap_err().to_string();
            assert!(error.starts_with("invalid URL of a key set") && !error.contains("hunter2"), "{url}: {error}");
        }
    }
}
