use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, SystemTime},
};

#[cfg(feature = "propagate")]
use crate::Tags;
use crate::{
    Metadata,
    body::request_fields::RequestFields,
    text::{MAX_NAME_CHARS, cut_name, truncated},
};

use super::{
    Cost, CostStatus, LlmCall, LlmEndpoint, Money, Operation, PriceQuery, Quantity, Unit, Usage, UsageStatus, UsageTap,
    charge::{self, Call, Charge, ask_book},
    consistency::{inconsistencies, saturated},
    iterations::Iterations,
    price::sources,
    provider::ProviderClues,
    response_report::ResponseReport,
    tap::{MAX_KEPT_BYTES, Tap},
    wire,
};

/// Usage that code records, and whose it is: see [`Tags::record_usage`](crate::Tags::record_usage).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRecord {
    usage: Usage,
    provider: Option<String>,
    model: Option<String>,
}

impl Usage {
    /// Says which provider's model used it, so that it can be priced: `usage.of("openai", "gpt-4o")`. Names are cut to 256
    /// characters.
    #[must_use]
    pub fn of(self, provider: impl Into<String>, model: impl Into<String>) -> UsageRecord {
        UsageRecord { usage: self, provider: Some(cut_name(provider.into())), model: Some(cut_name(model.into())) }
    }
}

impl From<Usage> for UsageRecord {
    /// Usage of nobody knows which model, which has no price.
    fn from(usage: Usage) -> Self {
        Self { usage, provider: None, model: None }
    }
}

/// A cost that code records: see [`Tags::record_cost`](crate::Tags::record_cost).
///
/// ```
/// use tower_tagging::usage::{ExtraCost, Money};
///
/// let cost = ExtraCost::new(Money::from_nano_usd(1_500)).of("rows", 1_200.0);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ExtraCost {
    money: Money,
    quantity: Option<Quantity>,
}

impl ExtraCost {
    /// So much money.
    pub fn new(money: Money) -> Self {
        Self { money, quantity: None }
    }

    /// Says what it was spent on: the name of a quantity, cut to 256 characters, and the amount of it. One that is no finite
    /// number counts as none.
    #[must_use]
    pub fn of(mut self, quantity: impl Into<Cow<'static, str>>, amount: f64) -> Self {
        let name = match quantity.into() {
            Cow::Borrowed(name) => Cow::Borrowed(truncated(name, MAX_NAME_CHARS)),
            Cow::Owned(name) => Cow::Owned(cut_name(name)),
        };
        self.quantity = Some(Quantity { name, amount: if amount.is_finite() { amount } else { 0.0 } });
        self
    }
}

/// Usage and cost that code recorded for a request.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    usages: Vec<Recording>,
    money: Option<Money>,
    quantities: Vec<Quantity>,
}

#[derive(Debug)]
struct Recording {
    record: UsageRecord,
    /// What it cost, where another event says so.
    settled: Option<Settled>,
}

/// What an event says that its call cost.
#[derive(Debug)]
struct Settled {
    status: CostStatus,
    price: Option<Cost>,
}

impl Settled {
    fn add(&mut self, other: Self) {
        self.price = match (self.price.take(), other.price) {
            (Some(one), Some(other)) => Some(one.plus(&other)),
            (one, other) => one.or(other),
        };
        if self.status != other.status {
            self.status = CostStatus::Partial;
        }
    }
}

/// Most recordings that are kept by themselves: later ones add to the last of their kind.
const MAX_RECORDS: usize = 256;

impl Recorded {
    pub(crate) fn add_usage(&mut self, record: UsageRecord) {
        self.add(Recording { record, settled: None });
    }

    /// A call that was read and priced for an event of its own.
    pub(crate) fn add_call(&mut self, call: &LlmCall) {
        let source = || call.price_source.clone().unwrap_or_else(|| "custom".into());
        let price = call.cost.map(|total| Cost {
            input: call.input_cost,
            output: call.output_cost,
            ..Cost::custom(total).source(source())
        });
        let record = UsageRecord {
            usage: call.usage.clone().unwrap_or_default(),
            provider: call.provider.clone(),
            model: call.response_model.clone().or_else(|| call.request_model.clone()),
        };
        self.add(Recording { record, settled: Some(Settled { status: call.cost_status, price }) });
        for quantity in &call.quantities {
            self.add_meter(quantity.clone());
        }
    }

