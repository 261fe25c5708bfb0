use std::borrow::Cow;

use http::HeaderName;

use crate::{headers::is_reserved, metadata::ConfigError};

/// How the keys of prefixed headers are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyCase {
    /// `x-majordomo-user-id` becomes `user-id`.
    #[default]
    Lower,
    /// `x-majordomo-user-id` becomes `User-Id`, as Majordomo stores it.
    Title,
}

impl KeyCase {
    /// Header names are lower case as the `http` crate keeps them.
    pub(super) fn apply(self, name: &str) -> Cow<'_, str> {
        match self {
            Self::Lower => Cow::Borrowed(name),
            Self::Title => {
                let mut at_start = true;
                let title = name.chars().map(|letter| {
                    let cased = if at_start { letter.to_ascii_uppercase() } else { letter };
                    at_start = letter == '-';
                    cased
                });
                Cow::Owned(title.collect())
            }
        }
    }
}

/// The beginning of header names that are tags, in lower case.
#[derive(Clone, Debug)]
pub(super) struct Prefix(Box<str>);

impl Prefix {
    pub(super) fn new(prefix: &str) -> Result<Self, ConfigError> {
        match HeaderName::from_bytes(prefix.trim().as_bytes()) {
            Ok(name) => Ok(Self(name.as_str().into())),
            Err(_) => Err(ConfigError::InvalidPrefix { prefix: prefix.to_owned(), variable: None }),
        }
    }

    /// A prefix that is known to be valid and in lower case.
    pub(super) fn known(prefix: &'static str) -> Self {
        Self(prefix.into())
    }

    pub(super) fn begins(&self, name: &str) -> bool {
        name.starts_with(&*self.0)
    }

    /// What follows the prefix in `name`, unless that is reserved.
    pub(super) fn rest_of<'n>(&self, name: &'n str) -> Option<&'n str> {
        name.strip_prefix(&*self.0).filter(|rest| !is_reserved(rest))
    }
}
