use std::{fmt, sync::Arc, time::Duration};

use crate::analytics::QueryError;

use super::{McpServer, api_client::ApiClient, settings::Settings};

/// The time for a request, unless another is set.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The tools over another API, before they become a server. [`Mcp::over_api`](super::Mcp::over_api) creates them.
///
/// The API decides by the one key that the client sends, whoever calls. So they are served to the owner of the key, by standard
/// input and output, and cannot become an HTTP service: each caller of it would see what the key may see.
///
/// ```
/// # use tower_tagging::mcp::Mcp;
/// let server = Mcp::over_api(axum::Router::new()).into_server();
/// ```
///
/// ```compile_fail
/// # use tower_tagging::mcp::Mcp;
/// let service = Mcp::over_api(axum::Router::new()).into_service();
/// ```
#[must_use = "the tools serve nothing until they become a server"]
pub struct McpOverApi {
    api: ApiClient,
    settings: Settings,
    timeout: Duration,
}

impl McpOverApi {
    pub(super) fn new(api: ApiClient) -> Self {
        Self { api, settings: Settings::default(), timeout: TIMEOUT }
    }

    /// Sets the external base URL of the host with the dashboard, for links. Without it, answers have no links.
    ///
    /// # Errors
    /// Returns [`QueryError::Invalid`] if it is not an `http` or `https` URL with a host.
    pub fn public_url(mut self, url: impl Into<String>) -> Result<Self, QueryError> {
        self.settings.set_public_url(&url.into())?;
        Ok(self)
    }

    /// Sets the path at which the dashboard is mounted, below the external base URL. The default is `/tagging/`.
    pub fn dashboard_path(mut self, path: &str) -> Self {
        self.settings.set_dashboard_path(path);
        self
    }

    /// Sets the IANA time zone of days in calls that do not name one, such as `Europe/Berlin`. The default is UTC.
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

    /// Sets the time that the API has for each request, until its answer is read. The default is a minute.
    ///
    /// A call of a tool that takes longer fails. It makes at most two requests.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Returns the tools for a transport of `rmcp`, such as standard input and output.
    ///
    /// Whoever uses the transport uses the key of the client.
    pub fn into_server(self) -> McpServer {
        McpServer { api: self.api.with_timeout(self.timeout), settings: Arc::new(self.settings) }
    }
}

impl fmt::Debug for McpOverApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("McpOverApi").field("settings", &self.settings).finish_non_exhaustive()
    }
}
