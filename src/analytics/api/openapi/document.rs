use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use http::header;
use utoipa::openapi::{
    ComponentsBuilder, InfoBuilder, OpenApiBuilder, Paths,
    security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme},
};

use super::{components::Components, endpoints::endpoints};

/// The document as JSON. It is the same for all routers.
pub(super) static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
    let mut schemas = Components::default();
    let mut paths = Paths::new();
    for endpoint in endpoints(&mut schemas) {
        let (method, path) = (endpoint.method.clone(), endpoint.path);
        paths.add_path_operation(path, vec![method], endpoint.operation());
    }
    let key = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("x-portkey-api-key")));
    let components = ComponentsBuilder::new()
        .schemas_from_iter(schemas.0)
        .security_scheme("api_key", key)
        .security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    let info = InfoBuilder::new()
        .title("Analytics")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Analytics, logs, exports, and feedback of requests and their cost. Endpoints answer other methods with 405, and \
             parameters that they do not have with 400.",
        ));
    let document = OpenApiBuilder::new().info(info).paths(paths).components(Some(components.build())).build();
    document.to_json().unwrap_or_default()
});

/// Answers `GET /openapi.json`, without a key: the document describes no data.
pub(crate) async fn document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.as_str()).into_response()
}
