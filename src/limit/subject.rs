use crate::{
    event::Event,
    metadata::Metadata,
    request::GatedRequest,
    row::{Dimension, EventRow, Field},
};

/// A request as rules see it: before it is served, as an event, or as a stored row.
///
/// All three have the same values, so that the ledger can be rebuilt from rows.
pub(crate) trait Subject {
    /// Returns the value of a property that rules may use. `None` if it is missing or empty.
    fn value(&self, dimension: &Dimension) -> Option<&str> {
        let value = match dimension {
            Dimension::Tag(key) => self.metadata().get(key),
            Dimension::Field(field) => self.field(*field),
        };
        value.filter(|value| !value.is_empty())
    }

    /// Returns the effective tags.
    fn metadata(&self) -> &Metadata;

    /// Returns the API key, workspace, virtual key, provider, requested model, or route. Other fields are `None`.
    fn field(&self, field: Field) -> Option<&str>;
}

impl Subject for GatedRequest {
    fn metadata(&self) -> &Metadata {
        self.metadata()
    }

    fn field(&self, field: Field) -> Option<&str> {
        match field {
            Field::ApiKey => self.api_key(),
            Field::Workspace => self.workspace(),
            Field::VirtualKey => self.virtual_key(),
            Field::Route => self.route(),
            Field::Provider => self.provider(),
            Field::RequestModel => self.model(),
            _ => None,
        }
    }
}

impl Subject for Event {
    fn metadata(&self) -> &Metadata {
        self.metadata()
    }

    fn field(&self, field: Field) -> Option<&str> {
        match field {
            Field::ApiKey => self.api_key(),
            Field::Workspace => self.workspace(),
            Field::VirtualKey => self.virtual_key(),
            Field::Route => self.route(),
            Field::Provider => self.llm()?.provider(),
            Field::RequestModel => self.llm()?.request_model(),
            _ => None,
        }
    }
}

impl Subject for EventRow {
    fn metadata(&self) -> &Metadata {
        &self.raw_metadata
    }

    fn field(&self, field: Field) -> Option<&str> {
        match field {
            Field::ApiKey => self.api_key.as_deref(),
            Field::Workspace => self.workspace.as_deref(),
            Field::VirtualKey => self.virtual_key.as_deref(),
            Field::Route => self.route.as_deref(),
            Field::Provider => self.provider.as_deref(),
            Field::RequestModel => self.request_model.as_deref(),
            _ => None,
        }
    }
}
