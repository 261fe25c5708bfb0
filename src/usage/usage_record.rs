use std::sync::Arc;

use crate::text::cut_name;

use super::{ReportedCall, usage::Usage, usage_status::UsageStatus};

/// Usage that code records, with the model that used it; see [`Tags::record_usage`](crate::Tags::record_usage).
#[derive(Clone, Debug)]
pub struct UsageRecord {
    pub(super) usage: Usage,
    pub(super) provider: Option<String>,
    pub(super) model: Option<String>,
    /// The response that the usage was read from.
    pub(super) reported: Option<Arc<ReportedCall>>,
}

impl PartialEq for UsageRecord {
    /// Compares the usage and who used it, but not where it was read from.
    fn eq(&self, other: &Self) -> bool {
        (&self.usage, &self.provider, &self.model) == (&other.usage, &other.provider, &other.model)
    }
}

impl Eq for UsageRecord {}

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
        let (provider, model) = (Some(cut_name(provider.into())), Some(cut_name(model.into())));
        UsageRecord { usage: self, provider, model, reported: None }
    }
}

impl UsageRecord {
    /// Sets the model, for responses that do not name one, such as those of Bedrock.
    ///
    /// A model that the response names is kept. The name is truncated to 256 characters.
    #[must_use]
    pub fn or_model(mut self, model: impl Into<String>) -> Self {
        self.model = self.model.or_else(|| Some(cut_name(model.into())));
        self
    }

    /// Returns where the usage comes from, and whether it is complete.
    ///
    /// [`Recorded`](UsageStatus::Recorded), unless it was read from a response that reports no usage, or a part of it.
    pub fn status(&self) -> UsageStatus {
        match self.reported.as_ref().map(|reported| reported.call().usage_status) {
            None | Some(UsageStatus::Reported) => UsageStatus::Recorded,
            Some(status) => status,
        }
    }

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
        Self { usage, provider: None, model: None, reported: None }
    }
}
