//! The screening of trusted tags.

use std::borrow::Cow;

use crate::metadata::{Metadata, Scope, Scopes};

use super::screening::Screening;

impl Screening {
    /// Screens the values of all tags.
    pub(crate) fn screen_scopes(&self, mut scopes: Scopes) -> Scopes {
        if self.is_off() {
            return scopes;
        }
        for scope in Scope::ALL {
            let screened = self.screen_metadata(scopes.get(*scope));
            if let Some(screened) = screened {
                scopes.replace(*scope, screened);
            }
        }
        scopes
    }

    /// Returns the tags with other values, or `None` if nothing changes.
    fn screen_metadata(&self, tags: &Metadata) -> Option<Metadata> {
        let changed = |(key, value)| match self.screen_tag(key, value).0 {
            Some(Cow::Borrowed(_)) => None,
            Some(Cow::Owned(value)) => Some((key, Some(value))),
            None => Some((key, None)),
        };
        let changes: Vec<(&str, Option<String>)> = tags.iter().filter_map(changed).collect();
        if changes.is_empty() {
            return None;
        }
        let mut screened = tags.clone();
        for (key, value) in changes {
            match value {
                Some(value) => screened.insert(key, value),
                None => _ = screened.remove(key),
            }
        }
        Some(screened)
    }
}
