//! Keys and credentials appear in no output.

use std::{
    fmt::Write,
    fs, io,
    sync::{Arc, Mutex},
    time::{Duration, UNIX_EPOCH},
};

use axum::{Router, routing::post};
use tower_tagging::{
    EventLayer, TagSources, TaggingLayer, Tags,
    event::ManualClock,
    registry::{
        ApiKey, ConfigFormat, Credential, RegisteredKey, Registry, RegistryLayer, SecretDigest, UnknownKeys,
        VirtualKey, Workspace,
    },
};
use tracing_subscriber::fmt::MakeWriter;

use crate::{
    common::{Recorder, TempFolder},
    governed::{Governed, request},
};

/// The part that all secrets of the test have.
const MARK: &str = "very-secret";

/// Collects what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Log {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

fn key(name: &str) -> RegisteredKey {
    RegisteredKey::new(name).workspace("acme").secret(SecretDigest::of(format!("sk-{MARK}-{name}")))
}

/// Runs requests with keys of every state, and handlers that log and panic, and searches all output.
#[tokio::test]
async fn secrets_appear_nowhere() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let day = Duration::from_secs(86_400);
    let vault = VirtualKey::new("vault")
        .provider("openai")
        .base_url("https://llm.example")
        .credential(Credential::new(format!("sk-{MARK}-credential")))
        .workspaces(["acme"]);
    let builder = Registry::builder()
        .unknown_keys(UnknownKeys::Reject)
        .key_headers(["x-portkey-api-key", "authorization", "x-own-key"])
        .workspace(Workspace::new("acme"))
        .api_key(key("web"))
        .api_key(key("off").disabled(true))
        .api_key(key("old").expires_at(UNIX_EPOCH + day))
        .virtual_key(vault);
    let mut output = format!("{builder:?}");
    let registry = builder.build().unwrap();
    let recorder = Recorder::new();
    let events = EventLayer::new(recorder.clone()).clock(ManualClock::at(UNIX_EPOCH + 2 * day));
    let sources = TagSources::all().prefix("x-own-").allow_list("x-own-key=own");
    let tagging = TaggingLayer::builder().sources(sources).events(events).build().unwrap();
    let layer = RegistryLayer::new(registry.clone(), tagging);
    write!(output, "{layer:?}").unwrap();
    // As a careless handler does: it logs the whole request, and panics with it.
    let careless = async |tags: Tags, request: axum::extract::Request| {
        tracing::info!(extensions = ?request.extensions(), ?tags, "a request");
        tags.set_error(format!("{:?}", request.headers()));
        assert!(!request.headers().contains_key("x-panic"), "{:?}", request.headers());
        "done"
    };
    let app = Router::new().route("/", post(careless)).layer(layer);
    let governed = Governed { recorder, registry, app };
    for header in ["authorization", "x-portkey-api-key", "x-own-key"] {
        for name in ["web", "off", "old", "unknown"] {
            for other in [None, Some("vault"), Some("nowhere")] {
                let value = format!("Bearer sk-{MARK}-{name}");
                let headers: Vec<_> =
                    [Some((header, value.as_str())), other.map(|slug| ("x-portkey-virtual-key", slug))]
                        .into_iter()
                        .flatten()
                        .collect();
                let principal = governed.registry.principal(&request(&headers, "").into_parts().0);
                let answer = governed.send(&headers, "").await;
                write!(output, "{principal:?} {} {:?}", answer.body, answer.headers).unwrap();
            }
        }
        let value = format!("Bearer sk-{MARK}-web");
        let app = governed.app.clone();
        let panicking = request(&[(header, &value), ("x-panic", "1")], "");
        let panicked = tokio::spawn(tower::ServiceExt::oneshot(app, panicking)).await.unwrap_err();
        let message = panicked.into_panic();
        write!(output, "{}", message.downcast_ref::<String>().unwrap()).unwrap();
    }
    let taken = governed.recorder.take();
    assert_eq!(taken.len(), 3 * (4 * 3 + 1));
    for event in taken {
        write!(output, "{}{event:?}", serde_json::to_string(&*event).unwrap()).unwrap();
    }
    let registry = &governed.registry;
    write!(output, "{registry:?} {:?} {:?}", registry.report(), registry.status()).unwrap();
    output.push_str(&log.text());
    let at = output.find(MARK).map(|at| &output[at.saturating_sub(200)..at + 40]);
    assert_eq!(at, None);
    for part in ["web", "vault", "a request", "x-panic", "Sensitive"] {
        assert!(output.contains(part), "{part}");
    }
}

