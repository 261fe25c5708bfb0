use axum::extract::FromRequestParts;
use http::request::Parts;

use crate::{analytics::Grant, registry::Permission};

use super::{api_error::ApiError, state::ApiState};

/// The caller of a request.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) grant: Grant,
}

impl Caller {
    /// Checks a permission.
    ///
    /// # Errors
    /// Returns the status 403 if the caller does not have it.
    pub(crate) fn require(&self, permission: Permission) -> Result<(), ApiError> {
        Ok(self.grant.require(permission)?)
    }

    /// Returns `true` if the caller sees all requests.
    pub(crate) fn sees_everything(&self) -> bool {
        self.grant.covers_everything()
    }
}

impl FromRequestParts<ApiState> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(head: &mut Parts, api: &ApiState) -> Result<Self, ApiError> {
        Ok(Self { grant: api.access.grant(head)? })
    }
}
