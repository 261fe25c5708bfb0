use utoipa::openapi::{
    Required,
    path::{Parameter, ParameterBuilder, ParameterIn},
    schema::{ObjectBuilder, Type},
};

use super::super::parameter::Accepted;

/// Returns the parameters in the query string.
pub(super) fn in_query(accepted: Accepted) -> impl Iterator<Item = Parameter> {
    accepted
        .iter()
        .copied()
        .flatten()
        .map(|known| parameter(known.name, known.kind.clone(), known.text, ParameterIn::Query, known.is_required))
}

/// Returns a parameter in the path.
pub(super) fn in_path(name: &str) -> Parameter {
    parameter(name, Type::String, "", ParameterIn::Path, true)
}

/// Returns a header of the request.
pub(super) fn in_header(name: &str, description: &str) -> Parameter {
    parameter(name, Type::String, description, ParameterIn::Header, false)
}

fn parameter(name: &str, kind: Type, description: &str, place: ParameterIn, is_required: bool) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(if is_required { Required::True } else { Required::False })
        .description((!description.is_empty()).then_some(description))
        .schema(Some(ObjectBuilder::new().schema_type(kind)))
        .build()
}
