//! The workspaces of the demo, so that its admin API has something to list, and their keys: each sees only its workspace, and
//! requests that are sent with it belong there.

use tower_tagging::registry::{ApiKey, Credential, Permission, RegisteredKey, Registry, VirtualKey, Workspace};

/// Workspaces of the synthetic history, with the names of their keys there.
const WORKSPACES: [(&str, &str, &str); 2] = [("acme", "Acme Corp", "web"), ("internal", "Internal tools", "ci")];
const PERMISSIONS: [Permission; 5] = [
    Permission::AnalyticsView,
    Permission::LogsView,
    Permission::LogsWrite,
    Permission::LogsExport,
    Permission::KeysList,
];

/// The callers of a demo.
pub(crate) struct DemoKeys {
    /// The callers of the admin API, and what it lists.
    pub(crate) admin: Registry,
    /// The callers of the proxy. It has no virtual keys, so that requests with any are answered.
    pub(crate) proxy: Registry,
    /// Each workspace with its key.
    pub(crate) keys: Vec<(&'static str, String)>,
}

impl DemoKeys {
    /// Generates keys for this run.
    pub(crate) fn generate() -> Result<Self, String> {
        let failed = |error: &dyn std::fmt::Display| format!("CONFIG: {error}");
        let generated = WORKSPACES.map(|workspace| Ok((workspace, ApiKey::generate("gw").map_err(|e| failed(&e))?)));
        let generated = generated.into_iter().collect::<Result<Vec<_>, String>>()?;
        let registry = || {
            generated.iter().fold(Registry::builder(), |registry, ((slug, name, key_name), key)| {
                let registered = RegisteredKey::new(*key_name).workspace(*slug).permissions(PERMISSIONS);
                registry.workspace(Workspace::new(*slug).name(*name)).api_key(registered.secret(key.sha256()))
            })
        };
        let example = VirtualKey::new("openai-demo").provider("openai").base_url("https://api.openai.com");
        let example = example.credential(Credential::new("an example without effect")).workspaces(["acme"]);
        Ok(Self {
            admin: registry().virtual_key(example).build().map_err(|error| failed(&error))?,
            proxy: registry().build().map_err(|error| failed(&error))?,
            keys: generated.iter().map(|((slug, ..), key)| (*slug, key.expose().to_owned())).collect(),
        })
    }
}
