use utoipa::openapi::schema::Type;

/// A parameter in the query string of an endpoint.
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    /// Another name, which some of Portkey's SDKs use.
    pub(crate) alias: Option<&'static str>,
    pub(crate) kind: Type,
    pub(crate) is_required: bool,
    /// The description in the OpenAPI document.
    pub(crate) text: &'static str,
}

/// The parameters that an endpoint accepts. They are also those of the OpenAPI document.
pub(crate) type Accepted = &'static [&'static [Parameter]];

pub(crate) const fn optional(name: &'static str, kind: Type, text: &'static str) -> Parameter {
    Parameter { name, alias: None, kind, is_required: false, text }
}

const fn required(name: &'static str, kind: Type, text: &'static str) -> Parameter {
    Parameter { name, alias: None, kind, is_required: true, text }
}

const fn aliased(name: &'static str, alias: &'static str, kind: Type, text: &'static str) -> Parameter {
    Parameter { name, alias: Some(alias), kind, is_required: false, text }
}

/// The name of the parameter with the start of the range.
pub(crate) const FROM: &str = "time_of_generation_min";
/// The name of the parameter with the end of the range.
pub(crate) const TO: &str = "time_of_generation_max";
const FROM_TEXT: &str = "The first instant, as ISO 8601 with an offset.";
const TO_TEXT: &str = "The instant after the last one, as ISO 8601 with an offset.";

const SELECTED: &[Parameter] = &[
    required(FROM, Type::String, FROM_TEXT),
    required(TO, Type::String, TO_TEXT),
    optional("workspace_slug", Type::String, "Comma-separated workspaces. Ignored for keys of a workspace."),
    optional("total_units_min", Type::Integer, "The minimum number of tokens."),
    optional("total_units_max", Type::Integer, "The largest number of tokens."),
    optional("prompt_token_min", Type::Integer, "The minimum number of input tokens."),
    optional("prompt_token_max", Type::Integer, "The largest number of input tokens."),
    optional("completion_token_min", Type::Integer, "The minimum number of output tokens."),
    optional("completion_token_max", Type::Integer, "The largest number of output tokens."),
    optional("cost_min", Type::Number, "The least cost, in cents."),
    optional("cost_max", Type::Number, "The largest cost, in cents."),
    optional("status_code", Type::String, "Comma-separated statuses."),
    optional("weighted_feedback_min", Type::Number, "The least average of weighted feedback, from -10 to 10."),
    optional("weighted_feedback_max", Type::Number, "The largest average of weighted feedback, from -10 to 10."),
    optional("virtual_keys", Type::String, "Comma-separated virtual keys."),
    optional("configs", Type::String, "Comma-separated configs. There are none, so no request matches."),
    optional("api_key_ids", Type::String, "Comma-separated names of API keys."),
    optional("trace_id", Type::String, "Comma-separated trace ids: W3C trace ids, or those of clients."),
    optional("span_id", Type::String, "Comma-separated span ids."),
    optional("prompt_slug", Type::String, "Comma-separated prompts. There are none, so no request matches."),
    optional("ai_org_model", Type::String, "Comma-separated pairs of provider and model, such as openai__gpt-4o."),
    optional("ai_model", Type::String, "Comma-separated models."),
    optional("metadata", Type::String, "A JSON object of tags, all of which must match."),
    optional(
        "cache_status",
        Type::String,
        "Comma-separated states of the response cache. All requests have `disabled`.",
    ),
];

pub(crate) const PAGE: &[Parameter] = &[
    aliased("current_page", "currentPage", Type::Integer, "The number of the page. The first is 0."),
    aliased(
        "page_size",
        "pageSize",
        Type::Integer,
        "The number of entries of a page, from 1 to 1,000. The default is 50.",
    ),
];

pub(crate) const WORKSPACE_ID: &[Parameter] =
    &[optional("workspace_id", Type::String, "The slug of a workspace. Ignored for keys of a workspace.")];

const ZONE: &[Parameter] = &[optional(
    "time_zone",
    Type::String,
    "The IANA time zone of the days of a series. The default is that of the server, which is UTC unless configured.",
)];

/// The parameters that select requests.
pub(crate) const SELECTION: Accepted = &[SELECTED];

/// The parameters of graphs over time: the selection, and the time zone of days.
pub(crate) const SERIES: Accepted = &[SELECTED, ZONE];

