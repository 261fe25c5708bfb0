use crate::{Metadata, metadata::Limits};

#[cfg(feature = "schema")]
use super::super::contract::Contract;

/// A group of API keys with common tags, such as a tenant.
///
/// ```
/// use tower_tagging::{registry::Workspace, tags};
///
/// let acme = Workspace::new("acme").name("Acme Corp").metadata(tags! { "company" => "acme" });
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Workspace {
    pub(crate) slug: String,
    pub(crate) name: Option<String>,
    pub(crate) metadata: Metadata,
    pub(crate) limits: Option<Limits>,
    #[cfg(feature = "schema")]
    pub(crate) contract: Option<Contract>,
}

impl Workspace {
    /// Creates a workspace without tags. The slug names it on events.
    pub fn new(slug: impl Into<String>) -> Self {
        Self {
            slug: slug.into(),
            name: None,
            metadata: Metadata::new(),
            limits: None,
            #[cfg(feature = "schema")]
            contract: None,
        }
    }

    /// Sets the name for display. The default is the slug.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the tags of [`Scope::Workspace`](crate::Scope::Workspace).
    pub fn metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// Sets the limits on the tags of its requests. The default is the limits of the layer.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = Some(limits);
        self
    }

    /// Sets the contract for its requests, in addition to the global one.
    #[cfg(feature = "schema")]
    pub fn contract(mut self, contract: Contract) -> Self {
        self.contract = Some(contract);
        self
    }
}
