use std::time::SystemTime;

use futures_util::future::BoxFuture;
use serde_json::Value;

use crate::{analytics::Grant, registry::VirtualKey};

/// The limits that apply to virtual keys. The module `limit` implements it.
#[cfg_attr(not(feature = "limit"), allow(dead_code, reason = "implemented by the module limit"))]
pub(crate) trait KeyLimits: Send + Sync + 'static {
    /// Returns the limits of each key, in their order, as far as a grant covers them.
    fn limits<'a>(
        &'a self,
        keys: &'a [VirtualKey],
        grant: &'a Grant,
        now: SystemTime,
    ) -> BoxFuture<'a, Vec<LimitsOfKey>>;
}

/// The limits of a virtual key, in the form of the API.
#[derive(Clone, Debug, Default)]
pub(crate) struct LimitsOfKey {
    pub(crate) usage: Option<Value>,
    pub(crate) rates: Vec<Value>,
    /// `true` if a budget of exactly this key is used up.
    pub(crate) is_exhausted: bool,
}
