use utoipa::openapi::{
    Required,
    path::{Parameter, ParameterBuilder, ParameterIn},
    schema::{ObjectBuilder, Type},
};

/// The parameters that select requests: name, type, description.
const SELECTION: &[(&str, Type, &str)] = &[
    ("time_of_generation_min", Type::String, "The first instant, as ISO 8601 with an offset."),
    ("time_of_generation_max", Type::String, "The instant after the last one, as ISO 8601 with an offset."),
    (
        "time_zone",
        Type::String,
        "The IANA time zone of the days of a series. The default is that of the server, which is UTC unless configured.",
    ),
    ("workspace_slug", Type::String, "Comma-separated workspaces. Ignored for keys of a workspace."),
    ("total_units_min", Type::Integer, "The least number of tokens."),
    ("total_units_max", Type::Integer, "The largest number of tokens."),
    ("prompt_token_min", Type::Integer, "The least number of input tokens."),
    ("prompt_token_max", Type::Integer, "The largest number of input tokens."),
    ("completion_token_min", Type::Integer, "The least number of output tokens."),
    ("completion_token_max", Type::Integer, "The largest number of output tokens."),
    ("cost_min", Type::Number, "The least cost, in cents."),
    ("cost_max", Type::Number, "The largest cost, in cents."),
    ("status_code", Type::String, "Comma-separated statuses."),
    ("weighted_feedback_min", Type::Number, "The least average of weighted feedback, from -10 to 10."),
    ("weighted_feedback_max", Type::Number, "The largest average of weighted feedback, from -10 to 10."),
    ("virtual_keys", Type::String, "Comma-separated virtual keys."),
    ("configs", Type::String, "Comma-separated configs. There are none, so no request matches."),
    ("api_key_ids", Type::String, "Comma-separated names of API keys."),
    ("trace_id", Type::String, "Comma-separated trace ids: W3C trace ids, or those of clients."),
    ("span_id", Type::String, "Comma-separated span ids."),
    ("prompt_slug", Type::String, "Comma-separated prompts. There are none, so no request matches."),
    ("ai_org_model", Type::String, "Comma-separated pairs of provider and model, such as openai__gpt-4o."),
    ("ai_model", Type::String, "Comma-separated models."),
    ("metadata", Type::String, "A JSON object of tags, all of which must match."),
    ("cache_status", Type::String, "Comma-separated states of the response cache. All requests have `disabled`."),
];

const PAGING: &[(&str, Type, &str)] = &[
    ("current_page", Type::Integer, "The number of the page. The first is 0."),
    ("page_size", Type::Integer, "The number of entries of a page, from 1 to 1,000. The default is 50."),
];

const ORDER: &[(&str, Type, &str)] = &[
    ("order_by", Type::String, "The column to order by. The default is requests."),
    ("order_by_type", Type::String, "asc or desc, which is the default."),
    ("include_total", Type::Boolean, "Accepted for compatibility: the number of all groups is always included."),
];

const COLUMNS: &[(&str, Type, &str)] = &[(
    "columns",
    Type::String,
    "Comma-separated columns in addition to requests: cost, total_tokens, avg_tokens, avg_input_tokens, avg_output_tokens, \
     avg_latency, p95_latency, p99_latency, success_rate, error_count, cache_hit_rate, last_seen, first_seen, \
     avg_weighted_feedback, requests_with_feedback.",
)];

const WORKSPACES: &[(&str, Type, &str)] = &[
    ("name", Type::String, "A part of the name, case-sensitive."),
    ("exact_name", Type::String, "The whole name."),
    ("status", Type::String, "Comma-separated: active, archived. All workspaces are active."),
];

const WORKSPACE: &[(&str, Type, &str)] =
    &[("workspace_id", Type::String, "The slug of a workspace. Ignored for keys of a workspace.")];

const LINK: &[(&str, Type, &str)] = &[
    ("expires", Type::Integer, "The time up to which the link is valid, in seconds since 1970."),
    ("token", Type::String, "The signature."),
];

const RANGE: &[(&str, Type, &str)] = &[
    ("time_of_generation_min", Type::String, "The first instant, as ISO 8601 with an offset."),
    ("time_of_generation_max", Type::String, "The instant after the last one, as ISO 8601 with an offset."),
];

const ROW_EXPORT: &[(&str, Type, &str)] = &[
    ("format", Type::String, "jsonl, which is the default, csv, or parquet."),
    ("compression", Type::String, "none, which is the default, gzip, or zstd. Parquet files take none."),
    ("columns", Type::String, "Comma-separated columns of tagging_events. The default is all of them."),
    (
        "keys",
        Type::String,
        "Comma-separated keys of tags with their own columns in CSV. The default is the active keys.",
    ),
    (
        "resume",
        Type::String,
        "Continues after this place, such as the trailer x-export-next, or TIME/ID of the last row.",
    ),
    ("summary", Type::Boolean, "true to end JSON lines with a line that shows that the file is complete."),
];

const FOCUS: &[(&str, Type, &str)] = &[
    ("account", Type::String, "The id of the account that pays the invoices."),
    ("tags", Type::String, "Comma-separated keys of tags that the rows distinguish."),
    ("manifest", Type::Boolean, "true for the manifest, which lists usage without a price."),
    ("archive", Type::Boolean, "true for a ZIP archive of the file and its manifest, from the same requests."),
];

/// The query parameters of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Query {
    None,
    Selection,
    /// The selection, a page, and an order.
    Groups,
    /// [`Groups`](Self::Groups), and columns.
    Columns,
    /// A page of jobs.
    Exports,
    Workspaces,
    VirtualKeys,
    Link,
    /// The ends of a range, which are optional.
    Range,
    /// The selection, and the form of a file.
    RowExport,
    /// The selection of whole UTC days, and the contents of a FOCUS file.
    Focus,
}

impl Query {
    /// Returns the parameters.
    pub(super) fn parameters(self) -> Vec<Parameter> {
        let lists: &[&[_]] = match self {
            Self::None => &[],
            Self::Selection => &[SELECTION],
            Self::Groups => &[SELECTION, PAGING, ORDER],
            Self::Columns => &[SELECTION, PAGING, ORDER, COLUMNS],
            Self::Exports | Self::VirtualKeys => &[PAGING, WORKSPACE],
            Self::Workspaces => &[PAGING, WORKSPACES],
            Self::Link => &[LINK],
            Self::Range => &[RANGE],
            Self::RowExport => &[SELECTION, ROW_EXPORT],
            Self::Focus => &[SELECTION, FOCUS],
        };
        let parameters = lists.iter().flat_map(|list| list.iter());
        parameters.map(|(name, kind, text)| self.in_query(name, kind, text)).collect()
    }

    fn in_query(self, name: &str, kind: &Type, description: &str) -> Parameter {
        let is_required = match name {
            "time_of_generation_min" | "time_of_generation_max" => self != Self::Range,
            "expires" | "token" | "account" => true,
            _ => false,
        };
        parameter(name, kind.clone(), description, ParameterIn::Query, is_required)
    }
}

/// Returns a parameter in the path.
pub(super) fn in_path(name: &str) -> Parameter {
    parameter(name, Type::String, "", ParameterIn::Path, true)
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
