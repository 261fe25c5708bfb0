//! The schemas of views of traces and of manifests of FOCUS files, whose types are not those of this API only.

use utoipa::openapi::{
    RefOr,
    schema::{ObjectBuilder, Schema, Type},
};

use super::components::{Components, list_of, nullable, value};

/// The members of an object: those that are always known, and those that may be `null`.
struct Members {
    known: &'static [(&'static str, Type)],
    nullable: &'static [(&'static str, Type)],
}

impl Members {
    fn object(&self) -> ObjectBuilder {
        let known = self.known.iter().map(|(name, kind)| (*name, value(kind.clone())));
        let nullable = self.nullable.iter().map(|(name, kind)| (*name, nullable(kind.clone())));
        known
            .chain(nullable)
            .fold(ObjectBuilder::new(), |object, (name, schema)| object.property(name, schema).required(name))
    }
}

const TURN: Members = Members {
    known: &[
        ("id", Type::String),
        ("requested_at", Type::String),
        ("offset_ms", Type::Integer),
        ("duration_ms", Type::Integer),
        ("trace_id", Type::String),
        ("span_id", Type::String),
        ("depth", Type::Integer),
        ("name", Type::String),
        ("outcome", Type::String),
        ("is_error", Type::Boolean),
        ("running_cost", Type::Number),
    ],
    nullable: &[
        ("time_to_first_token_ms", Type::Integer),
        ("parent_span_id", Type::String),
        ("parent", Type::Integer),
        ("span_path", Type::String),
        ("turn", Type::String),
        ("provider", Type::String),
        ("model", Type::String),
        ("operation", Type::String),
        ("status_code", Type::Integer),
        ("error", Type::String),
        ("retry_of", Type::Integer),
        ("in_loop", Type::Integer),
        ("input_tokens", Type::Integer),
        ("output_tokens", Type::Integer),
        ("cache_read_tokens", Type::Integer),
        ("input_growth", Type::Integer),
        ("cost", Type::Number),
        ("cost_status", Type::String),
    ],
};

const SUMMARY: Members = Members {
    known: &[
        ("turns", Type::Integer),
        ("llm_calls", Type::Integer),
        ("traces", Type::Integer),
        ("cost", Type::Number),
        ("unpriced", Type::Integer),
        ("failures", Type::Integer),
        ("failure_cost", Type::Number),
        ("retries", Type::Integer),
        ("retry_cost", Type::Number),
        ("cancelled", Type::Integer),
        ("input_tokens", Type::Integer),
        ("output_tokens", Type::Integer),
        ("cache_read_tokens", Type::Integer),
    ],
    nullable: &[
        ("started_at", Type::String),
        ("ended_at", Type::String),
        ("duration_ms", Type::Integer),
        ("unpriced_share", Type::Number),
        ("wasted_share", Type::Number),
        ("max_input_tokens", Type::Integer),
        ("first_failure", Type::Integer),
        ("costliest", Type::Integer),
        ("slowest", Type::Integer),
    ],
};

const MANIFEST: Members = Members {
    known: &[
        ("focus_version", Type::String),
        ("from", Type::String),
        ("to", Type::String),
        ("rows", Type::Integer),
        ("sha256", Type::String),
        ("billed_cost_nanos", Type::Integer),
        ("priced_requests", Type::Integer),
        ("partially_priced_requests", Type::Integer),
        ("unpriced_requests", Type::Integer),
    ],
    nullable: &[],
};

const UNPRICED: Members = Members {
    known: &[("day", Type::String), ("requests", Type::Integer)],
    nullable: &[
        ("provider", Type::String),
        ("model", Type::String),
        ("workspace", Type::String),
        ("cost_status", Type::String),
    ],
};

/// Adds the schema of the view of a trace. Returns the reference.
pub(super) fn trace_view(components: &mut Components) -> RefOr<Schema> {
    let turn = TURN
        .object()
        .description(Some("A request. Money is in US dollars. Other turns and loops are referred to by their index."));
    let turn = components.add("Turn", turn);
    let step_loop = ObjectBuilder::new()
        .property("steps", list_of(value(Type::String).into()))
        .property("repeats", value(Type::Integer))
        .property("turns", list_of(value(Type::Integer).into()))
        .property("cost", value(Type::Number));
    let step_loop = ["steps", "repeats", "turns", "cost"].into_iter().fold(step_loop, ObjectBuilder::required);
    let step_loop = components.add("StepLoop", step_loop);
    let summary = components.add("TraceSummary", SUMMARY.object());
    let view = ObjectBuilder::new()
        .property("turns", list_of(turn))
        .property("loops", list_of(step_loop))
        .property("summary", summary)
        .property("is_cut", value(Type::Boolean).description(Some("true if the view lacks turns before `from`.")))
        .property("from", value(Type::String).description(Some("The time from which the view has all turns.")))
        .property("to", value(Type::String).description(Some("The end of the range, excluded.")));
    let required = ["turns", "loops", "summary", "is_cut", "from", "to"];
    components.add("TraceView", required.into_iter().fold(view, ObjectBuilder::required))
}

/// Adds the schema of the manifest of a FOCUS file. Returns the reference.
pub(super) fn manifest(components: &mut Components) -> RefOr<Schema> {
    let tags = ObjectBuilder::new().additional_properties(Some(value(Type::String)));
    let quantities = ObjectBuilder::new().additional_properties(Some(value(Type::Integer)));
    let unpriced = UNPRICED.object().property("tags", tags).property("quantities", quantities);
    let unpriced = components.add("UnpricedUsage", unpriced.required("tags").required("quantities"));
    let manifest = MANIFEST
        .object()
        .property("columns", list_of(value(Type::String).into()))
        .property("tag_keys", list_of(value(Type::String).into()))
        .property("unpriced", list_of(unpriced));
    let required = ["columns", "tag_keys", "unpriced"];
    components.add("FocusManifest", required.into_iter().fold(manifest, ObjectBuilder::required))
}
