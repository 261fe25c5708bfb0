use std::sync::{Arc, atomic::AtomicU8};

use http::Uri;

use super::{
    super::{
        problem::Problems,
        snapshot::Snapshot,
        virtual_keys::{SecretSource, VirtualKey},
    },
    names,
    workspaces::{self, CheckedWorkspace},
};

/// Returns the virtual keys with their secrets, sorted by slug.
pub(super) fn check(
    mut keys: Vec<VirtualKey>,
    workspaces: &[CheckedWorkspace],
    previous: Option<&Snapshot>,
    problems: &mut Problems,
) -> Vec<VirtualKey> {
    keys.sort_by(|one, other| one.slug.cmp(&other.slug));
    names::check("virtual_keys", &keys, |key| &key.slug, problems);
    for key in &mut keys {
        check_one(key, workspaces, problems);
        let state = previous.and_then(|previous| Some(previous.virtual_key(&key.slug)?.state.clone()));
        key.state = state.unwrap_or_else(|| Arc::new(AtomicU8::default()));
    }
    keys
}

fn check_one(key: &mut VirtualKey, workspaces: &[CheckedWorkspace], problems: &mut Problems) {
    let section = ["virtual_keys", &key.slug];
    if key.provider.trim().is_empty() {
        problems.add(&[&section[..], &["provider"]].concat(), "expected the name of a provider, such as \"openai\"");
    }
    if let Err(message) = check_url(&key.base_url) {
        problems.add(&[&section[..], &["base_url"]].concat(), message);
    }
    for (at, slug) in key.workspaces.iter().enumerate() {
        if let Err(message) = workspaces::find(workspaces, slug) {
            problems.add(&[&section[..], &["workspaces", &at.to_string()]].concat(), message);
        }
    }
    let name = match &key.source {
        Some(SecretSource::File(_)) => "secret_file",
        _ => "secret_env",
    };
    let secret = key.source.as_ref().ok_or_else(|| "expected a secret (`secret_env` or `secret_file`)".to_owned());
    match secret.and_then(SecretSource::read) {
        Ok(secret) => key.source = Some(SecretSource::Given(secret)),
        Err(message) => problems.add(&[&section[..], &[name]].concat(), message),
    }
}

/// Checks the URL of a provider. The message does not quote it, because it may contain a secret by mistake.
fn check_url(url: &str) -> Result<(), &'static str> {
    const EXPECTED: &str = "expected an http or https URL, such as \"https://api.openai.com\"";
    if url.contains('#') {
        return Err("expected a URL without a fragment (`#`)");
    }
    let uri: Uri = url.parse().map_err(|_| EXPECTED)?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(EXPECTED);
    }
    let authority = uri.authority().ok_or(EXPECTED)?;
    if authority.as_str().contains('@') {
        Err("expected a URL without credentials: use `secret_env` or `secret_file`")
    } else if authority.host().is_empty() {
        Err(EXPECTED)
    } else if uri.query().is_some() {
        Err("expected a URL without a query (`?`)")
    } else {
        Ok(())
    }
}
