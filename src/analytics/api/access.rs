use http::request::Parts;

use crate::{analytics::Grant, registry::Registry, tagging::Identity};

use super::Denied;

/// Decides what the caller of an API request may see and do.
///
/// [`RegistryAccess`](super::RegistryAccess) reads API keys. A closure is an access too, for hosts with their own login:
///
/// ```
/// use tower_tagging::{
///     analytics::{Analytics, Filter, Grant, api::{self, Denied}},
///     store::{Field, MemoryStore},
/// };
///
/// #[derive(Clone)]
/// struct Tenant(String);
///
/// // The host's login inserts `Tenant` into the extensions of the request.
/// let access = |head: &http::request::Parts| match head.extensions.get::<Tenant>() {
///     Some(Tenant(slug)) => Ok(Grant::only([Filter::is(Field::Workspace, slug)])),
///     None => Err(Denied::Unauthenticated),
/// };
/// let app: axum::Router = axum::Router::new().nest("/v1", api::router(Analytics::new(MemoryStore::new()), access));
/// ```
pub trait Access: Send + Sync + 'static {
    /// Returns the grant of the caller.
    ///
    /// It is called once per request, on the task that serves it, so it must not block.
    ///
    /// # Errors
    /// Returns [`Denied::Unauthenticated`] if the caller is unknown, and [`Denied::Forbidden`] if it may not use the API.
    fn grant(&self, head: &Parts) -> Result<Grant, Denied>;

    /// Returns the identity of a caller of `POST /logs`: key, workspace, and trusted tags, which the tags of the logged
    /// requests cannot override.
    ///
    /// The default is an empty identity. If the grant covers a single workspace, the requests belong to it.
    fn identify(&self, head: &Parts) -> Identity {
        let _ = head;
        Identity::new()
    }

    /// Returns the name of the caller, who owns saved views and is the author of changes.
    ///
    /// Names distinguish callers with the same grant. The default is `None`: the caller cannot save views, and its
    /// changes are those of the application.
    fn caller_name(&self, head: &Parts) -> Option<String> {
        let _ = head;
        None
    }

    /// Returns a check that [grants](Self::grant) the caller access again when a link to a file is used.
    ///
    /// Links work without a key for ten minutes. The default is `None`: they work for their whole time. The check stays in
    /// memory that long, so it should not keep secrets.
    fn recheck(&self, head: &Parts) -> Option<Box<dyn Fn() -> Result<Grant, Denied> + Send + Sync>> {
        let _ = head;
        None
    }

    /// Returns the registry whose workspaces and virtual keys are listed. The default is `None`: the lists are empty.
    fn registry(&self) -> Option<&Registry> {
        None
    }
}

impl<F> Access for F
where
    F: Fn(&Parts) -> Result<Grant, Denied> + Send + Sync + 'static,
{
    fn grant(&self, head: &Parts) -> Result<Grant, Denied> {
        self(head)
    }
}
