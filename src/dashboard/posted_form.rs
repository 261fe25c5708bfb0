use http::request::Parts;

use crate::analytics::{Analytics, Grant};

use super::{mount::Mount, page_error::PageError, state::DashboardState, view::UrlQuery};

/// A form that changes something.
#[derive(Debug)]
pub(crate) struct PostedForm {
    pub(crate) grant: Grant,
    /// The handle whose changes are those of the caller.
    pub(crate) analytics: Analytics,
    pub(crate) mount: Mount,
    fields: UrlQuery,
}

impl PostedForm {
    /// Reads a form.
    ///
    /// # Errors
    /// Returns an error if the caller is unknown, or if a page of another origin sent the form.
    pub(crate) fn read(state: &DashboardState, head: &Parts, body: &[u8]) -> Result<Self, PageError> {
        let grant = state.access.grant(head)?;
        if !state.site().has_same_origin(head) {
            return Err(PageError::forbidden("The form was sent by another site."));
        }
        let analytics = state.analytics_of(state.access.caller_name(head).as_deref());
        let mount = Mount::of(&head.extensions, &head.uri);
        let fields = UrlQuery::parse(std::str::from_utf8(body).unwrap_or_default())?;
        Ok(Self { grant, analytics, mount, fields })
    }

    /// Returns the value of an input that may be empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.fields.get(name)
    }

    /// Returns the value of an input.
    ///
    /// # Errors
    /// Returns an error if it is missing or empty.
    pub(crate) fn require(&self, name: &str) -> Result<&str, PageError> {
        self.get(name).ok_or_else(|| PageError::invalid(format!("The form has no {name}.")))
    }
}
