use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, header::Entry, request::Parts};

use crate::ConfigError;

#[cfg(feature = "schema")]
use super::coverage::TagCoverage;
#[cfg(feature = "jwt")]
use super::jwt::JwtVerifier;
#[cfg(feature = "analytics")]
use super::keys::SecretDigest;
use super::{
    access::ErrorStyle,
    build::build,
    config::{self, ConfigFormat, ConfigProblem},
    principal::Principal,
    problem::Problems,
    registry_builder::RegistryBuilder,
    registry_report::RegistryReport,
    registry_status::RegistryStatus,
    shared::Shared,
    snapshot::{KeyHeader, Snapshot},
    source::{Source, load_file, read_file},
    virtual_keys::VirtualKeyStatus,
    watcher,
};

/// The API keys, workspaces, and virtual keys of a service.
///
/// See the [module](crate::registry) for its sources. Clones are handles of the same registry.
#[derive(Clone)]
pub struct Registry {
    shared: Arc<Shared>,
}

impl Registry {
    /// Creates a builder.
    pub fn builder() -> RegistryBuilder {
        RegistryBuilder::default()
    }

    /// Loads a configuration file: JSON if its extension is `json`, and TOML otherwise.
    ///
    /// Relative paths in the file start at its folder.
    ///
    /// # Errors
    ///
    /// Returns every problem of the file, with line and column.
    pub fn from_file(path: impl Into<PathBuf>) -> Result<Self, ConfigError> {
        let path = path.into();
        let snapshot = load_file(&path, None)?;
        Ok(Self::with(snapshot, Source::File(path)))
    }

