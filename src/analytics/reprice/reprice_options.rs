use jiff::Timestamp;

/// Changes to the requests, in addition to the prices.
///
/// ```
/// use tower_tagging::analytics::reprice::RepriceOptions;
///
/// let at_todays_rates_of_mini = RepriceOptions::new().model("openai", "gpt-4o-mini").at("2026-06-01T00:00:00Z".parse()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RepriceOptions {
    /// The provider and the model in place of those that answered. `None` keeps each request's own.
    pub model: Option<(String, String)>,
    /// The time at whose rates all requests are priced. `None` takes the time of each request.
    pub at: Option<Timestamp>,
}

impl RepriceOptions {
    /// Creates options that change nothing but the prices.
    pub fn new() -> Self {
        Self::default()
    }

    /// Prices all requests as calls of this model. The token counts stay the same.
    #[must_use]
    pub fn model(mut self, provider: impl Into<String>, model: impl Into<String>) -> Self {
        self.model = Some((provider.into(), model.into()));
        self
    }

    /// Prices all requests at the rates of this time.
    #[must_use]
    pub fn at(mut self, time: Timestamp) -> Self {
        self.at = Some(time);
        self
    }
}
