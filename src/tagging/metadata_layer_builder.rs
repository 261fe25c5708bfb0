use std::{fmt, sync::Arc};

use http::request::Parts;

use crate::{
    config_error::{ConfigError, ConfigProblems, env_var},
    metadata::{Limits, Metadata, ParsePrecedenceError, Precedence, Scope, Scopes},
    request::TagRules,
    sources::{StripHeaders, TagSources},
};

use super::metadata_layer::{MetadataLayer, Resolver};

/// Builds a [`MetadataLayer`].
///
/// The default reads no headers, sets no tags, and has the default [`Limits`] and [`Precedence`].
#[derive(Clone, Default)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct MetadataLayerBuilder {
    sources: TagSources,
    strip: StripHeaders,
    limits: Limits,
    precedence: Precedence,
    scopes: Scopes,
    resolver: Option<Resolver>,
    inherits: bool,
    problems: ConfigProblems,
}

impl fmt::Debug for MetadataLayerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetadataLayerBuilder").field("sources", &self.sources).finish_non_exhaustive()
    }
}

impl MetadataLayer {
    /// Creates a builder.
    pub fn builder() -> MetadataLayerBuilder {
        MetadataLayerBuilder::default()
    }

    /// Creates a layer around a client that only inherits tags.
    #[cfg(feature = "propagate")]
    pub(super) fn inheriting() -> Self {
        let rules = TagRules::new(TagSources::new(), Limits::default(), Precedence::default(), Scopes::new());
        Self { rules, strip: StripHeaders::default(), resolver: None, inherits: true }
    }
}

impl MetadataLayerBuilder {
    /// Sets the headers that become tags.
    pub fn sources(mut self, sources: TagSources) -> Self {
        self.sources = sources;
        self
    }

    /// Sets the headers that are removed after they were read, before the service sees the request.
    pub fn strip_headers(mut self, strip: StripHeaders) -> Self {
        self.strip = strip;
        self
    }

    /// Sets the limits on the length and number of tags.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the precedence of scopes that set the same key.
    pub fn precedence(mut self, precedence: Precedence) -> Self {
        self.precedence = precedence;
        self
    }

    /// Adds tags to a scope of every request, replacing existing values of the same keys.
    pub fn scope(mut self, scope: Scope, metadata: Metadata) -> Self {
        self.scopes.add(scope, metadata);
        self
    }

    /// Sets a closure that returns the trusted tags of a request, for example by its API key.
    ///
    /// It is called once per request, before the service, on the task that serves the request. It should look things up in
    /// memory. Do slow work in an outer layer that inserts [`Scopes`] into the request extensions instead. Cloning a
    /// [`Metadata`] that is kept in memory is cheap. Within the closure, `Tags::current()` is this request, which has no tags
    /// yet. Tags that exceed the limits are truncated or dropped, with a diagnostic.
    pub fn resolver(mut self, resolver: impl Fn(&Parts) -> Scopes + Send + Sync + 'static) -> Self {
        self.resolver = Some(Arc::new(resolver));
        self
    }

    /// Inherits the effective tags and the trace of the request that makes the call.
    ///
    /// That request is [`Tags::current`](crate::Tags::current). Each tag keeps the scope that set it. The call becomes a child
    /// span of the current [`Step`](crate::Step), or else of the request, unless it has a `traceparent` of another trace.
    ///
    /// Use this for a layer around a client, so that its events carry the tags of the inbound request. Tags that a resolver
    /// or an outer layer sets for the call itself take precedence, key by key.
    pub fn inherit_tags(mut self) -> Self {
        self.inherits = true;
        self
    }

    /// Sets the sources and the precedence from environment variables.
    ///
    /// The sources become those of [`TagSources::from_env`]. The precedence becomes that of `METADATA_PRECEDENCE` (`strict`
    /// or `legacy`) if that variable is set. [`build`](Self::build) reports invalid variables.
    pub fn with_env(mut self) -> Self {
        self.sources = TagSources::from_env();
        if let Some(Some(precedence)) = self.problems.take(precedence_from_env()) {
            self.precedence = precedence;
        }
        self
    }

    /// Builds the layer.
    ///
    /// # Errors
    ///
    /// Returns an error if an environment variable is invalid, if the [sources](Self::sources) are not
    /// [valid](TagSources::check), or if the tags of a [`scope`](Self::scope) exceed the limits.
    pub fn build(self) -> Result<MetadataLayer, ConfigError> {
        let Self { sources, strip, limits, precedence, scopes, resolver, inherits, mut problems } = self;
        problems.take(sources.check());
        for scope in Scope::ALL {
            if let Err(problem) = limits.check(scopes.get(*scope)) {
                let message = format!("tags of scope {scope} exceed the limits, which `Limits` can raise: {problem}");
                problems.push(ConfigError::new(message));
            }
        }
        problems.into_result()?;
        Ok(MetadataLayer { rules: TagRules::new(sources, limits, precedence, scopes), strip, resolver, inherits })
    }
}

fn precedence_from_env() -> Result<Option<Precedence>, ConfigError> {
    const VARIABLE: &str = "METADATA_PRECEDENCE";
    let Some(word) = env_var(VARIABLE)? else { return Ok(None) };
    let precedence = word
        .parse()
        .map_err(|error: ParsePrecedenceError| ConfigError::new(error.to_string()).in_variable(VARIABLE))?;
    Ok(Some(precedence))
}
