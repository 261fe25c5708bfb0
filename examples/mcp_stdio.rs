//! Tools about requests and cost for agents, over standard input and output: of an SQLite file, or of an analytics API.
//!
//! ```text
//! cargo run --example mcp_stdio --features full -- events.db
//! PORTKEY_BASE_URL=http://127.0.0.1:8787/tagging/v1 PORTKEY_API_KEY=… cargo run --example mcp_stdio --features full
//! ```
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `PORTKEY_BASE_URL` | base URL of an analytics API: that of this crate, or a hosted one | the SQLite file |
//! | `PORTKEY_API_KEY` | the key for that API, sent as `x-portkey-api-key` | none |
//! | `STORE` | `sqlite:` and the path of the file, unless it is an argument | `sqlite:events.db` |
//! | `CONFIG` | the configuration of the gateway, for its workspaces and virtual keys | none |
//! | `PUBLIC_URL` | external base URL of the gateway, for links to its dashboard below `/tagging/` | no links |
//!
//! An agent starts the program and talks to it, so standard output has only the protocol. The file is only read, and the owner of
//! it sees everything in it; an API decides by its key. An API has a minute to answer.

use std::{env, error::Error, io, path::Path, process::ExitCode};

use axum::body::Body;
use http::{HeaderValue, Request, Response, Uri, request::Parts};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tower::service_fn;
use tower_tagging::{
    analytics::{
        Analytics, Grant,
        api::{Access, Denied},
    },
    mcp::{Mcp, McpOverApi},
    registry::Registry,
    store::SqliteStore,
};

type BoxError = Box<dyn Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::new("warn");
    tracing_subscriber::fmt().with_writer(io::stderr).with_env_filter(filter).init();
    match serve().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mcp_stdio: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve() -> Result<(), BoxError> {
    let public_url = variable("PUBLIC_URL");
    let server = match (variable("PORTKEY_BASE_URL"), public_url) {
        (Some(api), Some(url)) => of_api(&api)?.public_url(url)?.into_server(),
        (Some(api), None) => of_api(&api)?.into_server(),
        (None, Some(url)) => of_file()?.public_url(url)?.into_server(),
        (None, None) => of_file()?.into_server(),
    };
    let running = rmcp::serve_server(server, rmcp::transport::stdio()).await?;
    running.waiting().await?;
    Ok(())
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// Returns the tools over an SQLite file, to which nothing is written.
fn of_file() -> Result<Mcp, BoxError> {
    let path = match (env::args().nth(1), variable("STORE")) {
        (Some(path), _) => path,
        (None, None) => "events.db".to_owned(),
        (None, Some(store)) => {
            store.strip_prefix("sqlite:").ok_or("STORE: expected one such as sqlite:events.db")?.to_owned()
        }
    };
    if !Path::new(&path).is_file() {
        return Err(format!("there is no file {path}: name an SQLite store, or set PORTKEY_BASE_URL").into());
    }
    let registry = variable("CONFIG").map(Registry::from_file).transpose()?;
    let store = SqliteStore::open_read_only(&path)?;
    // Fails at once if the file is not a store.
    store.list_keys().map_err(|error| format!("cannot read {path} as a store: {error}"))?;
    Ok(Mcp::new(Analytics::new(store), Owner(registry)))
}

/// The owner of the file, who sees everything in it.
struct Owner(Option<Registry>);

impl Access for Owner {
    fn grant(&self, _: &Parts) -> Result<Grant, Denied> {
        Ok(Grant::everything())
    }

    fn registry(&self) -> Option<&Registry> {
        self.0.as_ref()
    }
}

/// Returns the tools over an API.
fn of_api(base: &str) -> Result<McpOverApi, BoxError> {
    let base = base.trim_end_matches('/').to_owned();
    let uri: Uri = base.parse().map_err(|_| "PORTKEY_BASE_URL: expected one such as https://api.portkey.ai/v1")?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none() || uri.query().is_some() {
        return Err("PORTKEY_BASE_URL: expected one such as https://api.portkey.ai/v1".into());
    }
    let key = variable("PORTKEY_API_KEY").map(HeaderValue::try_from).transpose();
    let key = key.map_err(|_| "PORTKEY_API_KEY: expected visible ASCII")?.map(|mut key| {
        key.set_sensitive(true);
        key
    });
    let connector =
        HttpsConnectorBuilder::new().with_provider_and_webpki_roots(rustls::crypto::ring::default_provider())?;
    let connector = connector.https_or_http().enable_http1().build();
    let client: Client<_, Body> = Client::builder(TokioExecutor::new()).build(connector);
    let api = service_fn(move |mut request: Request<Body>| {
        let (client, key) = (client.clone(), key.clone());
        let url = format!("{base}{}", request.uri());
        async move {
            *request.uri_mut() = url.parse()?;
            request.headers_mut().extend(key.map(|key| (http::HeaderName::from_static("x-portkey-api-key"), key)));
            Ok::<Response<Incoming>, BoxError>(client.request(request).await?)
        }
    });
    Ok(Mcp::over_api(api).key_hint("Set PORTKEY_API_KEY to a valid key, and restart the server."))
}
