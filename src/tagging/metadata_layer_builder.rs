use std::{fmt, sync::Arc};

use http::request::Parts;

use crate::{
    metadata::{ConfigError, Limits, Metadata, ParsePrecedenceError, Precedence, Scope, Scopes, env_var},
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
    problem: Option<ConfigError>,
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

    /// Inherits the effective tags of the request that makes the call ([`Tags::current`](crate::Tags::current)), each in the
    /// scope that set it.
    ///
    /// Use this for a layer around a client, so that its events carry the tags of the inbound request. Tags that a resolver
    /// or an outer layer sets for the call itself take precedence, key by key.
    pub fn inherit_tags(mut self) -> Self {
        self.inherits = true;
        self
    }

    /// Reads the environment: replaces the sources with [`TagSources::from_env`], and sets the precedence from
    /// `METADATA_PRECEDENCE` (`strict` or `legacy`) if that variable is set. [`build`](Self::build) reports invalid variables.
    pub fn with_env(mut self) -> Self {
        match read_env() {
            Ok((sources, precedence)) => {
                self.sources = sources;
                self.precedence = precedence.unwrap_or(self.precedence);
            }
            Err(problem) => self.problem = Some(problem),
        }
        self
    }

    /// Builds the layer.
    ///
    /// # Errors
    /// [`ConfigError`] if an environment variable is invalid, or if the tags of a [`scope`](Self::scope) exceed the limits.
    pub fn build(self) -> Result<MetadataLayer, ConfigError> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        for scope in Scope::ALL {
            let check = self.limits.check(self.scopes.get(scope));
            check.map_err(|problem| ConfigError::OverLimit { scope, problem })?;
        }
        let rules = TagRules::new(self.sources, self.limits, self.precedence, self.scopes);
        Ok(MetadataLayer { rules, strip: self.strip, resolver: self.resolver, inherits: self.inherits })
    }
}

fn read_env() -> Result<(TagSources, Option<Precedence>), ConfigError> {
    const VARIABLE: &str = "METADATA_PRECEDENCE";
    let sources = TagSources::from_env()?;
    let Some(word) = env_var(VARIABLE)? else { return Ok((sources, None)) };
    let precedence = word.parse().map_err(|error: ParsePrecedenceError| ConfigError::InvalidVariable {
        variable: VARIABLE,
        reason: error.to_string(),
    })?;
    Ok((sources, Some(precedence)))
}
