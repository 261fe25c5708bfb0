use std::{borrow::Cow, fmt};

use super::EventRow;

/// Declares [`Field`] from one list: the variant, its name, and how to read it from a row.
macro_rules! fields {
    ($($(#[doc = $doc:literal])+ $variant:ident, $name:literal, |$row:ident| $value:expr;)+) => {
        /// A field of an event that groups and filters use.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Field {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Field {
            /// All fields.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Returns the name in queries, such as `model`.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// Returns the value of a row, or `None` if it is unknown or does not apply.
            pub fn value(self, row: &EventRow) -> Option<Cow<'_, str>> {
                match self {
                    $(Self::$variant => { let $row = row; $value })+
                }
            }
        }
    };
}

fn text(text: Option<&String>) -> Option<Cow<'_, str>> {
    text.map(|text| Cow::Borrowed(text.as_str()))
}

fields! {
    /// The provider that served the LLM call.
    Provider, "provider", |row| text(row.provider.as_ref());
    /// The model that answered, or else the model that the client requested.
    Model, "model", |row| text(row.model.as_ref());
    /// The model that the client requested.
    RequestModel, "request_model", |row| text(row.request_model.as_ref());
    /// The operation of the LLM call, such as `chat`.
    Operation, "operation", |row| text(row.operation.as_ref());
    /// The service tier of the LLM call.
    ServiceTier, "service_tier", |row| text(row.service_tier.as_ref());
    /// The method of the request.
    Method, "method", |row| Some(row.request_method.as_str().into());
    /// The path of the request, without the query.
    Path, "path", |row| Some(row.request_path.as_str().into());
    /// The route template that the request matched.
    Route, "route", |row| text(row.route.as_ref());
    /// The host that the client requested.
    Host, "host", |row| text(row.host.as_ref());
    /// The status of the response, such as `429`.
    Status, "status", |row| row.status_code.map(|status| status.to_string().into());
    /// The class of the status, such as `4xx`.
    StatusClass, "status_class", |row| row.status_code.map(|status| format!("{}xx", status / 100).into());
    /// The outcome of the request, such as `completed`.
    Outcome, "outcome", |row| Some(row.outcome.as_str().into());
    /// `true` if the request counts as an error.
    IsError, "is_error", |row| Some(if row.is_error { "true" } else { "false" }.into());
    /// The reason why the service was not called.
    Rejection, "rejection", |row| text(row.rejection.as_ref());
    /// The limit rule that rejected the request.
    LimitRule, "limit_rule", |row| text(row.limit_rule.as_ref());
    /// The name of the API key.
    ApiKey, "api_key", |row| text(row.api_key.as_ref());
    /// The slug of the workspace.
    Workspace, "workspace", |row| text(row.workspace.as_ref());
    /// The name of the provider credential.
    VirtualKey, "virtual_key", |row| text(row.virtual_key.as_ref());
    /// The completeness of the cost, such as `priced` or `unpriced_model`.
    CostStatus, "cost_status", |row| text(row.cost_status.as_ref());
    /// The origin of the usage, such as `reported`.
    UsageStatus, "usage_status", |row| text(row.usage_status.as_ref());
    /// The W3C trace id.
    TraceId, "trace_id", |row| Some(row.trace_id.as_str().into());
    /// The trace id as the client sent it.
    ClientTraceId, "client_trace_id", |row| text(row.client_trace_id.as_ref());
    /// The id of the span.
    SpanId, "span_id", |row| Some(row.span_id.as_str().into());
    /// The client's name for the step.
    SpanName, "span_name", |row| text(row.span_name.as_ref());
    /// The steps of an agent that led to the request, joined by `/`.
    SpanPath, "span_path", |row| text(row.span_path.as_ref());
}

impl Field {
    /// Returns the name of the column that the value is derived from.
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    pub(crate) const fn column(self) -> &'static str {
        match self {
            Self::Method => "request_method",
            Self::Path => "request_path",
            Self::Status | Self::StatusClass => "status_code",
            other => other.as_str(),
        }
    }

    /// Returns the field with a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|field| field.as_str() == name)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
