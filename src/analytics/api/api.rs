use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    response::{IntoResponse, Response},
};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header};
use tower_http::{
    compression::{CompressionLayer, DefaultPredicate, Predicate},
    limit::RequestBodyLimitLayer,
    set_header::SetResponseHeaderLayer,
    timeout::TimeoutLayer,
};

use crate::analytics::{Analytics, QueryError, TimeRange};
#[cfg(feature = "llm")]
use crate::usage::UsageTap;

use super::{
    Access,
    api_error::ApiError,
    exports::Exports,
    restrictions::Restrictions,
    routes::routes,
    state::{ApiState, Shared},
};

/// The default maximum size of a request body, in bytes.
const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;
/// The default maximum time of a request.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The default maximum age of a log: a year and a month.
const MAX_LOG_AGE: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// Headers of all responses.
const HEADERS: &[(HeaderName, &str)] = &[
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
];

/// The HTTP API, before it becomes a router.
///
/// ```
/// use tower_tagging::{analytics::{Analytics, api::{Api, RegistryAccess}}, registry::Registry, store::MemoryStore};
///
/// let access = RegistryAccess::new(Registry::from_toml("")?).admin_key("a long random text");
/// let app: axum::Router = Api::new(Analytics::new(MemoryStore::new()), access)
///     .public_url("https://gateway.example.com/tagging/v1")
///     .deny_export_fields(["request_url", "metadata._user"])?
///     .into_router();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "the API serves nothing until it becomes a router"]
pub struct Api {
    analytics: Analytics,
    access: Arc<dyn Access>,
    shared: Shared,
    others: Router<ApiState>,
    max_body_bytes: usize,
    timeout: Duration,
}

impl Api {
    /// Creates the API. The access decides what each caller sees.
    pub fn new(analytics: Analytics, access: impl Access) -> Self {
        Self {
            analytics,
            access: Arc::new(access),
            shared: Shared {
                public_url: None,
                restrictions: Restrictions::default(),
                zone: "UTC".to_owned(),
                exports: Arc::new(Exports::default()),
                other_endpoints: Vec::new(),
                document: OnceLock::new(),
                key_limits: None,
                max_log_age: MAX_LOG_AGE,
                writing: Arc::default(),
                #[cfg(feature = "llm")]
                usage: UsageTap::new().trust_request(),
            },
            others: Router::new(),
            max_body_bytes: MAX_BODY_BYTES,
            timeout: TIMEOUT,
        }
    }

    /// Sets the external address of the API, with the path at which it is mounted, for links to files.
    ///
    /// Without it, these links have only a path.
    pub fn public_url(mut self, url: impl Into<String>) -> Self {
        self.shared.public_url = Some(url.into().trim_end_matches('/').to_owned());
        self
    }

    /// Adds fields that no export contains, such as `request_url`, or `metadata._user` for the tag `_user`.
    ///
    /// A field is one of `requested_data`, which stands for all columns with its values, or a column of
    /// [`SCHEMA`](crate::store::SCHEMA), which only `GET /export` and `GET /focus` have. Requests for denied fields are
    /// answered with 403. Denied tags are left out of all columns with tags.
    ///
    /// # Errors
    /// Returns [`QueryError::Invalid`] with the valid names if a field is unknown.
    pub fn deny_export_fields<T: Into<String>>(
        mut self,
        fields: impl IntoIterator<Item = T>,
    ) -> Result<Self, QueryError> {
        for field in fields {
            self.shared.restrictions.deny(field.into())?;
        }
        Ok(self)
    }

    /// Sets the IANA time zone of the days of requests that do not name one, such as `Europe/Berlin`. The default is UTC.
    ///
    /// # Errors
    /// Returns [`QueryError::Invalid`] if there is no such zone.
    pub fn zone(mut self, name: &str) -> Result<Self, QueryError> {
        TimeRange::check_zone(name)?;
        name.clone_into(&mut self.shared.zone);
        Ok(self)
    }