    /// Loads a configuration in TOML.
    ///
    /// # Errors
    ///
    /// Returns every problem of the text, with line and column.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        Ok(Self::with(config::load(text, ConfigFormat::Toml, None, None)?, Source::Code))
    }

    /// Loads a configuration in JSON, with the same keys as in TOML. Times are texts such as `"2027-06-30T00:00:00Z"`.
    ///
    /// # Errors
    ///
    /// Returns every problem of the text, with line and column.
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        Ok(Self::with(config::load(text, ConfigFormat::Json, None, None)?, Source::Code))
    }

    /// Returns every problem of a configuration, in the order of the text.
    pub fn check(text: &str, format: ConfigFormat) -> Vec<ConfigProblem> {
        config::check(text, format, None)
    }

    /// Returns every problem of a configuration file, in the order of its text.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read.
    pub fn check_file(path: impl AsRef<Path>) -> Result<Vec<ConfigProblem>, ConfigError> {
        let path = path.as_ref().to_owned();
        Ok(config::check(&read_file(&path)?, ConfigFormat::of(&path), Some(&path)))
    }

    fn with(snapshot: Snapshot, source: Source) -> Self {
        Self::from(Shared::new(snapshot, source))
    }

    /// Identifies the caller of a request. Takes no lock and does not allocate.
    pub fn principal(&self, head: &Parts) -> Principal {
        self.principal_at(head, SystemTime::now())
    }

    /// Identifies the caller of a request at a time, which decides about keys that expire.
    pub fn principal_at(&self, head: &Parts, now: SystemTime) -> Principal {
        Principal::new(self.shared.current(), head, now)
    }

    /// Returns the digest of a secret of the key with this name, with which [`principal_of`](Self::principal_of) identifies
    /// the caller again.
    #[cfg(feature = "dashboard")]
    pub(crate) fn find_secret(&self, name: &str, is_wanted: impl Fn(&SecretDigest) -> bool) -> Option<SecretDigest> {
        let snapshot = self.shared.current();
        let key = snapshot.keys.binary_search_by(|key| (*key.name).cmp(name)).ok()?;
        snapshot.secrets.of_key(key).map(|secret| secret.digest).find(is_wanted)
    }

    /// Returns the digest of the known key of a request, with which [`principal_of`](Self::principal_of) identifies the caller
    /// again.
    #[cfg(feature = "analytics")]
    pub(crate) fn key_digest(&self, head: &Parts) -> Option<SecretDigest> {
        self.shared.current().find_key(&head.headers).map(|found| found.secret.digest)
    }

    /// Identifies the caller with a key at a time.
    #[cfg(feature = "analytics")]
    pub(crate) fn principal_of(&self, digest: &SecretDigest, now: SystemTime) -> Principal {
        Principal::of_digest(self.shared.current(), digest, now)
    }

    /// Removes every value that is a known key, or a token of an issuer of the registry, from the headers for credentials,
    /// before a proxy forwards a request. Keys are known if they are now, or were when the caller was identified: the
    /// extensions of the request must still have its [`Principal`].
    ///
    /// Headers for credentials are the headers in which keys are looked for, and those whose name contains `auth`, `key`,
    /// `token`, `secret`, `credential`, or `password`. Keys that have expired or are disabled are known, too. All other
    /// values stay as they were received.
    pub fn strip_credentials(&self, head: &mut Parts) {
        let current = self.shared.current();
        let identified_by = head.extensions.get::<Principal>().map(Principal::snapshot);
        if let Some(snapshot) = identified_by.filter(|snapshot| !std::ptr::eq(*snapshot, current.as_ref())) {
            snapshot.strip_keys(&mut head.headers);
        }
        current.strip_keys(&mut head.headers);
    }

    /// Marks the values of headers for keys as sensitive, so that they do not become tags, and are not written to logs.
    pub(crate) fn mark_key_headers(&self, headers: &mut HeaderMap) {
        for KeyHeader { name, .. } in &self.shared.current().access.key_headers {
            if headers.contains_key(name)
                && let Entry::Occupied(mut values) = headers.entry(name)
            {
                values.iter_mut().for_each(|value| value.set_sensitive(true));
            }
        }
    }

    /// Returns `true` if a text is a known key, also if it has expired or is disabled.
    pub fn knows_key(&self, key: &str) -> bool {
        self.shared.current().secrets.find(key).is_some()
    }

    /// Returns the form of answers to refused requests, for other layers that refuse requests.
    pub fn error_style(&self) -> ErrorStyle {
        self.shared.current().access.errors
    }

    /// Loads the source again.
    ///
    /// A file is loaded before this returns. The tables of a database are read soon after.
    ///
    /// # Errors
    ///
    /// Returns every problem of the file, or the error of a [check](Self::also_check). The previous state then stays in force. A
    /// registry from code returns an error: use [`replace`](Self::replace).
    pub fn reload(&self) -> Result<(), ConfigError> {
        watcher::reload(&self.shared)
    }

    /// Replaces the state by a definition from code.
    ///
    /// # Errors
    ///
    /// Returns every problem of the definition. The previous state then stays in force.
    pub fn replace(&self, definition: RegistryBuilder) -> Result<(), ConfigError> {
        self.shared.update(|previous| snapshot_of(definition, Some(previous)))
    }

    /// Looks for changes of the file at an interval, on a thread that ends with the last handle of the registry.
    ///
    /// The contents are compared, including those of the files with the secrets of virtual keys. A broken file leaves the
    /// previous state in force. The reason is in [`status`](Self::status), and is logged once.
    ///
    /// # Errors
    ///
    /// Returns an error if the registry is not from a file, or if the thread cannot be started.
    pub fn watch(&self, interval: Duration) -> Result<(), ConfigError> {
        watcher::watch(&self.shared, interval)
    }

    /// Adds a condition that the file must meet before it is loaded again, such as the validity of the sections that the
    /// registry does not read. If it fails or panics, the previous state stays in force, as if the registry's own sections were
    /// broken. The check must not hold a handle of this registry, which would never be dropped.
    pub fn also_check<E: fmt::Display>(&self, check: impl Fn(&Path) -> Result<(), E> + Send + Sync + 'static) {
        self.shared.add_check(move |path| check(path).map_err(|error| ConfigError::new(error.to_string())));
    }

    /// Returns the source, and how current the state is.
    pub fn status(&self) -> RegistryStatus {
        self.shared.status(SystemTime::now())
    }

    /// Screens a text that belongs to no tag.
    pub(crate) fn screened<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.shared.current().screening.screen(text)
    }

    /// Returns the coverage of every tag that a contract names, ordered by key.
    ///
    /// Requests are counted when a sink reads or drops their events, so the counts are complete after the
    /// [shutdown](crate::sink::Delivery::shutdown) of the delivery. They continue when the registry is reloaded.
    #[cfg(feature = "schema")]
    pub fn coverage(&self) -> Vec<TagCoverage> {
        self.shared.current().coverage.report()
    }

    /// Returns the counts of all callers.
    pub fn report(&self) -> RegistryReport {
        let snapshot = self.shared.current();
        let keys = snapshot.keys.iter().map(|key| (key.name.to_string(), key.rules.counters.read()));
        let workspaces = snapshot.workspaces.iter();
        let workspaces = workspaces.map(|workspace| (workspace.slug.to_string(), workspace.counters.read()));
        let screened = snapshot.screening.counts().into_iter();
        RegistryReport {
            keys: keys.collect(),
            workspaces: workspaces.collect(),
            screened: screened.map(|(kind, count)| (kind.as_str().to_owned(), count)).collect(),
            screened_tags: snapshot.screening.tag_counts().into_iter().collect(),
            anonymous: snapshot.anonymous.counters.read(),
        }
    }

    /// Returns the sections of the file that the registry does not read, such as `limits`.
    pub fn ignored_sections(&self) -> Vec<String> {
        self.shared.current().ignored_sections.iter().cloned().collect()
    }

    /// Sets the status of a virtual key, until it is set again. Returns `false` if no virtual key has the slug.
    ///
    /// The status stays when the registry is reloaded.
    pub fn set_virtual_key_status(&self, slug: &str, status: VirtualKeyStatus) -> bool {
        let snapshot = self.shared.current();
        snapshot.virtual_key(slug).map(|key| key.set_status(status)).is_some()
    }

    /// Returns the status of every virtual key at a time, by its slug.
    pub fn virtual_key_statuses(&self, now: SystemTime) -> BTreeMap<String, VirtualKeyStatus> {
        let snapshot = self.shared.current();
        snapshot.virtual_keys.iter().map(|key| (key.slug.clone(), key.status_at(now))).collect()
    }

    /// Returns the state, for the lists of the admin API.
    #[cfg(feature = "analytics")]
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.shared.current()
    }

    /// Returns the verifier of tokens, for its [status](JwtVerifier::status).
    #[cfg(feature = "jwt")]
    pub fn jwt_verifier(&self) -> Option<JwtVerifier> {
        self.shared.current().tokens.as_ref().map(|tokens| tokens.verifier.clone())
    }
}

impl From<Arc<Shared>> for Registry {
    fn from(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

impl RegistryBuilder {
    /// Builds the registry.
    ///
    /// # Errors
    ///
    /// Returns every problem, each with its place: `api_keys.web.workspace: unknown workspace "acmee"`.
    pub fn build(self) -> Result<Registry, ConfigError> {
        Ok(Registry::with(snapshot_of(self, None)?, Source::Code))
    }
}

/// Validates a definition from code.
fn snapshot_of(definition: RegistryBuilder, previous: Option<&Snapshot>) -> Result<Snapshot, ConfigError> {
    let mut problems = Problems::default();
    let snapshot = build(definition, previous, &mut problems);
    problems.into_result().map(|()| snapshot)
}

impl fmt::Debug for Registry {
    /// Writes the status. Keys, digests, and credentials are not part of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("status", &self.status()).finish_non_exhaustive()
    }
}
