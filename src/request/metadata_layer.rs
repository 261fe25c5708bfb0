use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use http::{HeaderMap, request::Parts};

use crate::{
    config_error::{ConfigError, ConfigProblems, env_var},
    metadata::{Diagnostic, Diagnostics, Limits, Metadata, ParsePrecedenceError, Precedence, Scope, Scopes, TagWriter},
    sources::{Captured, StripHeaders, TagSources},
};

use super::Tags;

type Resolver = Arc<dyn Fn(&Parts) -> Scopes + Send + Sync>;

/// Layer that tags requests; see the [module](super).
///
/// A clone shares its configuration and its counts.
#[derive(Clone, Debug)]
pub struct MetadataLayer {
    config: Arc<Config>,
}

struct Config {
    sources: TagSources,
    strip: StripHeaders,
    limits: Limits,
    precedence: Precedence,
    scopes: Scopes,
    resolver: Option<Resolver>,
    #[cfg(feature = "propagate")]
    inherits: bool,
    shadowed: AtomicU64,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("sources", &self.sources)
            .field("limits", &self.limits)
            .field("precedence", &self.precedence)
            .field("scopes", &self.scopes)
            .field("resolver", &self.resolver.is_some())
            .finish_non_exhaustive()
    }
}

/// Builds a [`MetadataLayer`].
///
/// The default reads no header, has no scope, and the default [`Limits`] and [`Precedence`].
#[derive(Clone, Default)]
pub struct MetadataLayerBuilder {
    sources: TagSources,
    strip: StripHeaders,
    limits: Limits,
    precedence: Precedence,
    scopes: Scopes,
    resolver: Option<Resolver>,
    #[cfg(feature = "propagate")]
    inherits: bool,
}

impl fmt::Debug for MetadataLayerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetadataLayerBuilder").field("sources", &self.sources).finish_non_exhaustive()
    }
}

impl MetadataLayerBuilder {
    /// Which headers become tags.
    #[must_use]
    pub fn sources(mut self, sources: TagSources) -> Self {
        self.sources = sources;
        self
    }

    /// Which headers are removed once they are read, before the service sees the request.
    #[must_use]
    pub fn strip_headers(mut self, strip: StripHeaders) -> Self {
        self.strip = strip;
        self
    }

    /// How long and how many tags may be.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Which scope wins when several set the same key.
    #[must_use]
    pub fn precedence(mut self, precedence: Precedence) -> Self {
        self.precedence = precedence;
        self
    }

    /// Adds tags to a scope of every request; a key that the scope already has gets the new value.
    #[must_use]
    pub fn scope(mut self, scope: Scope, metadata: Metadata) -> Self {
        self.scopes.add(scope, metadata);
        self
    }

    /// Asks a closure for the scopes of each request, for example by its API key.
    ///
    /// It is called once for each request, before the service, on the task that serves the request: look things up in
    /// memory, or do slow work in an outer layer that inserts [`Scopes`] into the request extensions. Maps that are kept and
    /// cloned are not copied. `Tags::current()` is this request there, which has no tags yet. What is over the limits is cut
    /// and noted like a client's tags.
    #[must_use]
    pub fn resolver(mut self, resolver: impl Fn(&Parts) -> Scopes + Send + Sync + 'static) -> Self {
        self.resolver = Some(Arc::new(resolver));
        self
    }

    /// Takes over the effective tags of the request that makes the call ([`Tags::current`](crate::Tags::current)), each in the
    /// scope that set it: for a layer around a client, whose events would not say on whose behalf they are otherwise.
    ///
    /// What a resolver or an outer layer says of the call itself comes over them, key by key.
    #[cfg(feature = "propagate")]
    #[must_use]
    pub fn inherit_tags(mut self) -> Self {
        self.inherits = true;
        self
    }

    /// Takes [`TagSources::from_env`] in place of the sources there is, and the precedence from `METADATA_PRECEDENCE` (`strict`
    /// or `legacy`) when it is set.
    ///
    /// # Errors
    /// [`ConfigError`] naming the variable and what is wrong with it.
    pub fn from_env(mut self) -> Result<Self, ConfigError> {
        self.sources = TagSources::from_env();
        if let Some(word) = env_var("METADATA_PRECEDENCE")? {
            self.precedence = word.parse().map_err(|error: ParsePrecedenceError| {
                ConfigError::new(error.to_string()).in_variable("METADATA_PRECEDENCE")
            })?;
        }
        Ok(self)
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// Returns an error if the [sources](Self::sources) are not [valid](TagSources::check), or if tags given to
    /// [`scope`](Self::scope) exceed the limits.
    pub fn build(self) -> Result<MetadataLayer, ConfigError> {
        let mut problems = ConfigProblems::default();
        problems.take(self.sources.check());
        for scope in Scope::ALL {
            if let Err(problem) = self.limits.check(self.scopes.get(*scope)) {
                let message = format!("tags of scope {scope} exceed the limits, which `Limits` can raise: {problem}");
                problems.push(ConfigError::new(message));
            }
        }
        problems.into_result()?;
        let config = Config {
            sources: self.sources,
            strip: self.strip,
            limits: self.limits,
            precedence: self.precedence,
            scopes: self.scopes,
            resolver: self.resolver,
            #[cfg(feature = "propagate")]
            inherits: self.inherits,
            shadowed: AtomicU64::new(0),
        };
        Ok(MetadataLayer { config: Arc::new(config) })
    }
}

impl MetadataLayer {
    /// A builder with nothing switched on.
    pub fn builder() -> MetadataLayerBuilder {
        MetadataLayerBuilder::default()
    }