/// The parameters of groups: the selection, a page, an order, and columns.
pub(crate) const GROUPS: Accepted = &[
    SELECTED,
    PAGE,
    &[
        optional("order_by", Type::String, "The column to order by. The default is requests."),
        optional("order_by_type", Type::String, "asc or desc, which is the default."),
        optional(
            "include_total",
            Type::Boolean,
            "Accepted for compatibility: the number of all groups is always included.",
        ),
        optional(
            "columns",
            Type::String,
            "Comma-separated columns in addition to those that the endpoint always has: cost, total_tokens, avg_tokens, \
             avg_input_tokens, avg_output_tokens, avg_latency, p95_latency, p99_latency, success_rate, error_count, \
             cache_hit_rate, last_seen, first_seen, avg_weighted_feedback, requests_with_feedback.",
        ),
    ],
];

/// The filters of an export job, which are members of its body.
pub(crate) const EXPORT_FILTERS: Accepted = &[SELECTED, PAGE];

/// The parameters of the list of export jobs.
pub(crate) const EXPORTS: Accepted = &[PAGE, WORKSPACE_ID];

/// The parameters of the list of virtual keys.
pub(crate) const VIRTUAL_KEYS: Accepted = &[PAGE, WORKSPACE_ID];

/// The parameters of the list of workspaces.
pub(crate) const WORKSPACES: Accepted = &[
    PAGE,
    &[
        optional("name", Type::String, "A part of the name, case-sensitive."),
        optional("exact_name", Type::String, "The whole name."),
        optional("status", Type::String, "Comma-separated: active, archived. All workspaces are active."),
    ],
];

/// The parameters of the report of limits.
#[cfg(any(feature = "limit", feature = "mcp"))]
pub(crate) const LIMITS: Accepted = &[PAGE, &[optional("rule", Type::String, "The name of a limit.")]];

/// The parameters of a link to a file.
pub(crate) const LINK: Accepted = &[&[required("token", Type::String, "The secret of the link.")]];

/// The ends of a range, both of which are optional.
pub(crate) const RANGE: Accepted = &[&[optional(FROM, Type::String, FROM_TEXT), optional(TO, Type::String, TO_TEXT)]];

/// The parameters of a file with requests: the selection, and the form of the file.
pub(crate) const ROW_EXPORT: Accepted = &[
    SELECTED,
    &[
        optional("format", Type::String, "jsonl, which is the default, csv, or parquet."),
        optional("compression", Type::String, "none, which is the default, gzip, or zstd. Parquet files take none."),
        optional("columns", Type::String, "Comma-separated columns of tagging_events. The default is all of them."),
        optional(
            "keys",
            Type::String,
            "Comma-separated keys of tags with their own columns, for CSV only. The default is the active keys; for callers that \
             do not see everything, those of their own requests.",
        ),
        optional(
            "resume",
            Type::String,
            "Continues after this place, such as the trailer x-export-next, or TIME/ID of the last row.",
        ),
        optional(
            "summary",
            Type::Boolean,
            "true to end the file with a line that shows that it is complete, for JSON lines only.",
        ),
    ],
];

/// The parameters of a FOCUS file: the selection of whole UTC days, and the contents of the file.
pub(crate) const FOCUS: Accepted = &[
    SELECTED,
    &[
        required("account", Type::String, "The id of the account that pays the invoices."),
        optional("tags", Type::String, "Comma-separated keys of tags that the rows distinguish."),
        optional("manifest", Type::Boolean, "true for the manifest alone, which lists usage without a price."),
        optional(
            "archive",
            Type::Boolean,
            "true for a ZIP archive of the file and its manifest, from the same requests. Not together with manifest.",
        ),
    ],
];

/// The parameters of an endpoint without any.
pub(crate) const NONE: Accepted = &[];

/// Returns the parameter with a name.
pub(crate) fn find(accepted: Accepted, name: &str) -> Option<&'static Parameter> {
    let mut all = accepted.iter().copied().flatten();
    all.find(|parameter| parameter.name == name || parameter.alias == Some(name))
}

/// Returns the names, for errors.
pub(crate) fn names(accepted: Accepted) -> String {
    let names: Vec<&str> = accepted.iter().copied().flatten().map(|parameter| parameter.name).collect();
    names.join(", ")
}