/// Keys that are in the wrong place of a file are not in its problems, and not in the log of a reload.
#[test]
fn files_with_keys_in_the_wrong_place_do_not_show_them() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let secret = ApiKey::generate("gw").unwrap();
    let secret = secret.expose();
    let folder = TempFolder::new("registry-secrets");
    let path = folder.0.join("gateway.toml");
    fs::write(&path, "[workspaces.acme]\n").unwrap();
    let registry = Registry::from_file(&path).unwrap();
    let mut output = String::new();
    for text in [
        format!("{secret} = 1"),
        format!("[{secret}]"),
        format!("[workspaces.{secret}]"),
        format!("[workspaces.acme]\nname = 3\n{secret} = 1"),
        format!("[api_keys.{secret}]\npermissions = [\"{secret}\"]\nworkspace = \"{secret}\""),
        format!("[api_keys.web]\nsecrets = [\"{secret}\"]"),
        format!("[api_keys.web]\nsecrets = [{{ sha256 = \"{secret}\" }}]"),
        format!("[api_keys.web]\nclaims = {{ allow = [\" {secret}\"] }}"),
        format!("[virtual_keys.{secret}]\nprovider = \"{secret}\"\nbase_url = \"{secret}\"\nsecret_env = \"{secret}\""),
        format!("[virtual_keys.v]\nprovider = \"x\"\nbase_url = \"https://a.example\"\nsecret_file = \"{secret}\""),
        format!("[access]\nkey_headers = [\"{secret} \"]\nerrors = \"{secret}\""),
        format!("[access.trusted_headers]\n\"{secret} \" = {{ key = \"a\", scope = \"{secret}\" }}"),
        format!("[access.trusted_headers]\nx-a = {{ key = \"{secret}\", scope = \"workspace\" }}"),
        format!("[login.tags]\n\"{secret}\" = {{ key = \"a\", scope = \"workspace\" }}"),
        format!("[spiffe]\ntrust_domain = \"{secret}/\""),
        format!(
            "[spiffe]\ntrust_domain = \"a.example\"\nsegments = {{ \"{secret}/\" = {{ key = \"a\", scope = \"forced\" }} }}"
        ),
        format!("[names.aliases]\n\"{secret}\" = \"{secret}\""),
        format!("[names.aliases]\na = \"{secret}\"\n\"{secret}\" = \"b\""),
        format!("[names]\nstyle = \"{secret}\""),
        format!("[screening]\nemails = \"{secret}\"\nhash_key_env = \"{secret}\""),
        format!("[screening.tags]\n\"{secret}\" = \"{secret}\""),
        format!(
            "[contract]\nmode = \"{secret}\"\nschema = {{ type = \"{secret}\", properties = {{ \"{secret}\" = 3 }} }}"
        ),
        format!(
            "[jwt]\nissuer = 3\njwks_url = \"{secret}\"\ntags = {{ \"{secret}\" = {{ key = \"a\", scope = \"forced\" }} }}"
        ),
    ] {
        let problems = Registry::check(&text, ConfigFormat::Toml);
        write!(output, "{problems:?}").unwrap();
        problems.iter().for_each(|problem| writeln!(output, "{problem}").unwrap());
        if let Err(error) = Registry::from_toml(&text) {
            writeln!(output, "{error} {error:?}").unwrap();
        }
        fs::write(&path, &text).unwrap();
        if let Err(error) = registry.reload() {
            writeln!(output, "{error} {:?}", registry.status()).unwrap();
        }
        // The tail is as secret as the whole.
        let part = &secret[secret.len() - 20..];
        assert!(!output.contains(part) && !log.text().contains(part), "{text}\n{output}");
    }
    assert!(log.text().contains("not reloaded"));
}
