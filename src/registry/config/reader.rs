//! Values that several sections have.

use std::path::{Path, PathBuf};

use crate::{
    Metadata, Scope,
    metadata::{Limits, Overflow},
};

#[cfg(feature = "schema")]
use super::super::{
    contract::{Contract, ContractMode},
    quote::without_secrets,
};
#[cfg(feature = "analytics")]
use super::super::{names::Names, quote::quoted};
use super::{
    super::{login::TagMapping, problem::Problems},
    place::Place,
};

/// The problems so far, and the files that the configuration refers to.
pub(crate) struct Reader<'f> {
    pub(crate) problems: Problems,
    /// The folder at which relative paths start.
    pub(super) folder: Option<&'f Path>,
    pub(super) files: Vec<PathBuf>,
    /// The names of tags, for the rules of other modules.
    #[cfg(feature = "analytics")]
    pub(super) names: Names,
}

const SCOPES: &[(&str, Scope)] = &[
    ("fallback", Scope::Fallback),
    ("api_key", Scope::ApiKey),
    ("workspace", Scope::Workspace),
    ("forced", Scope::Forced),
];

const OVERFLOWS: &[(&str, Overflow)] =
    &[("truncate", Overflow::Truncate), ("drop", Overflow::Drop), ("reject", Overflow::Reject)];

#[cfg(feature = "schema")]
const MODES: &[(&str, ContractMode)] =
    &[("off", ContractMode::Off), ("report", ContractMode::Report), ("reject", ContractMode::Reject)];

impl<'f> Reader<'f> {
    pub(super) fn new(folder: Option<&'f Path>) -> Self {
        Self {
            problems: Problems::default(),
            folder,
            files: Vec::new(),
            #[cfg(feature = "analytics")]
            names: Names::default(),
        }
    }
}

impl Reader<'_> {
    /// Reports a key of a tag that no tag of a client can have, because names store it under another key.
    #[cfg(feature = "analytics")]
    pub(crate) fn check_key(&mut self, place: &Place<'_>, key: &str) {
        if let Some(stored) = self.names.stored_elsewhere(key) {
            let message = format!("tags with the key {} are stored as {}: use that key", quoted(key), quoted(&stored));
            place.fail(&mut self.problems, message);
        }
    }

    /// Reports a property `metadata.KEY` whose key names store under another key.
    #[cfg(feature = "analytics")]
    pub(crate) fn check_property(&mut self, place: &Place<'_>, property: &str) {
        if let Some(key) = property.strip_prefix("metadata.") {
            self.check_key(place, key);
        }
    }

    pub(crate) fn owned_text(&mut self, place: Option<Place<'_>>) -> Option<String> {
        place?.text(&mut self.problems).map(str::to_owned)
    }

    pub(crate) fn texts(&mut self, place: Option<Place<'_>>) -> Vec<String> {
        let Some(place) = place else { return Vec::new() };
        let items = place.list(&mut self.problems);
        items.iter().filter_map(|item| item.text(&mut self.problems)).map(str::to_owned).collect()
    }

    pub(super) fn metadata(&mut self, place: Option<Place<'_>>) -> Metadata {
        let mut metadata = Metadata::new();
        let Some(place) = place else { return metadata };
        for tag in place.any_table(&mut self.problems).iter() {
            if let Some(value) = tag.text(&mut self.problems) {
                metadata.insert(tag.name(), value);
            }
        }
        metadata
    }

    /// Reads the path of a file.
    pub(super) fn path(&mut self, place: &Place<'_>) -> Option<PathBuf> {
        let path = place.text(&mut self.problems)?;
        let path = self.folder.map_or_else(|| PathBuf::from(path), |folder| folder.join(path));
        self.files.push(path.clone());
        Some(path)
    }

    /// Reads `{ key = "tenant_id", scope = "workspace" }`.
    pub(super) fn trusted_tag(&mut self, place: &Place<'_>) -> Option<(String, Scope)> {
        let table = place.table(&["key", "scope"], &mut self.problems);
        let key = table.require("key", &mut self.problems);
        let scope = table.require("scope", &mut self.problems);
        let key = self.owned_text(key);
        let scope = scope.and_then(|scope| scope.choice(SCOPES, &mut self.problems));
        key.zip(scope)
    }

    /// Reads `{ "/org/id" = { key = "tenant_id", scope = "workspace" } }`.
    pub(super) fn tag_mapping(&mut self, place: Option<Place<'_>>) -> TagMapping {
        let mut mapping = TagMapping::new();
        let Some(place) = place else { return mapping };
        for claim in place.any_table(&mut self.problems).iter() {
            let Some((key, scope)) = self.trusted_tag(&claim) else { continue };
            match mapping.clone().with(claim.name(), &key, scope) {
                Ok(extended) => mapping = extended,
                Err(error) => claim.fail_with(&mut self.problems, &error),
            }
        }
        mapping
    }

    pub(super) fn limits(&mut self, place: &Place<'_>) -> Limits {
        const KEYS: &[&str] = &["key_chars", "overflow", "tags", "total_bytes", "value_chars"];
        let table = place.table(KEYS, &mut self.problems);
        let mut count = |name: &str| table.get(name).and_then(|place| place.count(&mut self.problems));
        let mut limits = Limits::default();
        limits = count("value_chars").map_or(limits, |chars| limits.value_chars(chars));
        limits = count("key_chars").map_or(limits, |chars| limits.key_chars(chars));
        limits = count("total_bytes").map_or(limits, |bytes| limits.total_bytes(bytes));
        limits = count("tags").map_or(limits, |tags| limits.tags(tags));
        let overflow = table.get("overflow").and_then(|place| place.choice(OVERFLOWS, &mut self.problems));
        overflow.map_or(limits, |overflow| limits.overflow(overflow))
    }

    #[cfg(feature = "schema")]
    pub(super) fn contract(&mut self, place: Option<Place<'_>>) -> Option<Contract> {
        let place = place?;
        let table = place.table(&["mode", "schema"], &mut self.problems);
        let mode = table.get("mode").map(|mode| mode.choice(MODES, &mut self.problems));
        let schema = table.require("schema", &mut self.problems)?;
        let result = Contract::new(mode.flatten().unwrap_or_default(), &schema.node.to_json());
        let errors = match result {
            // The mode was wrong.
            Ok(contract) => return Some(contract).filter(|_| mode != Some(None)),
            Err(errors) => errors,
        };
        for error in errors {
            let steps = error.pointer.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~"));
            let path: Vec<String> = schema.path().into_iter().chain(steps).collect();
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            self.problems.add(&path, without_secrets(&error.to_string()));
        }
        None
    }

    /// Reports a contract, which needs a feature.
    #[cfg(not(feature = "schema"))]
    pub(super) fn refuse_contract(&mut self, place: Option<Place<'_>>) {
        if let Some(place) = place {
            place.fail(&mut self.problems, "contracts need the feature `schema` of the crate `tower-tagging`");
        }
    }
}
