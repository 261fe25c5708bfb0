use utoipa::openapi::{
    Content, ContentBuilder, HttpMethod, RefOr, Required,
    header::{Header, HeaderBuilder},
    path::{Operation, OperationBuilder},
    request_body::RequestBodyBuilder,
    response::ResponseBuilder,
    schema::{ObjectBuilder, Schema, Type},
    security::SecurityRequirement,
};

use crate::registry::Permission;

use super::{
    super::{
        parameter::{Accepted, NONE},
        with_basis::{DATA_UP_TO, EXACT, GRAIN, UNPRICED_SHARE},
    },
    answer::error,
    parameters::{in_header, in_path, in_query},
};

/// The statuses of errors that every endpoint with a key can answer with.
const ERRORS: &[(&str, &str)] = &[
    ("400", "Invalid request"),
    ("401", "No valid key"),
    ("403", "Not permitted"),
    ("404", "Not found"),
    ("414", "The URL is too long. The server answers without a body"),
    ("500", "The server failed"),
    ("504", "The request took too long"),
];

/// An endpoint of the document.
pub(crate) struct Endpoint {
    pub(crate) method: HttpMethod,
    pub(crate) path: &'static str,
    summary: &'static str,
    /// `None` if it needs no key.
    permission: Option<Permission>,
    query: Accepted,
    /// The headers that the endpoint reads, with their descriptions.
    headers: Vec<(&'static str, &'static str)>,
    /// The statuses of further errors.
    errors: Vec<(&'static str, &'static str)>,
    /// `true` if headers report the basis of the answer.
    has_basis: bool,
    body: Option<RefOr<Schema>>,
    response: RefOr<Schema>,
    media_type: &'static str,
    /// Other media types of the response.
    others: Vec<(&'static str, RefOr<Schema>)>,
}

impl Endpoint {
    /// Creates an endpoint without parameters and body.
    pub(crate) fn new(
        method: HttpMethod,
        path: &'static str,
        permission: impl Into<Option<Permission>>,
        summary: &'static str,
        response: impl Into<RefOr<Schema>>,
    ) -> Self {
        Self {
            method,
            path,
            summary,
            permission: permission.into(),
            query: NONE,
            headers: Vec::new(),
            errors: Vec::new(),
            has_basis: false,
            body: None,
            response: response.into(),
            media_type: "application/json",
            others: Vec::new(),
        }
    }

    pub(crate) fn query(mut self, query: Accepted) -> Self {
        self.query = query;
        self
    }

    /// Adds a header that the endpoint reads.
    pub(crate) fn header(mut self, name: &'static str, description: &'static str) -> Self {
        self.headers.push((name, description));
        self
    }

    /// Adds the status 409.
    pub(crate) fn or_conflict(mut self) -> Self {
        self.errors.push(("409", "The state of the export does not allow it"));
        self
    }

    /// Adds the status 409 with its reason.
    #[cfg(feature = "limit")]
    pub(crate) fn or_conflict_if(mut self, reason: &'static str) -> Self {
        self.errors.push(("409", reason));
        self
    }

    /// Adds the status 429.
    pub(crate) fn or_throttled(mut self) -> Self {
        self.errors.push(("429", "There are too many exports"));
        self
    }

    /// Adds the headers that report the basis of the answer.
    pub(crate) fn with_basis(mut self) -> Self {
        self.has_basis = true;
        self
    }

    pub(crate) fn body(mut self, body: impl Into<RefOr<Schema>>) -> Self {
        self.body = Some(body.into());
        self.errors.push(("413", "The body is too large"));
        self
    }

    pub(crate) fn media_type(mut self, media_type: &'static str) -> Self {
        self.media_type = media_type;
        self
    }

    /// Adds another media type of the response.
    pub(crate) fn or(mut self, media_type: &'static str, schema: impl Into<RefOr<Schema>>) -> Self {
        self.others.push((media_type, schema.into()));
        self
    }

    /// Returns the operation of the document.
    pub(crate) fn operation(self) -> Operation {
        let names = self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let parameters = names.map(in_path).chain(in_query(self.query));
        let headers = self.headers.iter().map(|(name, description)| in_header(name, description));
        let parameters: Vec<_> = parameters.chain(headers).collect();
        let description = match self.permission {
            Some(permission) => format!("Needs the permission `{permission}`."),
            None => "Needs no key.".to_owned(),
        };
        let security = match self.permission {
            Some(_) => vec![
                SecurityRequirement::new::<_, [&str; 0], _>("api_key", []),
                SecurityRequirement::new::<_, [&str; 0], _>("bearer", []),
            ],
            None => vec![SecurityRequirement::default()],
        };
        let contents = std::iter::once((self.media_type, self.response)).chain(self.others);
        let mut success =
            contents.fold(ResponseBuilder::new().description("Success"), |response, (media_type, schema)| {
                response.content(media_type, ContentBuilder::new().schema(Some(schema)).build())
            });
        if self.has_basis {
            let exact = "true if the numbers cover exactly the range of the request.";
            success = success.header(EXACT.as_str(), header(Type::Boolean, exact));
            success =
                success.header(DATA_UP_TO.as_str(), header(Type::String, "The time of the latest stored request."));
            let grain = "The instants at which the range could be cut, such as hour.";
            success = success.header(GRAIN.as_str(), header(Type::String, grain));
            let share = "The share of LLM calls whose cost is unknown, from 0 to 100. Missing without LLM calls.";
            success = success.header(UNPRICED_SHARE.as_str(), header(Type::Number, share));
        }
        let mut operation = OperationBuilder::new()
            .tag(self.path.split('/').nth(1).unwrap_or_default())
            .summary(Some(self.summary))
            .description(Some(description))
            .parameters(Some(parameters))
            .securities(Some(security))
            .response("200", success.build());
        let has_key = self.permission.is_some();
        let errors = ERRORS.iter().filter(|(status, _)| has_key || *status != "401").chain(&self.errors);
        for (status, text) in errors {
            let response = ResponseBuilder::new().description(*text);
            operation =
                operation.response(*status, response.content("application/json", Content::new(Some(error()))).build());
        }
        let body = self.body.map(|schema| {
            let content = ContentBuilder::new().schema(Some(schema)).build();
            RequestBodyBuilder::new().required(Some(Required::True)).content("application/json", content).build()
        });
        operation.request_body(body).build()
    }
}

fn header(kind: Type, description: &str) -> Header {
    let schema = ObjectBuilder::new().schema_type(kind);
    HeaderBuilder::new().schema(schema).description(Some(description)).build()
}
