use crate::text::cut_name;

use super::usage::Usage;

/// Usage that code records, with the model that used it; see [`Tags::record_usage`](crate::Tags::record_usage).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRecord {
    pub(super) usage: Usage,
    pub(super) provider: Option<String>,
    pub(super) model: Option<String>,
}

impl Usage {
    /// Names the provider and the model that used it, so that it can be priced.
    ///
    /// The provider is its id in the price catalog, such as `openai`. Names are truncated to 256 characters.
    ///
    /// ```
    /// use tower_tagging::usage::Usage;
    ///
    /// let record = Usage::tokens(2_006, 300).of("openai", "gpt-4o");
    /// assert_eq!(record.model(), Some("gpt-4o"));
    /// ```
    #[must_use]
    pub fn of(self, provider: impl Into<String>, model: impl Into<String>) -> UsageRecord {
        UsageRecord { usage: self, provider: Some(cut_name(provider.into())), model: Some(cut_name(model.into())) }
    }
}

impl UsageRecord {
    /// Returns the token counts.
    pub fn usage(&self) -> &Usage {
        &self.usage
    }

    /// Returns the id of the provider in the price catalog.
    pub fn provider(&self) -> Option<&str> {
        self.provider.as_deref()
    }

    /// Returns the model.
    pub fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }
}

impl From<Usage> for UsageRecord {
    /// Converts usage without a known model. It cannot be priced.
    fn from(usage: Usage) -> Self {
        Self { usage, provider: None, model: None }
    }
}
