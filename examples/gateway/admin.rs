//! The admin API below `/tagging/`. The gateway answers these requests itself: no layer sees them, and they are never
//! forwarded.

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::any,
};
use serde_json::json;
use tower_tagging::{
    registry::{ApiKey, Registry, SecretDigest},
    store::{PostgresStore, SqliteStore},
};

/// The store that the API reads.
#[derive(Clone)]
pub(crate) enum Store {
    Sqlite(SqliteStore),
    Postgres(PostgresStore),
}

/// The organization-wide key of the admin API.
#[derive(Clone)]
pub(crate) struct AdminKey {
    text: String,
    /// `true` if the key was generated for this run.
    is_generated: bool,
}

impl AdminKey {
    /// Uses a key from the configuration.
    pub(crate) fn new(text: String) -> Result<Self, String> {
        if text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self { text, is_generated: false })
        } else {
            Err("ADMIN_KEY: expected visible ASCII characters without spaces".to_owned())
        }
    }

    /// Generates a key for this run.
    pub(crate) fn generate() -> Result<Self, String> {
        let key = ApiKey::generate("gw").map_err(|error| format!("ADMIN_KEY: {error}"))?;
        Ok(Self { text: key.expose().to_owned(), is_generated: true })
    }

    /// Returns the key, if it was generated and nobody has seen it yet.
    pub(crate) fn generated(&self) -> Option<&str> {
        self.is_generated.then_some(self.text.as_str())
    }

    /// Removes the key from the headers of a request that is forwarded.
    pub(crate) fn strip(&self, headers: &mut HeaderMap) {
        let key = self.text.as_bytes();
        let has_key = |value: &[u8]| value.windows(key.len()).any(|part| part == key);
        let names = headers.iter().filter(|(_, value)| has_key(value.as_bytes())).map(|(name, _)| name.clone());
        for name in names.collect::<Vec<_>>() {
            headers.remove(name);
        }
    }
}

/// What the API needs.
#[derive(Clone)]
pub(crate) struct Admin {
    pub(crate) key: AdminKey,
    pub(crate) store: Store,
    pub(crate) registry: Option<Registry>,
    /// The external URL of the gateway, for links.
    pub(crate) public_url: Option<Uri>,
}

/// Answers everything below `/tagging/`, and passes other requests to the app.
pub(crate) fn mount(admin: Admin, app: Router) -> Router {
    Router::new()
        .route("/tagging", any(redirect))
        // Unlike `nest`, this also answers the paths that the API does not have.
        .nest_service("/tagging/", api(admin))
        .fallback_service(app)
}

/// Adds the slash that relative links need. The target is relative as well, because a proxy may add a prefix.
async fn redirect(uri: Uri) -> Response {
    let target = match uri.query() {
        Some(query) => format!("tagging/?{query}"),
        None => "tagging/".to_owned(),
    };
    (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, target)]).into_response()
}

/// The router of the API, whose paths begin with `/v1/`.
fn api(admin: Admin) -> Router {
    let answer = async |State(admin): State<Admin>, request: Request| {
        let headers = request.headers();
        let bearer = || headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ");
        let key = headers.get("x-portkey-api-key").and_then(|key| key.to_str().ok()).or_else(bearer);
        let is_admin = key.is_some_and(|key| SecretDigest::of(key) == SecretDigest::of(&admin.key.text));
        let (status, code) =
            if is_admin { (StatusCode::NOT_FOUND, "AB08") } else { (StatusCode::UNAUTHORIZED, "AB05") };
        (status, Json(json!({"success": false, "data": {"message": status.to_string(), "errorCode": code}})))
    };
    Router::new().fallback(answer).with_state(admin)
}
