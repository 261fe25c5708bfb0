use std::{error::Error, fmt, sync::Arc};

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use tower_service::Service;

use crate::analytics::{
    Analytics, QueryError,
    api::{Access, Api},
    jiff::tz::TimeZone,
};

use super::{
    McpOverApi, McpServer, McpService, api_client::ApiClient, caller_access::CallerAccess, settings::Settings,
};

/// The tools, before they become a service.
///
/// ```
/// use tower_tagging::{analytics::{Analytics, api::RegistryAccess}, mcp::Mcp, registry::Registry, store::MemoryStore};
///
/// let access = RegistryAccess::new(Registry::from_toml("")?).admin_key("a long random text");
/// let tools = Mcp::new(Analytics::new(MemoryStore::new()), access)
///     .public_url("https://llm.example.com")?
///     .zone("Europe/Berlin")?
///     .into_service();
/// let app: axum::Router = axum::Router::new().nest_service("/tagging/mcp", tools);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "the tools serve nothing until they become a service"]
pub struct Mcp {
    api: ApiClient,
    /// Decides before the tools whether a caller is known.
    access: Arc<dyn Access>,
    settings: Settings,
    hosts: Vec<String>,
}

impl Mcp {
    /// Creates the tools over a store. The access decides what each caller sees, as for the
    /// [HTTP API](crate::analytics::api).
    ///
    /// It sees the head of the request that the agent sent, and is asked more than once per request.
    pub fn new(analytics: Analytics, access: impl Access) -> Self {
        Self::from_api(&Api::new(analytics, access))
    }

    /// Creates the tools over the store of an API in this process, with its access, settings, and export jobs.
    ///
    /// ```
    /// # use tower_tagging::{analytics::{Analytics, Grant, api::Api}, mcp::Mcp, store::MemoryStore};
    /// # let access = |_: &http::request::Parts| Ok(Grant::everything());
    /// let api = Api::new(Analytics::new(MemoryStore::new()), access);
    /// let tools = Mcp::from_api(&api).into_service();
    /// let app: axum::Router =
    ///     axum::Router::new().nest("/tagging/v1", api.into_router()).nest_service("/tagging/mcp", tools);
    /// ```
    pub fn from_api(api: &Api) -> Self {
        let (access, zone) = api.access_and_zone();
        let router = api.with_access(|access| Arc::new(CallerAccess(access))).into_router();
        // The API has checked it.
        let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
        let settings = Settings { zone, ..Settings::default() };
        Self { api: ApiClient::new(router), access, settings, hosts: Vec::new() }
    }

    /// Creates the tools over a service that speaks the analytics API, such as an HTTP client of a hosted one.
    ///
    /// The service adds the base URL and the API key: requests have only a path, such as `/analytics/graphs/cost`, and a query
    /// string. As every caller would use that key, the tools are for one person, and not an HTTP service.
    pub fn over_api<S, B>(api: S) -> McpOverApi
    where
        S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        S::Future: Send + 'static,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        McpOverApi::new(ApiClient::new(api))
    }

    /// Sets the external base URL of the host: for links to the dashboard, and as the only host and origin that are allowed.
    ///
    /// Without it, only the hosts and origins of this machine are allowed, and links have the host of the request. Requests for
    /// a host that [`allow_host`](Self::allow_host) adds get no links. A proxy in front must forward the header `host`.
    ///
    /// # Errors
    /// Returns [`QueryError::Invalid`] if it is not an `http` or `https` URL with a host.
    pub fn public_url(mut self, url: impl Into<String>) -> Result<Self, QueryError> {
        self.settings.set_public_url(&url.into())?;
        Ok(self)
    }

    /// Allows a further host, with or without a port, such as `llm.internal:8787`, and pages from it.
    pub fn allow_host(mut self, host: impl Into<String>) -> Self {
        self.hosts.push(host.into());
        self
    }

    /// Sets the path at which the dashboard is mounted, below the external base URL. The default is `/tagging/`.
    pub fn dashboard_path(mut self, path: &str) -> Self {
        self.settings.set_dashboard_path(path);
        self
    }

    /// Sets the IANA time zone of days in calls that do not name one, such as `Europe/Berlin`. The default is UTC. It should be
    /// that of the dashboard.
    ///
    /// # Errors
    /// Returns [`QueryError::Invalid`] if the zone is unknown.
    pub fn zone(mut self, name: &str) -> Result<Self, QueryError> {
        self.settings.set_zone(name)?;
        Ok(self)
    }

    /// Sets the sentence that ends the message about a key that the API does not accept, such as where to set it.
    pub fn key_hint(mut self, sentence: impl Into<String>) -> Self {
        self.settings.key_hint = sentence.into();
        self
    }

    /// Returns the HTTP service, which can be mounted anywhere, for example with `Router::nest_service`.
    pub fn into_service(self) -> McpService {
        let (access, hosts) = (Arc::clone(&self.access), self.hosts.clone());
        McpService::new(self.into_server(), access, &hosts)
    }

    /// Returns the tools for another transport of `rmcp`, such as standard input and output.
    ///
    /// Nothing checks a caller before the tools. Each call asks the access about a request without headers.
    pub fn into_server(self) -> McpServer {
        McpServer { api: self.api, settings: Arc::new(self.settings) }
    }
}

/// Returns the tools as an HTTP service, which can be mounted anywhere: [`Mcp`] with its defaults.
pub fn service(analytics: Analytics, access: impl Access) -> McpService {
    Mcp::new(analytics, access).into_service()
}

impl fmt::Debug for Mcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mcp").field("settings", &self.settings).field("hosts", &self.hosts).finish_non_exhaustive()
    }
}
