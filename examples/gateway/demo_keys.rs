//! The workspaces of the demo, so that its admin API has something to list, and the keys that see only one of them.

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

/// The callers of the admin API of a demo. The proxy does not identify callers.
pub(crate) struct DemoKeys {
    pub(crate) registry: Registry,
    /// Each workspace with its key.
    pub(crate) keys: Vec<(&'static str, String)>,
}

impl DemoKeys {
    /// Generates keys for this run.
    pub(crate) fn generate() -> Result<Self, String> {
        let mut registry = Registry::builder();
        let mut keys = Vec::new();
        for (slug, name, key_name) in WORKSPACES {
            let key = ApiKey::generate("gw").map_err(|error| format!("CONFIG: {error}"))?;
            let registered = RegisteredKey::new(key_name).workspace(slug).permissions(PERMISSIONS);
            registry = registry.workspace(Workspace::new(slug).name(name)).api_key(registered.secret(key.sha256()));
            keys.push((slug, key.expose().to_owned()));
        }
        let example = VirtualKey::new("openai-demo").provider("openai").base_url("https://api.openai.com");
        let example = example.credential(Credential::new("an example without effect")).workspaces(["acme"]);
        let registry = registry.virtual_key(example).build().map_err(|error| format!("CONFIG: {error}"))?;
        Ok(Self { registry, keys })
    }
}