    fn add(&mut self, recording: Recording) {
        let is_full = self.usages.len() >= MAX_RECORDS;
        let is_of_kind = |other: &&mut Recording| other.settled.is_some() == recording.settled.is_some();
        match self.usages.iter_mut().rev().find(is_of_kind).filter(|_| is_full) {
            Some(last) => {
                last.record.usage.add_all(&recording.record.usage);
                if let (Some(sum), Some(settled)) = (&mut last.settled, recording.settled) {
                    sum.add(settled);
                }
            }
            None => self.usages.push(recording),
        }
    }

    pub(crate) fn add_cost(&mut self, cost: ExtraCost) {
        self.money = Some(self.money.unwrap_or_default() + cost.money);
        if let Some(quantity) = cost.quantity {
            self.add_meter(quantity);
        }
    }

    fn add_meter(&mut self, quantity: Quantity) {
        if let Some(other) = self.quantities.iter_mut().find(|other| other.name == quantity.name) {
            other.amount = (other.amount + quantity.amount).clamp(f64::MIN, f64::MAX);
        } else if self.quantities.len() < MAX_RECORDS {
            self.quantities.push(quantity);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.usages.is_empty() && self.money.is_none()
    }

    /// About the bytes that it takes in memory beside itself.
    pub(crate) fn approximate_bytes(&self) -> usize {
        let usages = self.usages.iter().map(|Recording { record, .. }| {
            let names = [&record.provider, &record.model].into_iter().flatten().map(String::capacity).sum::<usize>();
            size_of::<Recording>() + names + record.usage.approximate_bytes()
        });
        let quantities = self.quantities.iter().map(|quantity| size_of::<Quantity>() + quantity.name.len());
        usages.chain(quantities).sum()
    }
}

/// What is seen of an LLM exchange, until somebody asks for its usage: then it is read, on that thread. A request takes the
/// record of an earlier one with its buffers, since what one thread allocates and another frees is slow to get again.
pub(crate) struct LlmRecord {
    /// What it holds in memory, about; once a request is over, what it held then.
    bytes: usize,
    /// The request that makes the call, where it is to be told what the call cost.
    #[cfg(feature = "propagate")]
    caller: Option<Tags>,
    seen: Mutex<Seen>,
    settled: OnceLock<Option<LlmCall>>,
}

/// What an event knows of the request whose usage is settled.
pub(crate) struct RequestFacts<'a> {
    /// How it is priced.
    pub(crate) tap: Option<&'a UsageTap>,
    pub(crate) recorded: &'a Recorded,
    /// What its body asks for.
    pub(crate) fields: &'a RequestFields,
    pub(crate) time: SystemTime,
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
    pub(crate) is_success: bool,
    pub(crate) duration: Duration,
    /// The effective tags.
    pub(crate) metadata: &'a Metadata,
}

/// An exchange, and what is seen of its response.
#[derive(Default)]
struct Seen {
    exchange: Option<LlmEndpoint>,
    response: Response,
    /// The body came to its end.
    has_ended: bool,
    /// There was any of it.
    has_body: bool,
    /// For the body of a short response.
    buffer: Vec<u8>,
}

#[derive(Default)]
enum Response {
    /// There is none, or none yet.
    #[default]
    Awaited,
    /// It is under way, or a short one was kept that is still to be read.
    Tapped(Tap),
    /// What was read, and whether it was a stream.
    Read(Box<ResponseReport>, bool),
}

impl Seen {
    /// Takes what was read, or reads what was kept.
    fn read(&mut self, now: Duration) -> (ResponseReport, bool) {
        match std::mem::take(&mut self.response) {
            Response::Tapped(tap) => {
                let (reading, is_stream, kept) = tap.finish(self.has_ended, now);
                if kept.capacity() > 0 {
                    self.buffer = kept;
                    self.buffer.clear();
                }
                (reading, is_stream)
            }
            Response::Read(reading, is_stream) => (*reading, is_stream),
            Response::Awaited => (ResponseReport::default(), false),
        }
    }
}

impl LlmRecord {
    /// A record of nothing: only what code recorded is to be told.
    pub(crate) fn empty() -> Box<Self> {
        Box::new(Self {
            bytes: size_of::<Self>(),
            #[cfg(feature = "propagate")]
            caller: None,
            seen: Mutex::default(),
            settled: OnceLock::new(),
        })
    }

    /// What was settled before.
    pub(crate) fn settled(llm: LlmCall) -> Box<Self> {
        Box::new(Self { settled: OnceLock::from(Some(llm)), ..*Self::empty() })
    }

