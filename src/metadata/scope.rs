use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};

use super::{Metadata, map::Iter};

/// Who set a tag.
///
/// Only [`Request`](Self::Request) can come from a header; the others come from code alone: the builder, a
/// resolver, a [`Scopes`] extension that an outer layer inserted, or [`Tags::extend_scope`](crate::Tags::extend_scope).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Scope {
    /// Defaults, under everything else.
    Fallback,
    /// What the client said, and what the handler added.
    Request,
    /// Tags that the service sets through [`Tags`](crate::Tags).
    Handler,
    /// What belongs to the API key that the caller used.
    ApiKey,
    /// What belongs to the workspace (tenant, organization) of that key.
    Workspace,
    /// Over everything else.
    Forced,
}

impl Scope {
    /// Every scope, in the order of [`Precedence::Strict`], weakest first.
    pub const ALL: [Self; 6] =
        [Self::Fallback, Self::Request, Self::Handler, Self::ApiKey, Self::Workspace, Self::Forced];

    /// Returns `true` for the scopes that neither the client nor the request's handler sets.
    pub const fn is_trusted(self) -> bool {
        !matches!(self, Self::Request | Self::Handler)
    }

    /// The name as it stands in a serialized event: `fallback`, `request`, `api_key`, `workspace` or `forced`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fallback => "fallback",
            Self::Request => "request",
            Self::Handler => "handler",
            Self::ApiKey => "api_key",
            Self::Workspace => "workspace",
            Self::Forced => "forced",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Which scope wins when several set the same key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Precedence {
    /// `Fallback < Request < ApiKey < Workspace < Forced`: a client can't override what is trusted.
    #[default]
    Strict,
    /// `Fallback < Workspace < ApiKey < Request < Forced`: the request wins, then the key, then the workspace. What a client
    /// overrides so is not noted; only `Forced` is safe from it.
    Legacy,
}

impl Precedence {
    /// The scopes from the strongest to the weakest.
    pub const fn strongest_first(self) -> [Scope; 6] {
        match self {
            Self::Strict => {
                [Scope::Forced, Scope::Workspace, Scope::ApiKey, Scope::Handler, Scope::Request, Scope::Fallback]
            }
            Self::Legacy => {
                [Scope::Forced, Scope::Handler, Scope::Request, Scope::ApiKey, Scope::Workspace, Scope::Fallback]
            }
        }
    }
}

impl FromStr for Precedence {
    type Err = ParsePrecedenceError;

    /// Reads `strict` or `legacy`, in any case.
    ///
    /// # Errors
    /// [`ParsePrecedenceError`] for any other word.
    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word.trim() {
            word if word.eq_ignore_ascii_case("strict") => Ok(Self::Strict),
            word if word.eq_ignore_ascii_case("legacy") => Ok(Self::Legacy),
            word => Err(ParsePrecedenceError(word.to_owned())),
        }
    }
}

/// A word that names no [`Precedence`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsePrecedenceError(String);

impl fmt::Display for ParsePrecedenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no precedence: use \"strict\" or \"legacy\"", self.0)
    }
}

impl std::error::Error for ParsePrecedenceError {}

/// One [`Metadata`] for each [`Scope`], before they are merged.
///
/// An authentication layer outside of the tagging layer hands its findings in as a request extension:
///
/// ```
/// use tower_tagging::{tags, metadata::{Scope, Scopes}};
///
/// let mut request = http::Request::new(());
/// request.extensions_mut().insert(
///     Scopes::new()
///         .with(Scope::Workspace, tags! { "tenant" => "acme" })
///         .with(Scope::ApiKey, tags! { "team" => "growth" }),
/// );
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes {
    maps: [Metadata; Scope::ALL.len()],
}

impl Scopes {
    /// No tags in any scope.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds tags to a scope; a key that the scope already has gets the new value.
    #[must_use]
    pub fn with(mut self, scope: Scope, metadata: Metadata) -> Self {
        self.add(scope, metadata);
        self
    }

