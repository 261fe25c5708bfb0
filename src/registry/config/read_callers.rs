//! The sections `workspaces`, `api_keys`, and `virtual_keys`.

use super::{
    super::{
        callers::{Permission, RegisteredKey, Workspace},
        claims::{Claims, Otherwise},
        keys::KeySecret,
        registry_builder::RegistryBuilder,
        virtual_keys::{SecretSource, VirtualKey},
    },
    place::{Place, Table},
    reader::Reader,
};

const WORKSPACE: &[&str] = &["contract", "limits", "metadata", "name"];

const API_KEY: &[&str] = &[
    "claims",
    "contract",
    "disabled",
    "expires_at",
    "forced",
    "forced_override",
    "metadata",
    "permissions",
    "secrets",
    "workspace",
];

const VIRTUAL_KEY: &[&str] = &["base_url", "expires_at", "provider", "secret_env", "secret_file", "workspaces"];

const OTHERWISE: &[(&str, Otherwise)] = &[("drop", Otherwise::Drop), ("reject", Otherwise::Reject)];

impl Reader<'_> {
    /// Adds the callers to a definition.
    pub(super) fn callers(&mut self, root: &Table<'_>, builder: &mut RegistryBuilder) {
        if let Some(section) = root.get("workspaces") {
            let table = section.any_table(&mut self.problems);
            builder.workspaces.extend(table.iter().map(|place| self.workspace(&place)));
        }
        if let Some(section) = root.get("api_keys") {
            let table = section.any_table(&mut self.problems);
            builder.api_keys.extend(table.iter().map(|place| self.api_key(&place)));
        }
        if let Some(section) = root.get("virtual_keys") {
            let table = section.any_table(&mut self.problems);
            builder.virtual_keys.extend(table.iter().map(|place| self.virtual_key(&place)));
        }
    }

    fn workspace(&mut self, place: &Place<'_>) -> Workspace {
        let table = place.table(WORKSPACE, &mut self.problems);
        let mut workspace = Workspace::new(place.name());
        workspace.name = self.owned_text(table.get("name"));
        workspace.metadata = self.metadata(table.get("metadata"));
        workspace.limits = table.get("limits").map(|place| self.limits(&place));
        #[cfg(feature = "schema")]
        {
            workspace.contract = self.contract(table.get("contract"));
        }
        #[cfg(not(feature = "schema"))]
        self.refuse_contract(table.get("contract"));
        workspace
    }

    fn api_key(&mut self, place: &Place<'_>) -> RegisteredKey {
        let table = place.table(API_KEY, &mut self.problems);
        let mut key = RegisteredKey::new(place.name());
        key.workspace = self.owned_text(table.get("workspace"));
        if let Some(secrets) = table.get("secrets") {
            let items = secrets.list(&mut self.problems);
            key.secrets = items.iter().filter_map(|item| self.secret(item)).collect();
        }
        key.metadata = self.metadata(table.get("metadata"));
        key.forced = self.metadata(table.get("forced"));
        key.forced_override = self.flag(table.get("forced_override"));
        key.disabled = self.flag(table.get("disabled"));
        key.expires_at = table.get("expires_at").and_then(|time| time.time(&mut self.problems));
        if let Some(permissions) = table.get("permissions") {
            let choices: Vec<_> = Permission::ALL.iter().map(|permission| (permission.as_str(), *permission)).collect();
            let items = permissions.list(&mut self.problems);
            key.permissions = items.iter().filter_map(|item| item.choice(&choices, &mut self.problems)).collect();
        }
        key.claims = table.get("claims").and_then(|claims| self.claims(&claims));
        #[cfg(feature = "schema")]
        {
            key.contract = self.contract(table.get("contract"));
        }
        #[cfg(not(feature = "schema"))]
        self.refuse_contract(table.get("contract"));
        key
    }

    fn flag(&mut self, place: Option<Place<'_>>) -> bool {
        place.and_then(|place| place.boolean(&mut self.problems)).unwrap_or_default()
    }

    fn secret(&mut self, place: &Place<'_>) -> Option<KeySecret> {
        let table = place.table(&["expires_at", "sha256"], &mut self.problems);
        let expires_at = table.get("expires_at").and_then(|time| time.time(&mut self.problems));
        let digest = table.require("sha256", &mut self.problems)?;
        let parsed = digest.text(&mut self.problems)?.parse();
        let digest = parsed.map_err(|error| digest.fail_with(&mut self.problems, &error)).ok()?;
        Some(KeySecret { digest, expires_at })
    }

    fn claims(&mut self, place: &Place<'_>) -> Option<Claims> {
        let table = place.table(&["allow", "otherwise"], &mut self.problems);
        let otherwise = table.get("otherwise").and_then(|place| place.choice(OTHERWISE, &mut self.problems));
        let otherwise = otherwise.unwrap_or_default();
        let allow = table.require("allow", &mut self.problems)?;
        let entries = self.texts(Some(allow.clone()));
        let error = match Claims::new(&entries, otherwise) {
            Ok(claims) => return Some(claims),
            Err(error) => error,
        };
        let before = self.problems.len();
        for entry in allow.list(&mut self.problems) {
            if let Some(Err(error)) = entry.text_if_any().map(|text| Claims::new([text], otherwise)) {
                entry.fail_with(&mut self.problems, &error);
            }
        }
        if self.problems.len() == before {
            allow.fail_with(&mut self.problems, &error);
        }
        None
    }

    fn virtual_key(&mut self, place: &Place<'_>) -> VirtualKey {
        let table = place.table(VIRTUAL_KEY, &mut self.problems);
        let mut key = VirtualKey::new(place.name());
        key.provider = self.owned_text(table.get("provider")).unwrap_or_default();
        key.base_url = self.owned_text(table.get("base_url")).unwrap_or_default();
        key.workspaces = self.texts(table.get("workspaces"));
        key.expires_at = table.get("expires_at").and_then(|time| time.time(&mut self.problems));
        key.source = self.secret_source(&table, "secret_env", "secret_file");
        key
    }

    /// Reads the place of a secret, of which there is at most one.
    pub(crate) fn secret_source(&mut self, table: &Table<'_>, env: &str, file: &str) -> Option<SecretSource> {
        let (env_place, file_place) = (table.get(env), table.get(file));
        if env_place.is_some()
            && let Some(place) = &file_place
        {
            place.fail(&mut self.problems, format!("expected either {env:?} or {file:?}, found both"));
        }
        let file = file_place.and_then(|place| self.path(&place)).map(SecretSource::File);
        self.owned_text(env_place).map(SecretSource::Env).or(file)
    }
}
