use std::str::FromStr;

use super::{parse_precedence_error::ParsePrecedenceError, scope::Scope};

/// The order of scopes that decides which value wins if several set the same key.
///
/// ```
/// use tower_tagging::metadata::Precedence;
///
/// assert_eq!("Legacy".parse(), Ok(Precedence::Legacy));
/// let error = "loose".parse::<Precedence>().unwrap_err();
/// assert_eq!(error.to_string(), r#"invalid precedence "loose": expected "strict" or "legacy""#);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Precedence {
    /// Trusted tags override those of clients.
    ///
    /// The order is `Fallback < Request < Handler < ApiKey < Workspace < Forced`.
    #[default]
    Strict,
    /// Clients override the tags of their API key and workspace.
    ///
    /// The order is `Fallback < Workspace < ApiKey < Request < Handler < Forced`. No diagnostic is recorded when a client
    /// overrides a tag. Put every tag that you bill by into [`Scope::Forced`].
    Legacy,
}

impl Precedence {
    /// Returns the scopes from the strongest to the weakest.
    pub const fn strongest_first(self) -> &'static [Scope] {
        match self {
            Self::Strict => {
                &[Scope::Forced, Scope::Workspace, Scope::ApiKey, Scope::Handler, Scope::Request, Scope::Fallback]
            }
            Self::Legacy => {
                &[Scope::Forced, Scope::Handler, Scope::Request, Scope::ApiKey, Scope::Workspace, Scope::Fallback]
            }
        }
    }
}

impl FromStr for Precedence {
    type Err = ParsePrecedenceError;

    /// Parses `strict` or `legacy`, ignoring case and surrounding white space.
    ///
    /// # Errors
    ///
    /// Returns an error for any other text.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim() {
            word if word.eq_ignore_ascii_case("strict") => Ok(Self::Strict),
            word if word.eq_ignore_ascii_case("legacy") => Ok(Self::Legacy),
            word => Err(ParsePrecedenceError::new(word)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Precedence, Scope};

    #[test]
    fn every_precedence_orders_every_scope_once() {
        for precedence in [Precedence::Strict, Precedence::Legacy] {
            let mut order = precedence.strongest_first().to_vec();
            order.sort_by_key(|scope| *scope as u8);
            assert_eq!(order, Scope::ALL);
        }
        assert!(Precedence::Strict.strongest_first().iter().rev().eq(Scope::ALL));
    }
}
