//! The schemas of the answer to `POST /query`, whose types are not those of this API only.

use utoipa::openapi::{
    Ref, RefOr,
    schema::{ObjectBuilder, Schema, SchemaType, Type},
};

use super::components::{Components, list_of, nullable, value};

/// Adds the schema of an answer. Returns the reference.
pub(super) fn answer(components: &mut Components) -> RefOr<Schema> {
    let amount = ObjectBuilder::new()
        .schema_type(SchemaType::Array(vec![Type::Number, Type::String, Type::Null]))
        .description(Some(
            "Counts as they are, money in US dollars, rates from 0 to 100, durations in milliseconds, times as RFC 3339. \
             null if unknown.",
        ));
    let amount = components.add("Amount", amount);
    let cell = list_of(amount).description(Some("The values of the measures, in the order of the query."));
    let cell = components.add("Cell", cell);
    let group = ObjectBuilder::new()
        .property("values", list_of(nullable(Type::String).into()))
        .property("total", cell.clone())
        .property("series", list_of(cell.clone()))
        .required("values")
        .required("total");
    let group = components.add("Group", group);
    components.add("Basis", basis_schema());
    let answer = ObjectBuilder::new()
        .property("group_by", list_of(value(Type::String).into()))
        .property("measures", list_of(value(Type::String).into()))
        .property("buckets", list_of(value(Type::String).description(Some("The start of a bucket.")).into()))
        .property("total", cell.clone())
        .property("series", list_of(cell))
        .property("groups", list_of(group))
        .property("group_count", value(Type::Integer).description(Some("The number of all groups.")))
        .property("next", nullable(Type::String).description(Some("The cursor of the next groups.")))
        .property("basis", basis());
    let required = ["group_by", "measures", "total", "groups", "group_count", "next", "basis"];
    components.add("Answer", required.into_iter().fold(answer, ObjectBuilder::required))
}

/// Returns the reference to the schema of a basis.
pub(super) fn basis() -> Ref {
    Ref::from_schema_name("Basis")
}

fn basis_schema() -> ObjectBuilder {
    let basis = ObjectBuilder::new()
        .property("data_up_to", nullable(Type::String))
        .property("from", value(Type::String))
        .property("to", value(Type::String))
        .property("grain", value(Type::String))
        .property("is_exact", value(Type::Boolean))
        .property("unpriced_share", nullable(Type::Number))
        .property("rows_read", value(Type::Integer))
        .property("notes", list_of(value(Type::String).into()));
    let required = ["data_up_to", "from", "to", "grain", "is_exact", "unpriced_share", "rows_read", "notes"];
    required.into_iter().fold(basis, ObjectBuilder::required)
}

/// Adds the schema of an explanation. Returns the reference.
pub(super) fn explanation(components: &mut Components) -> RefOr<Schema> {
    let lines = list_of(value(Type::String).into()).description(Some("The sums and rows that are read."));
    components.add("Explanation", ObjectBuilder::new().property("lines", lines).required("lines"))
}

/// Returns the reference to the schema of errors.
pub(super) fn error() -> Ref {
    Ref::from_schema_name("ErrorBody")
}
