use axum::{
    Extension, Router,
    routing::{get, put},
};

use crate::analytics::api::{ApiExtension, ApiState};

use super::{
    super::limiter::Limiter, endpoints::endpoints, entities, key_limits::LimitsOfKeys, limits, rate_limits,
    usage_limits,
};

impl Limiter {
    /// Returns the endpoints of limits for [`Api::merge`](crate::analytics::api::Api::merge).
    ///
    /// ```
    /// use tower_tagging::{
    ///     analytics::{Analytics, Grant, api::Api},
    ///     limit::Limiter,
    ///     store::MemoryStore,
    /// };
    ///
    /// let limiter = Limiter::builder().build()?;
    /// let access = |_: &http::request::Parts| Ok(Grant::everything());
    /// let app = Api::new(Analytics::new(MemoryStore::new()), access).merge(limiter.api()).into_router();
    /// # let _: axum::Router = app;
    /// # Ok::<(), tower_tagging::ConfigError>(())
    /// ```
    ///
    /// | endpoint | permission |
    /// |---|---|
    /// | `GET /limits`: the budgets with their groups, and the rates | `analytics.view` |
    /// | `POST` and `GET /policies/usage-limits`, and `GET`, `PUT`, and `DELETE` with `/{id}` | `admin` |
    /// | `POST` and `GET /policies/rate-limits`, and `GET`, `PUT`, and `DELETE` with `/{id}` | `admin` |
    /// | `GET /policies/usage-limits/{id}/entities`, `PUT /policies/usage-limits/{id}/entities/{entity_id}/reset` | `admin` |
    ///
    /// Limits that are created here are stored in the tables of the store, and take effect in this process at once. Call
    /// [`refresh_from`](Self::refresh_from) when the service starts, and then every few seconds. `GET /virtual-keys` shows the
    /// limits of virtual keys that `GET /limits` shows to the same caller.
    ///
    /// Limits from code or configuration are listed with `"source": "config"`. Changes of them are errors with the status 409. A
    /// key of a workspace sees and changes only the limits of its workspace, and a limit that it creates is one of the workspace.
    ///
    /// The body is that of Portkey's policies, with additional members, which have Portkey's behavior if they are left out:
    ///
    /// | member | meaning | default |
    /// |---|---|---|
    /// | `on_missing` | requests without a property: `skip`, `deny`, or `bucket` | `skip` |
    /// | `on_unpriced` | usage limits: models without a price, `allow` or `deny` | `allow` |
    /// | `on_store_error` | while the ledger is not available: `allow` or `deny` | `allow` |
    /// | `mode` | `enforce`, `shadow`, or `off` | `enforce` |
    /// | `rejection_status` | the status of rejections | 429 |
    /// | `zone` | usage limits: the time zone of `periodic_reset` | UTC |
    ///
    /// `PUT` changes the members of its body. `null` removes one. `type`, `group_by`, `target`, and `workspace_id` cannot be
    /// changed. A change of the window starts a new count, because the window is part of what is counted.
    pub fn api(&self) -> ApiExtension {
        let routes: Router<ApiState> = Router::new()
            .route("/limits", get(limits::limits))
            .route("/policies/usage-limits", get(usage_limits::list).post(usage_limits::create))
            .route(
                "/policies/usage-limits/{id}",
                get(usage_limits::read).put(usage_limits::update).delete(usage_limits::delete),
            )
            .route("/policies/usage-limits/{id}/entities", get(entities::list))
            .route("/policies/usage-limits/{id}/entities/{entity_id}/reset", put(entities::reset_entity))
            .route("/policies/rate-limits", get(rate_limits::list).post(rate_limits::create))
            .route(
                "/policies/rate-limits/{id}",
                get(rate_limits::read).put(rate_limits::update).delete(rate_limits::delete),
            )
            .layer(Extension(self.clone()));
        ApiExtension::new(routes, endpoints, LimitsOfKeys(self.clone()))
    }
}
