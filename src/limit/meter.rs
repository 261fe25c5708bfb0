//! Cuts streams off that use more than they reserved.

use memchr::memmem;

use crate::{request::GatedRequest, tagging::ResponseMeter, usage::Usage};

use super::rules::{LimitRule, LimitUnit};

/// The error of the event of a stream that was cut off.
const REASON: &str = "budget_cut";
/// Bytes of text per token, on average.
const BYTES_PER_TOKEN: u64 = 4;

/// Estimates the output tokens of a stream from its bytes, and cuts it off at a maximum.
///
/// Providers send at least one token per event, and wrap it in JSON of some two hundred bytes. So the estimate is the larger of
/// the number of events, and a quarter of the bytes that are longer than such a wrapper.
#[derive(Debug)]
pub(super) struct StreamMeter {
    max_tokens: u64,
    events: u64,
    bytes: u64,
}

/// Bytes of the JSON around a token.
const WRAPPER_BYTES: u64 = 400;

impl StreamMeter {
    /// Creates a meter if the rule cuts streams. `reserved` is what the request has reserved.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "an estimate needs no more precision, and casts from floating-point numbers saturate"
    )]
    pub(super) fn new(rule: &LimitRule, reserved: i64, request: &GatedRequest) -> Option<Self> {
        // One unit is the minimum that is reserved, and says nothing about the request.
        let factor = rule.cut_streams.filter(|_| reserved > 1)?;
        let limit = reserved as f64 * factor;
        let per_token = match rule.unit() {
            LimitUnit::Tokens => 1.0,
            LimitUnit::Cost => {
                // The price of many tokens, because that of one is rounded.
                const MANY: u64 = 1_000;
                request.price(&Usage::tokens(0, MANY))?.nano_usd() as f64 / MANY as f64
            }
            LimitUnit::Requests | LimitUnit::Quantity(_) => return None,
        };
        (per_token > 0.0).then(|| Self { max_tokens: (limit / per_token).ceil() as u64, events: 0, bytes: 0 })
    }

    pub(super) fn max_tokens(&self) -> u64 {
        self.max_tokens
    }

    fn tokens(&self) -> u64 {
        let text = self.bytes.saturating_sub(self.events.saturating_mul(WRAPPER_BYTES));
        self.events.max(text / BYTES_PER_TOKEN)
    }
}

impl ResponseMeter for StreamMeter {
    fn read(&mut self, data: &[u8]) -> Option<&'static str> {
        self.bytes += data.len() as u64;
        self.events += memmem::find_iter(data, b"\ndata:").count() as u64 + u64::from(data.starts_with(b"data:"));
        (self.tokens() > self.max_tokens).then_some(REASON)
    }
}
