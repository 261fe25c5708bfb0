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
            let mut tags = scopes.get(*scope).clone();
            self.screen_metadata(&mut tags);
            scopes.replace(*scope, tags);
        }
        scopes
    }

    /// Screens the values of tags.
    pub(crate) fn screen_metadata(&self, tags: &mut Metadata) {
        if self.is_off() {
            return;
        }
        let changed = |(key, value)| match self.screen_tag(key, value).0 {
            Some(Cow::Borrowed(text)) if text == value => None,
            Some(text) => Some((String::from(key), Some(text.into_owned()))),
            None => Some((String::from(key), None)),
        };
        let changes: Vec<(String, Option<String>)> = tags.iter().filter_map(changed).collect();
        for (key, value) in changes {
            match value {
                Some(value) => tags.insert(key, value),
                None => _ = tags.remove(&key),
            }
        }
    }
}
