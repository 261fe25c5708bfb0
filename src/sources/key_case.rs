use std::{borrow::Cow, str::FromStr};

use super::parse_key_case_error::ParseKeyCaseError;

/// The case of the keys of prefixed headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyCase {
    /// The header `x-majordomo-user-id` becomes the tag `user-id`.
    #[default]
    Lower,
    /// The header `x-majordomo-user-id` becomes the tag `User-Id`.
    Title,
}

impl KeyCase {
    /// Returns the key for the rest of a header name, which is in lowercase.
    pub(super) fn apply(self, rest: &str) -> Cow<'_, str> {
        match self {
            Self::Lower => Cow::Borrowed(rest),
            Self::Title => {
                let mut at_start = true;
                let title = rest.chars().map(|letter| {
                    let cased = if at_start { letter.to_ascii_uppercase() } else { letter };
                    at_start = letter == '-';
                    cased
                });
                Cow::Owned(title.collect())
            }
        }
    }
}

impl FromStr for KeyCase {
    type Err = ParseKeyCaseError;

    /// Parses `lower` or `title`, ignoring case and surrounding white space.
    ///
    /// # Errors
    ///
    /// Returns an error for any other text.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim() {
            word if word.eq_ignore_ascii_case("lower") => Ok(Self::Lower),
            word if word.eq_ignore_ascii_case("title") => Ok(Self::Title),
            word => Err(ParseKeyCaseError::new(word)),
        }
    }
}
