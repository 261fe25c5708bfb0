use std::{fmt, sync::Arc, time::Duration};

use axum::{
    Router, middleware,
    routing::{get, post},
};
use http::{HeaderName, HeaderValue, header};
use tower_http::{compression::CompressionLayer, set_header::SetResponseHeaderLayer};

use crate::{
    analytics::{Analytics, QueryError, api::Access, jiff::tz::TimeZone},
    sink::Delivery,
};

#[cfg(feature = "limit")]
use crate::limit::Limiter;

use super::{
    assets,
    html::{limit_time, show_errors},
    load::QueryLoad,
    page_error::PageError,
    pages,
    sign_in::{self, SignIn},
    state::DashboardState,
};

/// The time after which the database gives up on a query.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);

/// Allows only what the dashboard itself consists of: no inline styles or scripts, and nothing from elsewhere.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; \
     connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

const HEADERS: [(HeaderName, &str); 4] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "same-origin"),
];

/// Returns the dashboard as a router with the default settings. See [`Dashboard`].
pub fn router(analytics: Analytics, access: impl Access) -> Router {
    Dashboard::new(analytics, access).into_router()
}

/// The pages of the dashboard.
///
/// ```
/// use tower_tagging::{
///     analytics::{Analytics, Grant},
///     dashboard::Dashboard,
///     store::MemoryStore,
/// };
///
/// // Everyone who passes the layers around it sees everything.
/// let access = |_: &http::request::Parts| Ok(Grant::everything());
/// let pages = Dashboard::new(Analytics::new(MemoryStore::new()), access).zone("Europe/Berlin")?.into_router();
/// let app: axum::Router = axum::Router::new().nest("/tagging", pages);
/// # Ok::<(), tower_tagging::analytics::QueryError>(())
/// ```
#[must_use = "`into_router` returns the pages"]
pub struct Dashboard {
    state: DashboardState,
}

impl Dashboard {
    /// Creates the dashboard. The access decides what each caller sees.
    pub fn new(analytics: Analytics, access: impl Access) -> Self {
        let state = DashboardState {
            analytics: analytics.statement_timeout(STATEMENT_TIMEOUT),
            access: Arc::new(access),
            zone: TimeZone::UTC,
            delivery: None,
            sign_in: None,
            load: Arc::new(QueryLoad::default()),
            key_changes: Arc::default(),
            #[cfg(feature = "limit")]
            limiter: None,
        };
        Self { state }
    }

    /// Creates the dashboard with a form for API keys.
    pub fn with_sign_in(analytics: Analytics, sign_in: SignIn) -> Self {
        let mut dashboard = Self::new(analytics, sign_in.clone());
        dashboard.state.sign_in = Some(sign_in);
        dashboard
    }

    /// Sets the IANA time zone of days, such as `Europe/Berlin`. The default is UTC. The parameter `tz` of a page overrides it.
    ///
    /// # Errors
    /// Returns [`QueryError::Invalid`] if the zone is unknown.
    pub fn zone(mut self, name: &str) -> Result<Self, QueryError> {
        self.state.zone = TimeZone::get(name).map_err(|_| {
            QueryError::Invalid(format!("unknown time zone {name:?}: expected an IANA name, such as Europe/Berlin"))
        })?;
        Ok(self)
    }

    /// Shows the counts of a delivery: how many events were accepted, and how many were lost.
    pub fn delivery(mut self, delivery: Delivery) -> Self {
        self.state.delivery = Some(delivery);
        self
    }

    /// Shows the budgets and rates of a limiter.
    #[cfg(feature = "limit")]
    pub fn limits(mut self, limiter: Limiter) -> Self {
        self.state.limiter = Some(limiter);
        self
    }

    /// Returns the router, which can be mounted anywhere with [`Router::nest`].
    pub fn into_router(self) -> Router {
        let has_sign_in = self.state.sign_in.is_some();
        let mut router = Router::new()
            .route("/", get(pages::overview))
            .route("/explore", get(pages::explore))
            .route("/explore.csv", get(pages::explore_csv))
            .route("/requests", get(pages::requests))
            .route("/requests/{id}", get(pages::request))
            .route("/traces/{id}", get(pages::trace))
            .route("/sessions", get(pages::sessions))
            .route("/sessions/{key}/{value}", get(pages::session))
            .route("/by/{key}", get(pages::by_key))
            .route("/showback/{key}/{value}", get(pages::showback))
            .route("/compare", get(pages::compare))
            .route("/budgets", get(pages::budgets))
            .route("/budgets.csv", get(pages::budgets_csv))
            .route("/keys", get(pages::keys))
            .route("/keys/activate", post(pages::activate))
            .route("/keys/deactivate", post(pages::deactivate))
            .route("/health", get(pages::health))
            .route("/access", get(pages::access))
            .route("/views", get(pages::views))
            .route("/views/save", post(pages::save_view))
            .route("/views/rename", post(pages::rename_view))
            .route("/views/share", post(pages::share_view))
            .route("/views/unshare", post(pages::unshare_view))
            .route("/views/delete", post(pages::delete_view))
            .route("/sign-in", get(sign_in::form).post(sign_in::submit))
            .route("/sign-out", post(sign_in::leave))
            .fallback(|| async { PageError::unknown_page() })
            .with_state(self.state)
            .layer(middleware::from_fn(limit_time))
            .layer(middleware::from_fn_with_state(has_sign_in, show_errors))
            .layer(SetResponseHeaderLayer::overriding(header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
            .route("/assets/{name}", get(assets::asset))
            .layer(CompressionLayer::new());
        for (name, value) in HEADERS {
            router = router.layer(SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value)));
        }
        router
    }
}

impl fmt::Debug for Dashboard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dashboard").field("state", &self.state).finish()
    }
}
