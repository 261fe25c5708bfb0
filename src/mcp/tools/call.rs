use std::sync::Arc;

use http::{Method, request::Parts};
use serde_json::Value;

use crate::{
    analytics::jiff::Timestamp,
    mcp::{
        api_client::{ApiClient, Reply},
        dashboard_link::DashboardLink,
        settings::Settings,
        tool_error::ToolError,
    },
};

/// A call of a tool.
#[derive(Clone, Debug)]
pub(crate) struct Call<'c> {
    pub(crate) api: &'c ApiClient,
    pub(crate) settings: &'c Settings,
    /// The head of the request that carries the call, if it is an HTTP request.
    pub(crate) head: Option<&'c Arc<Parts>>,
    pub(crate) now: Timestamp,
}

impl Call<'_> {
    pub(super) async fn get(&self, path: &str) -> Result<Reply, ToolError> {
        self.api.send(self.head, Method::GET, path, None, &self.settings.key_hint).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Reply, ToolError> {
        self.api.send(self.head, Method::POST, path, Some(body), &self.settings.key_hint).await
    }

    pub(super) fn link(&self) -> DashboardLink {
        let base = self.settings.dashboard(self.head.map(|head| &**head));
        DashboardLink::new(base, self.settings.zone.clone(), self.now)
    }
}
