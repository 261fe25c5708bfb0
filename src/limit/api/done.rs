use serde::Serialize;
use utoipa::ToSchema;

/// An empty object.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(crate) struct Done {}
