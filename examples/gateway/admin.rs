//! The dashboard below `/tagging/`, the admin API below `/tagging/v1/`, and the tools for agents at `/tagging/mcp`. The gateway
//! answers these requests itself: no layer sees them, and they are never forwarded.

use std::{error::Error, time::Duration};

use axum::{
    Router,
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::any,
};
use tower_tagging::{
    analytics::{
        Analytics,
        api::{Api, RegistryAccess},
    },
    dashboard::{Dashboard, SignIn},
    limit::Limiter,
    mcp::Mcp,
    registry::{ApiKey, Registry},
    sink::Delivery,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The largest age of logs of other systems.
const MAX_LOG_AGE: Duration = Duration::from_secs(400 * 24 * 60 * 60);
/// The shortest key of the admin API.
const MIN_KEY_LENGTH: usize = 16;

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
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("ADMIN_KEY: expected visible ASCII characters without spaces".to_owned());
        }
        // A short key can be guessed, and headers that contain it by chance would not be forwarded.
        if text.len() < MIN_KEY_LENGTH {
            return Err(format!("ADMIN_KEY: expected at least {MIN_KEY_LENGTH} characters"));
        }
        Ok(Self { text, is_generated: false })
    }

    /// Generates a key for this run.
    pub(crate) fn generate() -> Result<Self, String> {
        let key = ApiKey::generate("gw").map_err(|error| format!("ADMIN_KEY: {error}"))?;
        Ok(Self { text: key.expose().to_owned(), is_generated: true })
    }

    /// Returns `true` if this is a key of a registry, also if that has expired or is disabled.
    pub(crate) fn is_in(&self, registry: &Registry) -> bool {
        registry.knows_key(&self.text)
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

/// What the API and the dashboard need.
#[derive(Clone)]
pub(crate) struct Admin {
    pub(crate) key: AdminKey,
    pub(crate) analytics: Analytics,
    pub(crate) registry: Registry,
    pub(crate) limiter: Limiter,
    /// The external URL of the gateway, for links.
    pub(crate) public_url: Option<Uri>,
    /// The time zone of days, unless a request names another.
    pub(crate) zone: Option<String>,
    /// The age at which requests are deleted.
    pub(crate) kept: Option<Duration>,
}

/// Answers everything below `/tagging/`, and passes other requests to the app.
///
/// The dashboard shows the counts of the delivery. For a generated key, also returns the path of a link that signs in to it
/// once.
pub(crate) fn mount(admin: Admin, delivery: Delivery, app: Router) -> Result<(Router, Option<String>), Box<dyn Error>> {
    let Admin { key, analytics, registry, limiter, public_url, zone, kept } = admin;
    let access = RegistryAccess::new(registry).admin_key(&key.text);
    let mut api = Api::new(analytics.clone(), access.clone()).merge(limiter.api());
    if let Some(age) = kept {
        // A log that is sent again after its request was deleted would count twice.
        api = api.max_log_age(age.saturating_sub(DAY).min(MAX_LOG_AGE));
    }
    let mut sign_in = SignIn::new(access, &key.text)?;
    if let Some(url) = &public_url {
        sign_in = sign_in.public_url(&url.to_string())?;
    }
    let link = if key.is_generated { Some(format!("/tagging/{}", sign_in.one_time_link()?)) } else { None };
    let mut dashboard = Dashboard::with_sign_in(analytics, sign_in).delivery(delivery).limits(limiter);
    let public_url = public_url.map(|url| url.to_string().trim_end_matches('/').to_owned());
    if let Some(url) = &public_url {
        api = api.public_url(format!("{url}/tagging/v1"));
    }
    if let Some(zone) = zone {
        (api, dashboard) = (api.zone(&zone)?, dashboard.zone(&zone)?);
    }
    let mut tools = Mcp::from_api(&api);
    if let Some(url) = public_url {
        tools = tools.public_url(url)?;
    }
    let pages = dashboard.into_router().nest("/v1", api.into_router());
    let router = Router::new()
        .route("/tagging", any(redirect))
        .route_service("/tagging/mcp", tools.into_service())
        .nest("/tagging/", pages)
        .fallback_service(app);
    Ok((router, link))
}

/// Adds the slash to the path of the dashboard. The target is relative, because a proxy may add a prefix.
async fn redirect(uri: Uri) -> Response {
    let target = match uri.query() {
        Some(query) => format!("tagging/?{query}"),
        None => "tagging/".to_owned(),
    };
    (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, target)]).into_response()
}
