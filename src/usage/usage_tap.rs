use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use http::{Response, Uri, request::Parts};

use super::{
    CatalogPrices, LlmEndpoint, PriceBook, background_calls::BackgroundCalls, provider::ProviderCatalog, tap::Tap, wire,
};

type DetectEndpoint = dyn Fn(&Parts) -> Option<LlmEndpoint> + Send + Sync;

/// Configures the reading and pricing of LLM calls. See the [module](super).
///
/// Clones share their counters.
#[derive(Clone)]
pub struct UsageTap {
    config: Arc<Config>,
    state: Arc<State>,
}

#[derive(Clone)]
struct Config {
    prices: Option<Arc<dyn PriceBook>>,
    detect: Option<Arc<DetectEndpoint>>,
    trusts_request: bool,
    rolls_up: bool,
    upstream: Option<Uri>,
    max_value_bytes: usize,
}

/// The state that a tap and its clones share, for as long as none of them is reconfigured.
#[derive(Default)]
struct State {
    unpriced: AtomicU64,
    catalog: ProviderCatalog,
    background_calls: BackgroundCalls,
}

impl Default for UsageTap {
    fn default() -> Self {
        Self::new()
    }
}

impl UsageTap {
    /// Creates a tap with the prices of [`CatalogPrices::bundled`].
    ///
    /// It reads the calls that [`LlmEndpoint::detect`] recognizes.
    ///
    /// Decodes that catalog once per process, which takes some tens of milliseconds, so that no request has to wait for it.
    pub fn new() -> Self {
        // No request should have to wait for these either.
        wire::merged_tables();
        let config = Config {
            prices: Some(Arc::new(CatalogPrices::bundled())),
            detect: None,
            trusts_request: false,
            rolls_up: false,
            upstream: None,
            max_value_bytes: 64 * 1024,
        };
        Self { config: Arc::new(config), state: Arc::default() }
    }

    /// Sets the price book.
    #[must_use]
    pub fn prices(self, prices: impl PriceBook) -> Self {
        self.with(|config| config.prices = Some(Arc::new(prices)))
    }

    /// Disables pricing.
    #[must_use]
    pub fn without_prices(self) -> Self {
        self.with(|config| config.prices = None)
    }

    /// Sets a function that recognizes LLM calls on your own routes.
    ///
    /// It runs before [`LlmEndpoint::detect`], which decides when it returns `None`. It runs on the request path of every
    /// request, so it should only look at the head.
    #[must_use]
    pub fn endpoint(self, detect: impl Fn(&Parts) -> Option<LlmEndpoint> + Send + Sync + 'static) -> Self {
        self.with(|config| config.detect = Some(Arc::new(detect)))
    }

    /// Trusts the provider that a request names.
    ///
    /// A request names it by its host, or by the headers `x-portkey-provider` and `x-majordomo-provider`.
    ///
    /// Use this for layers around a client, whose requests are your own, and for gateways that route by those headers. By
    /// default, these clues are used only if there are no others, because the client of a server can write anything there and
    /// so choose what its calls cost.
    #[must_use]
    pub fn trust_request(self) -> Self {
        self.with(|config| config.trusts_request = true)
    }

    /// Adds what each call used and cost to the event of the request that makes the call.
    ///
    /// Use this for layers around a client, so that the event of an inbound request shows the cost of all calls that it made.
    /// That request is [`Tags::current`] at the start of the call. Calls count until the request is over, and each is priced
    /// on its own. Usage is read when the call ends, on the thread that ends it. A [`TaggedClient`](crate::client::TaggedClient)
    /// does this by default.
    ///
    /// The event shows a single call as the call's own event would, and several calls by [model](crate::usage::LlmCall::models).
    /// The [duration](crate::usage::LlmCall::duration) is the time spent waiting for them.
    ///
    /// The layer does not need a sink for that. With a sink or telemetry, each call also has its own event, so a sum over all
    /// events counts it twice. Failed calls that were not billed are left out. What a call whose response was dropped used is
    /// unknown, so the usage and the cost of the request are `partial`. The error of a call is not an error of the request.
    ///
    /// ```
    /// use tower_tagging::{TaggingLayer, usage::UsageTap};
    ///
    /// // Around the client that calls providers.
    /// let client_tagging = TaggingLayer::builder().usage(UsageTap::new().trust_request().roll_up()).build()?;
    /// # Ok::<(), tower_tagging::ConfigError>(())
    /// ```
    ///
    /// [`Tags::current`]: crate::Tags::current
    #[cfg(feature = "propagate")]
    #[must_use]
    pub fn roll_up(self) -> Self {
        self.with(|config| config.rolls_up = true)
    }

