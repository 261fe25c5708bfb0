use utoipa::openapi::{
    Content, ContentBuilder, HttpMethod, RefOr, Required,
    path::{Operation, OperationBuilder},
    request_body::RequestBodyBuilder,
    response::ResponseBuilder,
    schema::Schema,
    security::SecurityRequirement,
};

use crate::registry::Permission;

use super::{
    answer::error,
    parameters::{Query, in_path},
};

/// An endpoint of the document.
pub(super) struct Endpoint {
    pub(super) method: HttpMethod,
    pub(super) path: &'static str,
    summary: &'static str,
    /// `None` if it needs no key.
    permission: Option<Permission>,
    query: Query,
    body: Option<RefOr<Schema>>,
    response: RefOr<Schema>,
    media_type: &'static str,
    /// Other media types of the response.
    others: Vec<(&'static str, RefOr<Schema>)>,
}

impl Endpoint {
    /// Creates an endpoint without parameters and body.
    pub(super) fn new(
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
            query: Query::None,
            body: None,
            response: response.into(),
            media_type: "application/json",
            others: Vec::new(),
        }
    }

    pub(super) fn query(mut self, query: Query) -> Self {
        self.query = query;
        self
    }

    pub(super) fn body(mut self, body: impl Into<RefOr<Schema>>) -> Self {
        self.body = Some(body.into());
        self
    }

    pub(super) fn media_type(mut self, media_type: &'static str) -> Self {
        self.media_type = media_type;
        self
    }

    /// Adds another media type of the response.
    pub(super) fn or(mut self, media_type: &'static str, schema: impl Into<RefOr<Schema>>) -> Self {
        self.others.push((media_type, schema.into()));
        self
    }

    /// Returns the operation of the document.
    pub(super) fn operation(self) -> Operation {
        let names = self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let parameters: Vec<_> = names.map(in_path).chain(self.query.parameters()).collect();
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
        let success = contents.fold(ResponseBuilder::new().description("Success"), |response, (media_type, schema)| {
            response.content(media_type, ContentBuilder::new().schema(Some(schema)).build())
        });
        let mut operation = OperationBuilder::new()
            .tag(self.path.split('/').nth(1).unwrap_or_default())
            .summary(Some(self.summary))
            .description(Some(description))
            .parameters(Some(parameters))
            .securities(Some(security))
            .response("200", success.build());
        for (status, text) in [
            ("400", "Invalid request"),
            ("401", "No valid key"),
            ("403", "Not permitted"),
            ("404", "Not found"),
            ("500", "The server failed"),
        ] {
            if self.permission.is_some() || !["401"].contains(&status) {
                let response = ResponseBuilder::new().description(text);
                operation = operation
                    .response(status, response.content("application/json", Content::new(Some(error()))).build());
            }
        }
        let body = self.body.map(|schema| {
            let content = ContentBuilder::new().schema(Some(schema)).build();
            RequestBodyBuilder::new().required(Some(Required::True)).content("application/json", content).build()
        });
        operation.request_body(body).build()
    }
}