    /// Sets how the responses of `POST /logs` are read and priced. The default is the bundled catalog, and the provider that
    /// the log names.
    #[cfg(feature = "llm")]
    pub fn usage(mut self, tap: UsageTap) -> Self {
        self.shared.usage = tap;
        self
    }

    /// Sets the maximum age of the requests of `POST /logs`. The default is 400 days.
    ///
    /// Older times are usually mistakes, such as seconds that were read as milliseconds. Keep it below the
    /// [retention](crate::analytics::Retention) of rows: a log that is sent again after its row was deleted is counted twice.
    pub fn max_log_age(mut self, age: Duration) -> Self {
        self.shared.max_log_age = age;
        self
    }

    /// Adds the endpoints of another module, such as [`Limiter::api`](crate::limit::Limiter::api). They have the same access,
    /// errors, and bounds, and are in the same OpenAPI document.
    #[cfg(feature = "limit")]
    pub fn merge(mut self, extension: super::ApiExtension) -> Self {
        self.others = self.others.merge(extension.routes);
        self.shared.other_endpoints.push(extension.endpoints);
        self.shared.key_limits = Some(extension.key_limits);
        self.shared.document = OnceLock::new();
        self
    }

    /// Sets the maximum size of a request body, in bytes. The default is 8 MiB.
    pub fn max_body_bytes(mut self, bytes: usize) -> Self {
        self.max_body_bytes = bytes;
        self
    }

    /// Sets the maximum time until a response begins. The default is 30 seconds.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// Returns an API with the same store, settings, and export jobs. `access` receives the access of this one, and returns
    /// that of the other.
    #[cfg(feature = "mcp")]
    pub(crate) fn with_access(&self, access: impl FnOnce(Arc<dyn Access>) -> Arc<dyn Access>) -> Self {
        Self {
            analytics: self.analytics.clone(),
            access: access(Arc::clone(&self.access)),
            shared: self.shared.clone(),
            others: self.others.clone(),
            max_body_bytes: self.max_body_bytes,
            timeout: self.timeout,
        }
    }

    /// Returns the access, and the name of the time zone.
    #[cfg(feature = "mcp")]
    pub(crate) fn access_and_zone(&self) -> (Arc<dyn Access>, &str) {
        (Arc::clone(&self.access), &self.shared.zone)
    }

    /// Returns the router, which can be mounted anywhere.
    pub fn into_router(self) -> Router {
        let Self { analytics, access, shared, others, max_body_bytes, timeout } = self;
        let state = ApiState { analytics, access, shared: Arc::new(shared) };
        let mut router = routes(others)
            .with_state(state)
            .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, timeout))
            .layer(DefaultBodyLimit::disable())
            .layer(RequestBodyLimitLayer::new(max_body_bytes))
            .layer(middleware::map_response(as_json))
            .layer(CompressionLayer::new().compress_when(DefaultPredicate::new().and(is_not_export)));
        for (name, value) in HEADERS {
            let value = HeaderValue::from_static(value);
            router = router.layer(SetResponseHeaderLayer::overriding(name.clone(), value));
        }
        router
    }
}

/// Returns a router with the HTTP API, which can be mounted anywhere: [`Api`] with its defaults.
pub fn router(analytics: Analytics, access: impl Access) -> Router {
    Api::new(analytics, access).into_router()
}

/// Returns `false` for exports, which have the compression that the client selected, and trailers with the digest of
/// their content.
fn is_not_export(_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions) -> bool {
    !headers.contains_key(header::TRAILER)
}

/// Replaces the bodies of errors that other layers answered with.
async fn as_json(response: Response) -> Response {
    let is_error = response.status().is_client_error() || response.status().is_server_error();
    let media_type = response.headers().get(header::CONTENT_TYPE);
    let is_json = media_type.is_some_and(|media_type| media_type == "application/json");
    if is_error && !is_json { ApiError::of_status(response.status()).into_response() } else { response }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("analytics", &self.analytics).finish_non_exhaustive()
    }
}
