use std::{
    borrow::Cow,
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use genai_prices::{Calculator, PriceRequest};
use http::{Response, Uri, request::Parts};

use super::{CatalogPrices, LlmEndpoint, PriceBook, reading, tap::Tap};

type Detect = dyn Fn(&Parts) -> Option<LlmEndpoint> + Send + Sync;

/// What is read of LLM exchanges, and how it is priced; see the [module](super).
///
/// A clone shares the counts.
#[derive(Clone)]
pub struct UsageTap {
    config: Arc<Config>,
}

struct Config {
    prices: Option<Arc<dyn PriceBook>>,
    detect: Option<Arc<Detect>>,
    trusts_request: bool,
    rolls_up: bool,
    upstream: Option<Uri>,
    max_value_bytes: usize,
    unpriced: AtomicU64,
    providers_at: Answers,
    /// By the path of the request.
    providers_upstream: Answers,
    providers_of: Answers,
}

impl Default for UsageTap {
    fn default() -> Self {
        Self::new()
    }
}

impl UsageTap {
    /// Reads the exchanges that [`LlmEndpoint::detect`] knows and prices them by [`CatalogPrices::bundled`].
    ///
    /// Decodes that catalog, which takes some tens of milliseconds once in a process, so that no request waits for it.
    pub fn new() -> Self {
        // Makes ready what is made once, so that no request waits for it.
        reading::speaks_of_usage(b"");
        Self {
            config: Arc::new(Config {
                prices: Some(Arc::new(CatalogPrices::bundled())),
                detect: None,
                trusts_request: false,
                rolls_up: false,
                upstream: None,
                max_value_bytes: 64 * 1024,
                unpriced: AtomicU64::new(0),
                providers_at: Answers::default(),
                providers_upstream: Answers::default(),
                providers_of: Answers::default(),
            }),
        }
    }

    /// Prices by another book.
    #[must_use]
    pub fn prices(self, prices: impl PriceBook) -> Self {
        self.with(|config| config.prices = Some(Arc::new(prices)))
    }

    /// Prices nothing.
    #[must_use]
    pub fn without_prices(self) -> Self {
        self.with(|config| config.prices = None)
    }

    /// Names the exchange of a route of your own; asked before [`LlmEndpoint::detect`], which still decides where this says
    /// `None`. It runs on the request path for every request: look at the head, and nothing else.
    #[must_use]
    pub fn exchange(self, detect: impl Fn(&Parts) -> Option<LlmEndpoint> + Send + Sync + 'static) -> Self {
        self.with(|config| config.detect = Some(Arc::new(detect)))
    }

    /// Believes the request when it says who serves it: by its host, and by the headers `x-portkey-provider` and
    /// `x-majordomo-provider`.
    ///
    /// For layers around a client, whose requests are your own, and for gateways that route by those headers. A client of a
    /// server can write anything there, and choose what its calls cost: without this the request is asked only where nothing
    /// else tells.
    #[must_use]
    pub fn trust_request(self) -> Self {
        self.with(|config| config.trusts_request = true)
    }

    /// Records what each call used and cost on the event of the request that makes it too: of [`Tags::current`] when the call
    /// begins, until that request is over. For layers around a client, so that the event of an inbound request says what it
    /// cost altogether, priced as each call was.
    ///
    /// The layer needs no sink for that. With one, or with telemetry of its own, each call has an event too, and a sum over
    /// the events of both counts it twice. A call that failed and was not billed is left out; of one that was cancelled it is
    /// not known what it cost, so that the cost of the whole is `partial`. Usage is read when the call ends, on the thread that
    /// ends it.
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

    /// Says where the service forwards all requests to, for gateways with one upstream: where the catalog knows the address,
    /// that is who serves every exchange, whatever a client or the name of a model says.
    ///
    /// A path of the address stands before those of the requests.
    #[must_use]
    pub fn upstream(self, address: Uri) -> Self {
        self.with(|config| config.upstream = Some(address))
    }

    /// Longest value that is held back until it is complete, such as the object of counts: 64 KiB by default. A longer one
    /// makes the usage `unparsed`. Bodies and events may be of any size; the [module](super) says what else is kept.
    #[must_use]
    pub fn max_value_bytes(self, bytes: usize) -> Self {
        self.with(|config| config.max_value_bytes = bytes)
    }

    /// How many calls had usage and no price, or none for a part of it, over all requests of this tap and its clones: counted
    /// when the event is first [asked](crate::Event::llm) for its usage, so not for events that no sink looked into.
    pub fn unpriced_total(&self) -> u64 {
        self.config.unpriced.load(Ordering::Relaxed)
    }

    fn with(self, change: impl FnOnce(&mut Config)) -> Self {
        let old = &*self.config;
        let mut config = Config {
            prices: old.prices.clone(),
            detect: old.detect.clone(),
            trusts_request: old.trusts_request,
            rolls_up: old.rolls_up,
            upstream: old.upstream.clone(),
            max_value_bytes: old.max_value_bytes,
            unpriced: AtomicU64::new(0),
            providers_at: Answers::default(),
            providers_upstream: Answers::default(),
            providers_of: Answers::default(),
        };
        change(&mut config);
        Self { config: Arc::new(config) }
    }

    pub(super) fn trusts_request(&self) -> bool {
        self.config.trusts_request
    }

    /// Whether what a call costs is recorded on the request that makes it.
    pub(crate) fn rolls_up(&self) -> bool {
        self.config.rolls_up
    }

    /// Whether code of the user's names exchanges.
    pub(crate) fn has_hook(&self) -> bool {
        self.config.detect.is_some()
    }

    /// Whether it is a clone of the other.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.config, &other.config)
    }

    /// The exchange that a request is, if it is one.
    pub(crate) fn detect(&self, head: &Parts) -> Option<LlmEndpoint> {
        let own = self.config.detect.as_ref().and_then(|detect| detect(head));
        own.or_else(|| LlmEndpoint::detect(head))
    }

    /// The tap of a response, that takes the buffer if it keeps the body.
    pub(crate) fn tap<B>(&self, exchange: &LlmEndpoint, response: &Response<B>, buffer: &mut Vec<u8>) -> Tap {
        Tap::new(response.headers(), exchange.stream == Some(true), self.config.max_value_bytes, buffer)
    }

    /// The provider at a host, by the catalog's patterns of addresses.
    pub(super) fn provider_at(&self, host: &str, path: &str) -> Option<Box<str>> {
        if host.is_empty() {
            return None;
        }
        if let Some(provider) = provider_beside_catalog(host, path) {
            return Some(provider.into());
        }
        // The patterns look no further than the beginning of the path.
        let folder = path.match_indices('/').nth(5).map_or(path, |(end, _)| path.get(..=end).unwrap_or(path));
        self.config.providers_at.get(&format!("https://{host}{folder}"), provider_at)
    }

    /// The provider at the upstream, if that is set and known.
    pub(super) fn upstream_provider(&self, path: &str) -> Option<Box<str>> {
        let upstream = self.config.upstream.as_ref()?;
        self.config.providers_upstream.get(path, |path| {
            let base = upstream.path().trim_end_matches('/');
            let path = if base.is_empty() { Cow::Borrowed(path) } else { Cow::Owned(format!("{base}{path}")) };
            self.provider_at(upstream.host()?, &path)
        })
    }

    /// The provider of a model, by the catalog's patterns of names.
    pub(super) fn provider_of(&self, model: &str) -> Option<Box<str>> {
        self.config.providers_of.get(model, provider_of)
    }

    pub(super) fn book(&self) -> Option<&dyn PriceBook> {
        self.config.prices.as_deref()
    }

    pub(super) fn count_unpriced(&self) {
        self.config.unpriced.fetch_add(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for UsageTap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UsageTap").finish_non_exhaustive()
    }
}

/// The provider at an address that the catalog does not know.
fn provider_beside_catalog(host: &str, path: &str) -> Option<&'static str> {
    match host {
        "api.together.ai" => Some("together"),
        // It names who serves behind the model, or in a header.
        "router.huggingface.co" if path.starts_with("/v1/") => Some(HUGGING_FACE),
        _ if host.starts_with("dashscope") && host.ends_with(".aliyuncs.com") => Some("alibaba"),
        _ if host.ends_with(".openrouter.ai") => Some("openrouter"),
        _ if host.starts_with("bedrock-mantle.") && host.ends_with(".api.aws") => Some("aws"),
        _ => None,
    }
}

