use std::borrow::Cow;

use super::{screening_builder::ScreeningBuilder, screening_kind::ScreeningKind};

/// Recognizes secrets and personal data in tags and other short texts. A clone shares its counts.
#[derive(Clone, Debug, Default)]
pub struct Screening {}

impl Screening {
    /// Creates a builder.
    pub fn builder() -> ScreeningBuilder {
        ScreeningBuilder::default()
    }

    /// Returns `true` if nothing is looked for.
    pub fn is_off(&self) -> bool {
        true
    }

    /// Screens the value of a tag. Returns `None` if the tag is dropped, and the kinds that were recognized.
    pub fn screen_tag<'t>(&self, key: &str, value: &'t str) -> (Option<Cow<'t, str>>, Vec<ScreeningKind>) {
        let _ = key;
        (Some(Cow::Borrowed(value)), Vec::new())
    }

    /// Screens another text.
    pub fn screen<'t>(&self, text: &'t str) -> Cow<'t, str> {
        Cow::Borrowed(text)
    }

    /// Returns the number of recognized parts of each kind so far.
    pub fn counts(&self) -> Vec<(ScreeningKind, u64)> {
        Vec::new()
    }
}
