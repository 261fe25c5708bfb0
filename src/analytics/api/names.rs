//! The names of dimensions and measures, for errors and for the OpenAPI document.

use serde_json::Value;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr,
        schema::{AnyOfBuilder, ObjectBuilder, Schema, Type},
    },
};

use crate::{
    analytics::{Bucket, Measure},
    row::{Field, Number},
};

/// The measures with a dimension, as they are written, and the pattern of their names.
pub(super) const FUNCTIONS: &[(&str, &str)] = &[
    ("distinct(DIMENSION)", r"^distinct\(.+\)$"),
    ("coverage(metadata.KEY)", r"^coverage\(metadata\..+\)$"),
    ("cost_coverage(metadata.KEY)", r"^cost_coverage\(metadata\..+\)$"),
];
/// The pattern of the names of tags.
const TAG: &str = r"^metadata\..+$";

/// Returns the names of the measures without a dimension.
pub(super) fn measures() -> impl Iterator<Item = String> {
    Measure::ALL.iter().map(ToString::to_string)
}

/// Returns the names of the fields.
pub(super) fn fields() -> impl Iterator<Item = &'static str> {
    Field::ALL.iter().map(|field| field.as_str())
}

fn one_of<T: Into<Value>>(names: impl Iterator<Item = T>) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names.map(Into::into).collect::<Vec<Value>>()))
}

fn pattern(pattern: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern))
}

/// The name of a dimension.
pub(super) struct DimensionName;

impl PartialSchema for DimensionName {
    fn schema() -> RefOr<Schema> {
        let tag = pattern(TAG).description(Some("A tag, by its key."));
        AnyOfBuilder::new().item(one_of(fields())).item(tag).into()
    }
}

impl ToSchema for DimensionName {}

/// The name of a measure.
pub(super) struct MeasureName;

impl PartialSchema for MeasureName {
    fn schema() -> RefOr<Schema> {
        let functions = FUNCTIONS.iter().map(|(name, form)| pattern(form).description(Some(*name)));
        functions.fold(AnyOfBuilder::new().item(one_of(measures())), AnyOfBuilder::item).into()
    }
}

impl ToSchema for MeasureName {}

/// What a condition is on.
pub(super) struct ConditionName;

impl PartialSchema for ConditionName {
    fn schema() -> RefOr<Schema> {
        let numbers = one_of(Number::ALL.iter().map(|number| number.as_str()));
        let numbers = numbers.description(Some("A number, for the op `between`."));
        let trace = one_of(["trace"].into_iter()).description(Some("Either trace id, for the ops `is` and `in`."));
        AnyOfBuilder::new().item(DimensionName::schema()).item(numbers).item(trace).into()
    }
}

impl ToSchema for ConditionName {}

/// What groups are ordered by.
pub(super) struct OrderName;

impl PartialSchema for OrderName {
    fn schema() -> RefOr<Schema> {
        let values = one_of(["values"].into_iter()).description(Some("The values of the groups."));
        AnyOfBuilder::new().item(MeasureName::schema()).item(values).into()
    }
}

impl ToSchema for OrderName {}

/// The name of a width of buckets.
pub(super) struct BucketName;

impl PartialSchema for BucketName {
    fn schema() -> RefOr<Schema> {
        one_of(Bucket::ALL.iter().map(|bucket| bucket.as_str())).into()
    }
}

impl ToSchema for BucketName {}
