use std::str::FromStr;

use super::{parse_precedence_error::ParsePrecedenceError, scope::Scope};

/// The order of scopes that decides which value wins if several set the same key.
///
/// ```
/// use tower_tagging::metadata::Precedence;
///
/// assert_eq!("Legacy".parse(), Ok(Precedence::Legacy));
/// assert_eq!("loose".parse::<Precedence>().unwrap_err().to_string(), r#"invalid precedence "loose": expected "strict" or "legacy""#);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Precedence {
    /// `Fallback < Request < Handler < ApiKey < Workspace < Forced`: clients cannot override trusted tags.
    #[default]
    Strict,
    /// `Fallback < Workspace < ApiKey < Request < Handler < Forced`: clients override the tags of their key and workspace.
    ///
    /// No diagnostic is recorded when they do. Put every tag that you bill by into [`Scope::Forced`].
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