    /// How many of the requests' own tags were shadowed by trusted scopes, over all requests of this layer and its clones:
    /// counted when a sink reads the event or lets go of it, or when the request came where no
    /// [`EventLayer`](crate::EventLayer) is around this one.
    pub fn shadowed_total(&self) -> u64 {
        self.config.shadowed.load(Ordering::Relaxed)
    }

    pub(crate) fn count_shadowed(&self, tags: usize) {
        if tags > 0 {
            self.config.shadowed.fetch_add(tags as u64, Ordering::Relaxed);
        }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.config.limits
    }

    pub(crate) fn precedence(&self) -> Precedence {
        self.config.precedence
    }

    /// Removes what the service is not to see.
    pub(crate) fn strip(&self, headers: &mut HeaderMap) {
        self.config.sources.strip(self.config.strip, headers);
    }

    pub(crate) fn has_resolver(&self) -> bool {
        self.config.resolver.is_some()
    }

    /// The tags of the request that makes this one, if they are taken over. `existing` are those that it has already.
    #[cfg(feature = "propagate")]
    pub(crate) fn inherited(&self, existing: Option<&Tags>) -> Option<Scopes> {
        let tags = self.config.inherits.then(Tags::current)??;
        // A layer around the same request read them.
        let is_other = existing.is_none_or(|existing| !existing.is_of_same_request(&tags));
        is_other.then(|| tags.scopes())
    }

    #[cfg(not(feature = "propagate"))]
    #[allow(clippy::unused_self, reason = "it is there with the feature")]
    pub(crate) fn inherited(&self, _existing: Option<&Tags>) -> Option<Scopes> {
        None
    }

    /// The trusted scopes of a request: what is inherited, under what the resolver says, under what an outer layer inserted.
    /// Runs user code where there is a resolver.
    pub(crate) fn trusted(&self, head: &Parts, inherited: Option<Scopes>) -> Option<Scopes> {
        let resolved = self.config.resolver.as_ref().map(|resolver| resolver(head));
        let mut scopes = match (inherited, resolved) {
            (Some(mut inherited), Some(resolved)) => {
                inherited.add_all(&resolved);
                Some(inherited)
            }
            (inherited, resolved) => inherited.or(resolved),
        };
        if let Some(inserted) = head.extensions.get::<Scopes>() {
            match &mut scopes {
                Some(scopes) => scopes.add_all(inserted),
                None => scopes = Some(inserted.clone()),
            }
        }
        scopes
    }

    /// Whether a request may be rejected for its tags, so that they have to be read before it goes on.
    pub(super) fn may_reject(&self) -> bool {
        self.config.sources.is_strict() || self.config.limits.rejects()
    }

    /// Whether it is a clone of the other.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.config, &other.config)
    }

    /// Whether scopes that were set when the layer was built may shadow what a request says.
    pub(super) fn has_trusted(&self) -> bool {
        self.config.scopes.has_trusted()
    }

    /// Keeps the headers that become tags.
    pub(super) fn capture(&self, headers: &HeaderMap, captured: &mut Captured) {
        self.config.sources.capture(headers, captured);
    }

    /// Fills the scopes of a request: request tags out of headers that were kept, the static maps, and what is trusted of this
    /// request. Gives the reason when the request is to be rejected.
    pub(super) fn read(
        &self,
        captured: &Captured,
        trusted: Option<&Scopes>,
        scopes: &mut Scopes,
        diagnostics: &mut Diagnostics,
    ) -> Option<Diagnostic<'static>> {
        let Config { sources, limits, .. } = &*self.config;
        let mut tags = TagWriter::new(scopes.get_mut(Scope::Request), limits, diagnostics);
        sources.read(captured, &mut tags);
        let rejection = tags.into_rejection();
        scopes.add_all(&self.config.scopes);
        for scope in Scope::ALL.iter().copied() {
            if let Some(metadata) = trusted.map(|trusted| trusted.get(scope)).filter(|metadata| !metadata.is_empty()) {
                limits.add_within(scopes, scope, metadata.clone(), diagnostics);
            }
        }
        rejection
    }
}