    /// Empties the record and keeps its buffer.
    pub(crate) fn reset(&mut self) {
        // All fields by name, so that none is forgotten.
        let Self {
            bytes,
            #[cfg(feature = "propagate")]
            caller,
            seen,
            settled,
        } = self;
        settled.take();
        #[cfg(feature = "propagate")]
        caller.take();
        let seen = seen.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut buffer = match std::mem::take(&mut seen.response) {
            // Nobody asked.
            Response::Tapped(Tap::Kept { body, .. }) => body,
            _ => std::mem::take(&mut seen.buffer),
        };
        buffer.clear();
        buffer.shrink_to(MAX_KEPT_BYTES);
        *bytes = size_of::<Self>() + buffer.capacity();
        *seen = Seen { buffer, ..Seen::default() };
    }

    fn seen(&mut self) -> &mut Seen {
        self.seen.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// The request is this exchange.
    pub(crate) fn observe(&mut self, exchange: LlmEndpoint) {
        self.seen().exchange = Some(exchange);
    }

    /// The request that makes the call is to be told what it cost.
    #[cfg(feature = "propagate")]
    pub(crate) fn roll_up_to(&mut self, caller: Option<Tags>) {
        self.caller = caller;
    }

    /// Whom to tell what the call cost, once it is over.
    #[cfg(feature = "propagate")]
    pub(crate) fn caller(&mut self) -> Option<Tags> {
        self.caller.take()
    }

    /// The response is there: makes its tap of the exchange and a buffer.
    pub(crate) fn begin(&mut self, tap: impl FnOnce(&LlmEndpoint, &mut Vec<u8>) -> Tap) {
        let seen = self.seen();
        if let Some(exchange) = &seen.exchange {
            seen.response = Response::Tapped(tap(exchange, &mut seen.buffer));
        }
    }

    pub(crate) fn tap(&mut self) -> Option<&mut Tap> {
        match &mut self.seen().response {
            Response::Tapped(tap) => Some(tap),
            Response::Awaited | Response::Read(..) => None,
        }
    }

    /// The response is over; `has_ended` says that it came to its end, `has_body` that there was any of it. What was read as
    /// it passed lets go of its decoder.
    pub(crate) fn end(&mut self, has_ended: bool, has_body: bool, now: Duration) {
        let seen = self.seen();
        (seen.has_ended, seen.has_body) = (has_ended, has_body);
        let mut bytes = seen.buffer.capacity();
        if let Response::Tapped(tap) = &seen.response {
            if let Some(kept) = tap.kept_bytes() {
                bytes += kept;
            } else {
                let (reading, is_stream) = seen.read(now);
                seen.response = Response::Read(Box::new(reading), is_stream);
                bytes += size_of::<ResponseReport>();
            }
        }
        self.bytes = size_of::<Self>() + bytes;
    }

    pub(crate) fn approximate_bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn settle(&self, request: &RequestFacts<'_>) -> Option<&LlmCall> {
        let settle = || self.seen.lock().unwrap_or_else(PoisonError::into_inner).settle(request);
        self.settled.get_or_init(settle).as_ref()
    }
}

impl fmt::Debug for LlmRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settled.fmt(f)
    }
}

impl Seen {
    fn settle(&mut self, request: &RequestFacts<'_>) -> Option<LlmCall> {
        let RequestFacts { tap, recorded, fields, .. } = *request;
        let has_response = !matches!(self.response, Response::Awaited);
        let (mut reading, stream) = self.read(request.duration);
        reading.resolve_service_tier();
        let Self { exchange, has_ended, has_body, .. } = self;
        let exchange = exchange.take();
        let is_llm = reading.is_llm() || fields.model.is_some();
        if recorded.is_empty() && exchange.as_ref().is_none_or(|exchange| exchange.is_tentative && !is_llm) {
            return None;
        }
        let asked_for = fields.model.as_deref().or_else(|| exchange.as_ref()?.model.as_deref());
        // Google's SDKs write the name of the resource.
        let request_model = asked_for.map(|model| model.strip_prefix("models/").unwrap_or(model).to_owned());
        let model = reading.model.as_deref().or(request_model.as_deref());
        let provider =
            exchange.as_ref().zip(tap).and_then(|(exchange, tap)| provider(tap, exchange, &reading, model, request));
        let operation = exchange.as_ref().map(|exchange| &exchange.operation);
        let meaning = wire::normalize(provider.as_deref(), model, operation, &reading);
        let is_success = request.is_success;
        // What fails is told at once.
        let says_anything = reading.model.is_some() || reading.id.is_some() || (has_response && !is_success);
        let usage_status = if meaning.usage.is_empty() {
            // A transcription may be plain text, by what was asked for.
            let is_text = operation == Some(&Operation::Transcription);
            let is_unparsed =
                reading.is_unparsed && is_success && *has_ended && *has_body && !reading.is_error && !is_text;
            if is_unparsed { UsageStatus::Unparsed } else { UsageStatus::Absent }
        } else if reading.is_final && !reading.is_unparsed && !(stream && reading.is_error) {
            UsageStatus::Reported
        } else {
            UsageStatus::Partial
        };
        let mut llm = LlmCall {
            provider,
            request_model,
            service_tier: reading.service_tier.clone().or_else(|| fields.service_tier.clone()),
            stream: stream || (fields.stream == Some(true) && !says_anything),
            response_model: reading.model.take(),
            response_id: reading.id.take(),
            operation: exchange.map(|exchange| exchange.operation),
            usage_status,
            usage: (!meaning.usage.is_empty()).then_some(meaning.usage),
            cost_status: CostStatus::NoUsage,
            cost: None,
            input_cost: None,
            output_cost: None,
            price_source: None,
            error: None,
            calls: None,
            duration: None,
            quantities: Vec::new(),
            first_token: reading.first_token,
            output_tokens_per_second: None,
            inconsistencies: meaning.inconsistencies,
        };
        if recorded.usages.is_empty() && llm.operation.is_some() {
            llm.price(&reading, &meaning.iterations, meaning.is_waived, tap, request);
            llm.add_cost(recorded);
        } else {
            llm.replace_by(recorded, tap, request);
        }
        llm.output_tokens_per_second = llm.rate(request.duration);
        Some(llm)
    }
}

