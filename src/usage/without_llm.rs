//! Stand-ins for what needs the feature `llm`, so that events, layers, and stores compile without `cfg`.
//!
//! Most of them have no values: without the feature, no response is read and nothing is priced. Their private field keeps
//! the compiler from reporting code elsewhere as unreachable.

use std::{convert::Infallible, time::Duration};

use http::{Response, request::Parts};

use super::{llm_endpoint::LlmEndpoint, price::PriceBook};

/// Has no value, since there is nothing to configure.
#[derive(Clone, Debug)]
pub(crate) struct UsageTap(Infallible);

impl UsageTap {
    pub(super) fn book(&self) -> Option<&dyn PriceBook> {
        match self.0 {}
    }

    pub(super) fn count_unpriced(&self) {
        match self.0 {}
    }

    pub(crate) fn rolls_up(&self) -> bool {
        match self.0 {}
    }

    pub(crate) fn has_hook(&self) -> bool {
        match self.0 {}
    }

    pub(crate) fn is_same(&self, _other: &Self) -> bool {
        match self.0 {}
    }

    pub(crate) fn detect(&self, _head: &Parts) -> Option<LlmEndpoint> {
        match self.0 {}
    }

    pub(crate) fn tap<B>(&self, _endpoint: &LlmEndpoint, _response: &Response<B>, _buffer: &mut Vec<u8>) -> Tap {
        match self.0 {}
    }
}

/// Has no value, since no response is read.
pub(crate) struct Tap(Infallible);

impl Tap {
    pub(crate) fn waits_for_token(&self) -> bool {
        match self.0 {}
    }

    pub(crate) fn feed(&mut self, _chunk: &[u8], _now: Duration) {
        match self.0 {}
    }

    pub(crate) fn give_up(&mut self) {
        match self.0 {}
    }

    pub(crate) fn has_end_marker(&self) -> bool {
        match self.0 {}
    }
}
