use std::fmt;

use serde::{Serialize, Serializer};

/// The origin of a tag.
///
/// Headers and request bodies can only set tags of the scope [`Request`](Self::Request), and handlers usually set tags of the
/// scope [`Handler`](Self::Handler). All other scopes are [trusted](Self::is_trusted): only code sets them, through the
/// builder, a resolver, a [`Scopes`](super::Scopes) request extension, or [`Tags::extend_scope`](crate::Tags::extend_scope).
/// [`Precedence`](super::Precedence) decides which scope wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Scope {
    /// Defaults that every other scope overrides.
    Fallback,
    /// Tags that the client sent.
    Request,
    /// Tags that the service's own code set with [`Tags::insert`](crate::Tags::insert).
    Handler,
    /// Tags of the API key that the caller used.
    ApiKey,
    /// Tags of the workspace (tenant, organization) that the API key belongs to.
    Workspace,
    /// Tags that override every other scope.
    Forced,
}

impl Scope {
    /// All scopes in the order of [`Precedence::Strict`](super::Precedence::Strict), weakest first.
    pub const ALL: &'static [Self] =
        &[Self::Fallback, Self::Request, Self::Handler, Self::ApiKey, Self::Workspace, Self::Forced];

    /// Returns `true` for the scopes that only the service's configuration and authentication set.
    pub const fn is_trusted(self) -> bool {
        !matches!(self, Self::Request | Self::Handler)
    }

    /// Returns the name in serialized events, such as `api_key`.
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

#[cfg(test)]
mod tests {
    use super::Scope;

    #[test]
    fn all_scopes_are_listed_by_their_index() {
        let indices: Vec<usize> = Scope::ALL.iter().map(|scope| *scope as usize).collect();
        assert_eq!(indices, (0..Scope::ALL.len()).collect::<Vec<_>>());
        assert_eq!(Scope::ALL.last(), Some(&Scope::Forced));
    }
}