/// Returns the provider that serves the call.
fn provider(
    tap: &UsageTap,
    exchange: &LlmEndpoint,
    reading: &ResponseReport,
    model: Option<&str>,
    request: &RequestFacts<'_>,
) -> Option<String> {
    let clues = ProviderClues {
        named: exchange.provider.as_deref(),
        path_owner: exchange.default_provider,
        hint: exchange.hint.as_deref(),
        model,
        requested_model: request.fields.model.as_deref(),
        host: request.host,
        path: request.path,
        response: reading,
        upstream: tap.upstream_address(),
        trusts_request: tap.trusts_request(),
    };
    clues.provider(tap.catalog())
}

impl LlmCall {
    /// Prices what the provider reported.
    fn price(
        &mut self,
        reading: &ResponseReport,
        attempts: &Iterations,
        is_waived: bool,
        tap: Option<&UsageTap>,
        request: &RequestFacts<'_>,
    ) {
        let Some((tap, book)) = tap.and_then(|tap| Some((tap, tap.book()?))) else {
            self.cost_status = CostStatus::Off;
            return;
        };
        if let Some(price) = charge::told(self.provider.as_deref(), reading, self.stream) {
            return self.take_price(price, true);
        }
        let Some(usage) = &self.usage else { return };
        let call = Call {
            provider: self.provider.as_deref(),
            response_model: self.response_model.as_deref(),
            request_model: self.request_model.as_deref(),
            service_tier: reading.service_tier.as_deref(),
            inference_geo: reading.usage.get("inference_geo").and_then(serde_json::Value::as_str),
            time: request.time,
            metadata: request.metadata,
        };
        let Charge { price, is_of_all } = call.charge(book, usage, attempts, is_waived);
        let is_of_all = is_of_all && !self.searches_unseen();
        if price.is_none() || !is_of_all {
            tap.count_unpriced();
        }
        match price {
            Some(price) => self.take_price(price, is_of_all && attempts.problem.is_none()),
            None => self.cost_status = CostStatus::UnpricedModel,
        }
    }

    /// Whether it searched the web, which costs, and says nothing of that: OpenAI's search models do so in every chat.
    fn searches_unseen(&self) -> bool {
        let model = self.response_model.as_deref().or(self.request_model.as_deref()).unwrap_or_default();
        matches!(self.provider.as_deref(), Some("openai" | "azure"))
            && self.operation == Some(Operation::Chat)
            && ["-search-preview", "-search-api"].iter().any(|name| model.contains(name))
            && self.usage.as_ref().is_none_or(|usage| usage.get(Unit::WebSearches).is_none())
    }

    /// Costs this; `is_of_all` says that it is of all that was counted.
    fn take_price(&mut self, price: Cost, is_of_all: bool) {
        let has_all = self.inconsistencies.is_empty()
            || self
                .usage
                .as_ref()
                .is_some_and(|usage| usage.input_tokens().is_some() && usage.output_tokens().is_some());
        let is_told = matches!(self.usage_status, UsageStatus::Reported | UsageStatus::Absent);
        let is_whole = is_told && has_all && is_of_all;
        self.cost_status = if is_whole { CostStatus::Priced } else { CostStatus::Partial };
        (self.cost, self.input_cost, self.output_cost) = (Some(price.total), price.input, price.output);
        let output = self.usage.as_ref().and_then(Usage::output_tokens);
        if self.usage_status == UsageStatus::Partial && output.is_none() {
            // Nobody knows what it will have been.
            self.output_cost = None;
        }
        self.price_source = Some(price.source);
    }

