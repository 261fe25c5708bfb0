use std::{fmt, sync::Arc};

use axum::Router;

use super::{key_limits::KeyLimits, openapi::Endpoints, state::ApiState};

/// Endpoints of another module, which an [`Api`](super::Api) serves next to its own.
///
/// [`Limiter::api`](crate::limit::Limiter::api) returns those for limits.
#[derive(Clone)]
pub struct ApiExtension {
    pub(super) routes: Router<ApiState>,
    pub(super) endpoints: Endpoints,
    pub(super) key_limits: Arc<dyn KeyLimits>,
}

impl ApiExtension {
    pub(crate) fn new(routes: Router<ApiState>, endpoints: Endpoints, key_limits: impl KeyLimits) -> Self {
        Self { routes, endpoints, key_limits: Arc::new(key_limits) }
    }
}

impl fmt::Debug for ApiExtension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiExtension").finish_non_exhaustive()
    }
}
