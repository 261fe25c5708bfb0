use std::collections::HashMap;

use crate::{Metadata, metadata::Scope};

#[cfg(feature = "schema")]
use super::own_tags::OwnTags;
use super::{
    super::{
        callers::RegisteredKey,
        keys::SecretDigest,
        problem::Problems,
        quote::quoted,
        snapshot::{CallerRules, KeyEntry, KeyIndex, SecretEntry, Snapshot},
    },
    names, own_tags, rules,
    workspaces::{self, CheckedWorkspace},
};

/// The maximum number of secrets of a key.
const MAX_SECRETS: usize = 2;

/// The valid API keys, sorted by name, and their secrets.
pub(super) struct CheckedKeys {
    pub(super) entries: Vec<KeyEntry>,
    pub(super) secrets: KeyIndex,
}

/// Checks the definitions of API keys.
pub(super) fn check(
    mut keys: Vec<RegisteredKey>,
    anonymous: &CallerRules,
    workspaces: &[CheckedWorkspace],
    previous: Option<&Snapshot>,
    problems: &mut Problems,
) -> CheckedKeys {
    keys.sort_by(|one, other| one.name.cmp(&other.name));
    names::check("api_keys", &keys, |key| &key.name, problems);
    let secrets = check_secrets(&keys, problems);
    let check = |key| check_one(key, anonymous, workspaces, previous, problems);
    CheckedKeys { entries: keys.into_iter().map(check).collect(), secrets }
}

/// Checks the number of secrets, and that each has one owner.
fn check_secrets(keys: &[RegisteredKey], problems: &mut Problems) -> KeyIndex {
    let mut owners: HashMap<[u8; 32], usize> = HashMap::with_capacity(keys.len());
    let mut secrets = Vec::with_capacity(keys.len());
    let empty = SecretDigest::of("");
    for (key, definition) in keys.iter().enumerate() {
        let path = ["api_keys", &definition.name, "secrets"];
        match definition.secrets.len() {
            1..=MAX_SECRETS => {}
            0 => problems.add(&path, "expected one or two secrets, found none"),
            more => problems.add(&path, format!("expected at most two secrets, found {more}: remove the oldest")),
        }
        for (at, secret) in definition.secrets.iter().enumerate() {
            if let Some(owner) = owners.insert(*secret.digest.bytes(), key) {
                let owner = keys.get(owner).map(|owner| quoted(&owner.name)).unwrap_or_default();
                let path = ["api_keys", &definition.name, "secrets", &at.to_string(), "sha256"];
                problems.add(&path, format!("the API key {owner} has the same secret"));
            }
            if secret.digest == empty {
                let path = ["api_keys", &definition.name, "secrets", &at.to_string(), "sha256"];
                problems.add(&path, "this is the digest of an empty text: was the variable with the key empty?");
            }
            secrets.push(SecretEntry { digest: secret.digest, expires_at: secret.expires_at, key });
        }
    }
    secrets.sort_by(|one, other| one.digest.bytes().cmp(other.digest.bytes()));
    KeyIndex::new(secrets)
}

fn check_one(
    key: RegisteredKey,
    anonymous: &CallerRules,
    workspaces: &[CheckedWorkspace],
    previous: Option<&Snapshot>,
    problems: &mut Problems,
) -> KeyEntry {
    let workspace = key.workspace.as_deref().and_then(|slug| {
        let found = workspaces::find(workspaces, slug);
        found.map_err(|message| problems.add(&["api_keys", &key.name, "workspace"], message)).ok()
    });
    let parent = workspace.and_then(|at| workspaces.get(at));
    let limits = parent.and_then(|parent| parent.entry.limits);
    own_tags::check_limits(limits, &key.metadata, &["api_keys", &key.name, "metadata"], problems);
    own_tags::check_limits(limits, &key.forced, &["api_keys", &key.name, "forced"], problems);
    let counters = previous.and_then(|previous| Some(previous.key(&key.name)?.rules.counters.clone()));
    let mut rules = rules::inherited(parent.map_or(anonymous, |parent| &parent.rules), counters.unwrap_or_default());
    #[cfg(feature = "schema")]
    {
        rules::add_contract(&mut rules, key.contract.clone());
        check_own_tags(&key, parent, &rules, problems);
    }
    rules.scopes.add(Scope::ApiKey, key.metadata);
    let forced_scope = if key.forced_override { Scope::Fallback } else { Scope::Forced };
    rules.scopes.add(forced_scope, key.forced.clone());
    KeyEntry {
        name: key.name.into(),
        workspace,
        permissions: key.permissions,
        claims: key.claims,
        disabled: key.disabled,
        expires_at: key.expires_at,
        rules,
        fallback_if_empty: if key.forced_override { key.forced } else { Metadata::new() },
    }
}

/// Checks that the tags of a key and its workspace contradict no contract.
#[cfg(feature = "schema")]
fn check_own_tags(
    key: &RegisteredKey,
    parent: Option<&CheckedWorkspace>,
    rules: &CallerRules,
    problems: &mut Problems,
) {
    let path = ["api_keys", &key.name];
    let (metadata_path, forced_path) = (["api_keys", &key.name, "metadata"], ["api_keys", &key.name, "forced"]);
    let none = Metadata::new();
    let metadata: (&Metadata, &[&str]) = (&key.metadata, &metadata_path);
    let forced: (&Metadata, &[&str]) = (&key.forced, &forced_path);
    let workspace: (&Metadata, &[&str]) = (parent.map_or(&none, |parent| &parent.metadata), &path);
    // The tags that a client may override are the weakest.
    let maps = if key.forced_override { [workspace, metadata, forced] } else { [forced, workspace, metadata] };
    let own = OwnTags { maps: &maps, subject: format!("API key {}", quoted(&key.name)), path: &path };
    own.check(rules, problems);
}