    /// Adds tags to a scope; a key that the scope already has gets the new value.
    pub fn add(&mut self, scope: Scope, metadata: Metadata) {
        let map = self.get_mut(scope);
        if map.is_empty() {
            *map = metadata;
        } else {
            map.extend(&metadata);
        }
    }

    /// Adds all tags of all scopes of `other`.
    pub fn add_all(&mut self, other: &Self) {
        for scope in Scope::ALL {
            let metadata = other.get(scope);
            if !metadata.is_empty() {
                self.add(scope, metadata.clone());
            }
        }
    }

    /// The tags of one scope.
    #[allow(clippy::indexing_slicing, reason = "the array has one place for each scope")]
    pub fn get(&self, scope: Scope) -> &Metadata {
        &self.maps[scope as usize]
    }

    /// Whether any scope but the request's has tags.
    pub(crate) fn has_trusted(&self) -> bool {
        Scope::ALL.iter().any(|scope| scope.is_trusted() && !self.get(*scope).is_empty())
    }

    /// About the bytes that they take in memory.
    pub(crate) fn approximate_bytes(&self) -> usize {
        self.maps.iter().map(Metadata::approximate_bytes).sum()
    }

    #[allow(clippy::indexing_slicing, reason = "the array has one place for each scope")]
    pub(crate) fn get_mut(&mut self, scope: Scope) -> &mut Metadata {
        &mut self.maps[scope as usize]
    }

    /// The one merge: for every key, the value of the strongest scope that has it, and which scope that is.
    ///
    /// ```
    /// use tower_tagging::{tags, metadata::{Precedence, Scope, Scopes}};
    ///
    /// let scopes = Scopes::new()
    ///     .with(Scope::Request, tags! { "env" => "dev", "_user" => "ada" })
    ///     .with(Scope::Workspace, tags! { "env" => "prod" });
    /// let (effective, sources) = scopes.merge(Precedence::Strict);
    /// assert_eq!(effective, tags! { "_user" => "ada", "env" => "prod" });
    /// assert_eq!(sources, [Scope::Request, Scope::Workspace]);
    /// ```
    pub fn merge(&self, precedence: Precedence) -> (Metadata, Vec<Scope>) {
        let (mut effective, mut sources) = (Metadata::new(), Vec::new());
        self.merge_into(precedence, &mut effective, &mut sources);
        (effective, sources)
    }

    /// [`merge`](Self::merge) into buffers that are there already, and empty.
    pub(crate) fn merge_into(&self, precedence: Precedence, effective: &mut Metadata, sources: &mut Vec<Scope>) {
        let mut used = Scope::ALL.into_iter().filter(|scope| !self.get(*scope).is_empty());
        let (first, second) = (used.next(), used.next());
        let Some(first) = first else { return };
        if second.is_none() {
            *effective = self.get(first).clone();
            sources.resize(effective.len(), first);
            return;
        }
        // All maps are sorted, so one pass over their heads writes the result in order.
        let mut heads = precedence.strongest_first().map(|scope| {
            let tags = self.get(scope).iter();
            Head { scope, key: tags.peek_key(), tags }
        });
        let table = effective.open();
        loop {
            let mut winner: Option<(&Head<'_>, &str)> = None;
            for head in &heads {
                if let Some(key) = head.key
                    && winner.is_none_or(|(_, least)| key < least)
                {
                    winner = Some((head, key));
                }
            }
            let Some((winner, least)) = winner else { return };
            table.append_next(&winner.tags);
            sources.push(winner.scope);
            for head in &mut heads {
                if head.key == Some(least) {
                    head.tags.next();
                    head.key = head.tags.peek_key();
                }
            }
        }
    }
}

/// What is left of a scope in a merge.
struct Head<'a> {
    scope: Scope,
    tags: Iter<'a>,
    /// Of the next tag.
    key: Option<&'a str>,
}
