use std::sync::LazyLock;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::header;
use utoipa::openapi::{
    ComponentsBuilder, InfoBuilder, OpenApiBuilder, Paths,
    security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme},
};

use super::{super::state::ApiState, components::Components, endpoint::Endpoint, endpoints::endpoints};

/// The document of the endpoints of this module as JSON.
pub(super) static DOCUMENT: LazyLock<String> = LazyLock::new(|| written(&[]));

/// Returns the endpoints of a module, and adds the schemas that they refer to.
pub(crate) type Endpoints = fn(&mut Components) -> Vec<Endpoint>;

/// Returns the document with the endpoints of other modules.
fn written(others: &[Endpoints]) -> String {
    let mut schemas = Components::default();
    let mut paths = Paths::new();
    let mut all = endpoints(&mut schemas);
    all.extend(others.iter().flat_map(|endpoints| endpoints(&mut schemas)));
    for endpoint in all {
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
}

/// Answers `GET /openapi.json`, without a key: the document describes no data.
pub(crate) async fn document(State(api): State<ApiState>) -> Response {
    let others = &api.shared.other_endpoints;
    let text = api.shared.document.get_or_init(|| if others.is_empty() { DOCUMENT.clone() } else { written(others) });
    ([(header::CONTENT_TYPE, "application/json")], text.clone()).into_response()
}