    /// A cost that code recorded, on top of what the provider reported.
    fn add_cost(&mut self, recorded: &Recorded) {
        self.quantities.clone_from(&recorded.quantities);
        let Some(money) = recorded.money else { return };
        self.cost = Some(self.cost.unwrap_or_default() + money);
        self.price_source = Some(Arc::from(match &self.price_source {
            Some(source) => format!("{source} and custom"),
            None => "custom".to_owned(),
        }));
        self.cost_status = match self.cost_status {
            CostStatus::NoUsage | CostStatus::Off => CostStatus::Priced,
            CostStatus::UnpricedModel => CostStatus::Partial,
            other => other,
        };
    }

    /// What code recorded takes the place of what was observed: several calls add up.
    fn replace_by(&mut self, recorded: &Recorded, tap: Option<&UsageTap>, request: &RequestFacts<'_>) {
        let Recorded { usages, money, quantities } = recorded;
        let money = *money;
        self.usage_status = UsageStatus::Recorded;
        self.quantities.clone_from(quantities);
        let mut sum = Usage::new();
        let mut prices = Vec::new();
        let (mut unpriced, mut is_partial, mut without_usage) = (0, false, 0);
        for Recording { record, settled } in usages {
            sum.add_all(&record.usage);
            self.inconsistencies.extend(inconsistencies(&record.usage));
            self.provider = record.provider.clone().or_else(|| self.provider.take());
            self.response_model = record.model.clone().or_else(|| self.response_model.take());
            if let Some(Settled { status, price }) = settled {
                prices.extend(price.clone());
                unpriced += usize::from(*status == CostStatus::UnpricedModel);
                is_partial |= *status == CostStatus::Partial;
                without_usage += usize::from(*status == CostStatus::NoUsage);
                continue;
            }
            let Some((tap, book)) = tap.and_then(|tap| Some((tap, tap.book()?))) else { continue };
            let Some(model) = record.model.as_deref() else {
                // A cost that was recorded is taken to be of it.
                unpriced += usize::from(money.is_none());
                continue;
            };
            let usage = saturated(&record.usage);
            let query = PriceQuery {
                provider: record.provider.as_deref(),
                model,
                requested_model: None,
                usage: &usage,
                service_tier: None,
                inference_geo: None,
                time: request.time,
                metadata: Some(request.metadata),
            };
            if let Some(price) = ask_book(book, &query) {
                prices.push(price);
            } else {
                unpriced += 1;
                tap.count_unpriced();
            }
        }
        self.usage = (!sum.is_empty()).then_some(sum);
        let all = |part: fn(&Cost) -> Option<Money>| {
            let parts: Option<Vec<Money>> = prices.iter().map(part).collect();
            parts.filter(|parts| !parts.is_empty() && money.is_none()).map(|parts| parts.into_iter().sum())
        };
        (self.input_cost, self.output_cost) = (all(|price| price.input), all(|price| price.output));
        let is_costed = money.is_some() || !prices.is_empty();
        self.cost =
            is_costed.then(|| prices.iter().map(|price| price.total).sum::<Money>() + money.unwrap_or_default());
        self.price_source = if money.is_some() {
            Some(Arc::from("custom"))
        } else {
            sources(&prices.iter().map(|price| &price.source).collect::<Vec<_>>())
        };
        let is_of_all = unpriced + without_usage == 0 && !is_partial;
        self.cost_status = match (is_costed, unpriced) {
            (true, _) if is_of_all => CostStatus::Priced,
            (true, _) => CostStatus::Partial,
            (false, 0) if self.usage.is_none() => CostStatus::NoUsage,
            (false, 0) => CostStatus::Off,
            (false, _) => CostStatus::UnpricedModel,
        };
    }

    #[allow(clippy::cast_precision_loss, reason = "a rate needs no more")]
    fn rate(&self, duration: Duration) -> Option<f64> {
        let time = duration.checked_sub(self.first_token?)?.as_secs_f64();
        let tokens = self.usage.as_ref()?.output_tokens()?;
        (time > 0.0 && self.usage_status == UsageStatus::Reported).then(|| tokens as f64 / time)
    }
}