/// Hugging Face's router, which hands on to others; the catalog knows it with each of them.
pub(super) const HUGGING_FACE: &str = "huggingface";

/// The provider at a host, by the catalog's patterns of addresses.
fn provider_at(url: &str) -> Option<Box<str>> {
    Calculator::bundled().find_provider(None, Some(url)).ok().flatten().map(|provider| provider.id().into())
}

/// The provider of a model, by the catalog's patterns of names.
fn provider_of(model: &str) -> Option<Box<str>> {
    let usage = genai_prices::Usage::new();
    let price = Calculator::bundled().calculate(&PriceRequest::new(model, &usage)).ok()?;
    Some(price.provider_id.into())
}

/// Answers that take a while to find, kept for the next who asks the same.
#[derive(Default)]
struct Answers {
    answers: Mutex<HashMap<Box<str>, Option<Box<str>>>>,
}

impl Answers {
    /// Most answers kept. Clients choose what is asked.
    const MAX: usize = 1024;
    /// Longest question whose answer is kept, in bytes.
    const MAX_QUESTION_BYTES: usize = 256;

    fn get(&self, question: &str, find: impl FnOnce(&str) -> Option<Box<str>>) -> Option<Box<str>> {
        if question.len() > Self::MAX_QUESTION_BYTES {
            return find(question);
        }
        let lock = || self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = lock().get(question) {
            return answer.clone();
        }
        let answer = find(question);
        let mut answers = lock();
        if answers.len() >= Self::MAX {
            answers.clear();
        }
        answers.insert(question.into(), answer.clone());
        answer
    }
}
