use std::collections::BTreeMap;

use utoipa::{
    ToSchema,
    openapi::{
        Ref, RefOr,
        schema::{ArrayBuilder, ObjectBuilder, Schema, SchemaType, Type},
    },
};

/// The schemas that endpoints refer to, by their names.
#[derive(Default)]
pub(crate) struct Components(pub(crate) BTreeMap<String, RefOr<Schema>>);

impl Components {
    /// Adds the schema of a type, and those that it refers to. Returns the reference.
    pub(crate) fn of<T: ToSchema>(&mut self) -> RefOr<Schema> {
        let mut inner = Vec::new();
        T::schemas(&mut inner);
        self.0.extend(inner);
        self.0.insert(T::name().into_owned(), T::schema());
        Ref::from_schema_name(T::name()).into()
    }

    /// Adds a schema. Returns the reference.
    pub(crate) fn add(&mut self, name: &str, schema: impl Into<RefOr<Schema>>) -> RefOr<Schema> {
        self.0.insert(name.to_owned(), schema.into());
        Ref::from_schema_name(name).into()
    }
}

/// Returns the schema of a value of a type.
pub(crate) fn value(kind: Type) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(kind)
}

/// Returns the schema of a value of a type, or `null`.
pub(crate) fn nullable(kind: Type) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::Array(vec![kind, Type::Null]))
}

/// Returns the schema of a list.
pub(crate) fn list_of(item: RefOr<Schema>) -> ArrayBuilder {
    match item {
        RefOr::Ref(reference) => ArrayBuilder::new().items(reference),
        RefOr::T(Schema::Object(object)) => ArrayBuilder::new().items(object),
        RefOr::T(Schema::Array(array)) => ArrayBuilder::new()
            .items(utoipa::openapi::schema::ArrayItems::RefOrSchema(Box::new(RefOr::T(Schema::Array(array))))),
        other @ RefOr::T(_) => {
            ArrayBuilder::new().items(utoipa::openapi::schema::ArrayItems::RefOrSchema(Box::new(other)))
        }
    }
}

/// Returns the schema of the envelope of lists.
pub(crate) fn envelope(item: RefOr<Schema>) -> ObjectBuilder {
    ObjectBuilder::new()
        .property("object", value(Type::String).enum_values(Some(["list"])))
        .property("total", value(Type::Integer).description(Some("The number of entries on all pages.")))
        .property("data", list_of(item))
        .required("object")
        .required("total")
        .required("data")
}

/// Returns the schema of a group: its value, the number of its requests, and the other columns that were asked for.
pub(crate) fn group() -> ObjectBuilder {
    let column = ObjectBuilder::new()
        .schema_type(SchemaType::Array(vec![Type::String, Type::Number, Type::Null]))
        .description(Some("The value of the group, or a column: cost is in cents."));
    ObjectBuilder::new()
        .property("requests", value(Type::Integer))
        .property("object", value(Type::String).enum_values(Some(["analytics-group"])))
        .required("requests")
        .required("object")
        .additional_properties(Some(column))
}