    /// Sets the address to which the service forwards all requests, for gateways with a single upstream.
    ///
    /// If the catalog has the address, its provider serves every call, whatever the client or the name of a model suggests. A
    /// path in the address is prepended to the paths of requests.
    #[must_use]
    pub fn upstream(self, address: Uri) -> Self {
        self.with(|config| config.upstream = Some(address))
    }

    /// Sets the maximum size of a JSON value that is held until it is complete.
    ///
    /// Such a value is the object of counts. The default is 64 KiB.
    ///
    /// A longer value makes the usage `unparsed`. Bodies and events may have any size; the [module](super) lists what else
    /// is kept in memory.
    #[must_use]
    pub fn max_value_bytes(self, bytes: usize) -> Self {
        self.with(|config| config.max_value_bytes = bytes)
    }

    /// Returns the number of calls whose usage had no price, or none for a part of it.
    ///
    /// Covers this tap and its clones. A call is counted by the [lazy step](crate::Event#the-lazy-step) of its event, so events
    /// that no sink reads are not counted.
    pub fn unpriced_total(&self) -> u64 {
        self.state.unpriced.load(Ordering::Relaxed)
    }

    /// Changes the configuration. The result shares nothing with earlier clones.
    fn with(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(Arc::make_mut(&mut self.config));
        self.state = Arc::default();
        self
    }

    pub(super) fn trusts_request(&self) -> bool {
        self.config.trusts_request
    }

    pub(super) fn upstream_address(&self) -> Option<&Uri> {
        self.config.upstream.as_ref()
    }

    /// Returns `true` if the cost of a call is added to the request that makes it.
    pub(crate) fn rolls_up(&self) -> bool {
        self.config.rolls_up
    }

    /// Returns `true` if the application recognizes calls on its own routes.
    pub(crate) fn has_hook(&self) -> bool {
        self.config.detect.is_some()
    }

    /// Returns `true` if both are clones of the same tap.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.state, &other.state)
    }

    /// Returns the call that a request makes, if it is one.
    pub(crate) fn detect(&self, head: &Parts) -> Option<LlmEndpoint> {
        let own = self.config.detect.as_ref().and_then(|detect| detect(head));
        own.or_else(|| LlmEndpoint::detect(head))
    }

    /// Creates the tap for a response. It takes `buffer` if it keeps the body.
    pub(crate) fn tap<B>(&self, endpoint: &LlmEndpoint, response: &Response<B>, buffer: &mut Vec<u8>) -> Tap {
        Tap::new(response.headers(), endpoint, self.config.max_value_bytes, buffer)
    }

    pub(super) fn catalog(&self) -> &ProviderCatalog {
        &self.state.catalog
    }

    pub(super) fn book(&self) -> Option<&dyn PriceBook> {
        self.config.prices.as_deref()
    }

    /// Returns `true` the first time that the usage of a background call with this id is reported.
    pub(super) fn is_first_report(&self, id: Option<&str>) -> bool {
        id.is_none_or(|id| self.state.background_calls.insert(id))
    }

    pub(super) fn count_unpriced(&self) {
        self.state.unpriced.fetch_add(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for UsageTap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UsageTap").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::UsageTap;

    #[test]
    fn clones_share_counters_until_one_is_changed() {
        let tap = UsageTap::new();
        let (same, changed) = (tap.clone(), tap.clone().max_value_bytes(1));
        tap.count_unpriced();
        assert_eq!([same.unpriced_total(), changed.unpriced_total()], [1, 0]);
        assert!(tap.is_same(&same) && !tap.is_same(&changed));
        assert_eq!(tap.config.max_value_bytes, 64 * 1024);
    }
}
