use axum::extract::FromRequestParts;
use http::request::Parts;

use crate::{analytics::Grant, registry::Permission, store::Change};

use super::{api_error::ApiError, parameter::Accepted, parameters::Parameters, state::ApiState};

/// The caller of a request.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) grant: Grant,
    /// The author of changes.
    name: Option<String>,
    /// The query string.
    query: String,
}

impl Caller {
    /// Checks a permission, and reads the parameters of the request.
    ///
    /// # Errors
    /// Returns the status 403 if the caller does not have the permission, and then 400 if a parameter is not accepted.
    pub(crate) fn require(&self, permission: Permission, accepted: Accepted) -> Result<Parameters, ApiError> {
        self.grant.require(permission)?;
        Parameters::parse(&self.query, accepted)
    }

    /// Adds a change by the caller to the log.
    ///
    /// # Errors
    /// Returns the status 500 if the store fails.
    pub(crate) async fn record(&self, api: &ApiState, action: &str, subject: String) -> Result<(), ApiError> {
        let author = self.name.as_deref().unwrap_or_default();
        let change =
            Change::new(action, subject).in_workspace(self.grant.workspace()).of_scope(self.grant.change_scope());
        Ok(api.analytics.authored_by(author).record_change(change).await?)
    }

    /// Returns the author of changes. It is empty for the application.
    #[cfg(feature = "limit")]
    pub(crate) fn author(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// Returns `true` if the caller sees all requests.
    pub(crate) fn sees_everything(&self) -> bool {
        self.grant.covers_everything()
    }
}

impl FromRequestParts<ApiState> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(head: &mut Parts, api: &ApiState) -> Result<Self, ApiError> {
        let (grant, name) = (api.access.grant(head)?, api.access.caller_name(head));
        Ok(Self { grant, name, query: head.uri.query().unwrap_or_default().to_owned() })
    }
}
