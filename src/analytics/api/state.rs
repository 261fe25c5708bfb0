use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use crate::analytics::Analytics;
#[cfg(feature = "llm")]
use crate::usage::UsageTap;

use super::{Access, exports::Exports, key_limits::KeyLimits, openapi::Endpoints, restrictions::Restrictions};

/// What all endpoints share.
#[derive(Clone)]
pub(crate) struct ApiState {
    pub(crate) analytics: Analytics,
    pub(crate) access: Arc<dyn Access>,
    pub(crate) shared: Arc<Shared>,
}

/// The settings of the API, and its export jobs.
#[derive(Clone)]
pub(crate) struct Shared {
    /// The external address of the API, without a slash at its end.
    pub(crate) public_url: Option<String>,
    /// The fields and tags that no export contains.
    pub(super) restrictions: Restrictions,
    /// The time zone of requests that do not name one.
    pub(crate) zone: String,
    pub(crate) exports: Arc<Exports>,
    /// The endpoints of other modules.
    pub(super) other_endpoints: Vec<Endpoints>,
    /// The OpenAPI document, once it was asked for.
    pub(super) document: OnceLock<String>,
    /// The limits of virtual keys.
    pub(super) key_limits: Option<Arc<dyn KeyLimits>>,
    /// The largest age of a request in `POST /logs`.
    pub(crate) max_log_age: Duration,
    /// Held while logs with ids are stored.
    pub(super) writing: Arc<tokio::sync::Mutex<()>>,
    /// Reads and prices the responses of `POST /logs`.
    #[cfg(feature = "llm")]
    pub(crate) usage: UsageTap,
}

impl fmt::Debug for ApiState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiState").field("analytics", &self.analytics).finish_non_exhaustive()
    }
}
