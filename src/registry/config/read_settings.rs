//! The sections other than those with callers.

use super::{
    super::{
        access::{ErrorStyle, TrustedHeader, UnknownKeys},
        login::SpiffeTags,
        names::{KeyStyle, Names},
        registry_builder::RegistryBuilder,
        screening::{Screening, ScreeningAction, ScreeningKind},
    },
    place::{Place, Table},
    reader::Reader,
};

/// The sections that the registry reads, and those that it leaves to other modules.
pub(super) const SECTIONS: &[&str] = &[
    "access",
    "api_keys",
    "contract",
    "jwt",
    "login",
    "names",
    "screening",
    "spiffe",
    "virtual_keys",
    "workspaces",
    "alerts",
    "analytics",
    "ledger",
    "limits",
];

/// The sections that other modules read.
pub(super) const IGNORED: &[&str] = &["alerts", "analytics", "ledger", "limits"];

const UNKNOWN_KEYS: &[(&str, UnknownKeys)] = &[("anonymous", UnknownKeys::Anonymous), ("reject", UnknownKeys::Reject)];
const ERRORS: &[(&str, ErrorStyle)] = &[("problem", ErrorStyle::Problem), ("portkey", ErrorStyle::Portkey)];
const STYLES: &[(&str, KeyStyle)] = &[("keep", KeyStyle::Keep), ("lower", KeyStyle::Lower), ("snake", KeyStyle::Snake)];
const ACTIONS: &[(&str, ScreeningAction)] = &[
    ("mask", ScreeningAction::Mask),
    ("hash", ScreeningAction::Hash),
    ("drop", ScreeningAction::Drop),
    ("off", ScreeningAction::Off),
];

impl Reader<'_> {
    pub(super) fn settings(&mut self, root: &Table<'_>, builder: &mut RegistryBuilder) {
        builder.ignored_sections =
            IGNORED.iter().filter(|name| root.get(name).is_some()).map(|name| (*name).to_owned()).collect();
        #[cfg(feature = "schema")]
        {
            builder.contract = self.contract(root.get("contract"));
        }
        #[cfg(not(feature = "schema"))]
        self.refuse_contract(root.get("contract"));
        if let Some(place) = root.get("access") {
            self.access(&place, builder);
        }
        if let Some(names) = root.get("names").and_then(|place| self.names(&place)) {
            builder.names = Some(names);
        }
        if let Some(screening) = root.get("screening").and_then(|place| self.screening(&place)) {
            builder.screening = Some(screening);
        }
        if let Some(place) = root.get("login") {
            let tags = place.table(&["tags"], &mut self.problems).get("tags");
            builder.login = self.tag_mapping(tags);
        }
        builder.spiffe = root.get("spiffe").and_then(|place| self.spiffe(&place));
    }

    fn access(&mut self, place: &Place<'_>, builder: &mut RegistryBuilder) {
        let known = ["errors", "key_headers", "trusted_headers", "unknown_keys"];
        let table = place.table(&known, &mut self.problems);
        let access = &mut builder.access;
        if let Some(treatment) =
            table.get("unknown_keys").and_then(|place| place.choice(UNKNOWN_KEYS, &mut self.problems))
        {
            access.unknown_keys = treatment;
        }
        if let Some(style) = table.get("errors").and_then(|place| place.choice(ERRORS, &mut self.problems)) {
            access.errors = style;
        }
        if let Some(names) = table.get("key_headers") {
            access.key_headers = self.texts(Some(names));
        }
        if let Some(headers) = table.get("trusted_headers") {
            for header in headers.any_table(&mut self.problems).iter() {
                if let Some((key, scope)) = self.trusted_tag(&header) {
                    access.trusted_headers.push(TrustedHeader { header: header.name().to_owned(), key, scope });
                }
            }
        }
    }

    pub(super) fn names(&mut self, place: &Place<'_>) -> Option<Names> {
        let table = place.table(&["aliases", "style"], &mut self.problems);
        let style = table.get("style").and_then(|place| place.choice(STYLES, &mut self.problems));
        let mut builder = Names::builder().style(style.unwrap_or_default());
        let before = self.problems.len();
        let aliases = table.get("aliases");
        if let Some(aliases) = &aliases {
            for alias in aliases.any_table(&mut self.problems).iter() {
                let Some(key) = alias.text(&mut self.problems) else { continue };
                builder = builder.alias(alias.name(), key);
                if let Err(error) = Names::builder().alias(alias.name(), key).build() {
                    alias.fail_with(&mut self.problems, &error);
                }
            }
        }
        let result = builder.build();
        if let Err(error) = &result
            && self.problems.len() == before
        {
            aliases.as_ref().unwrap_or(place).fail_with(&mut self.problems, error);
        }
        result.ok()
    }

    fn screening(&mut self, place: &Place<'_>) -> Option<Screening> {
        let kinds = ScreeningKind::ALL.iter().map(|kind| kind.as_str());
        let known: Vec<&str> = ["hash_key_env", "hash_key_file", "tags"].into_iter().chain(kinds).collect();
        let table = place.table(&known, &mut self.problems);
        let before = self.problems.len();
        let mut builder = Screening::builder();
        for kind in ScreeningKind::ALL {
            if let Some(action) = table.get(kind.as_str()).and_then(|place| place.choice(ACTIONS, &mut self.problems)) {
                builder = builder.kind(*kind, action);
            }
        }
        if let Some(tags) = table.get("tags") {
            for tag in tags.any_table(&mut self.problems).iter() {
                if let Some(action) = tag.choice(ACTIONS, &mut self.problems) {
                    builder = builder.tag(tag.name(), action);
                }
            }
        }
        let source = self.secret_source(&table, "hash_key_env", "hash_key_file");
        match source.map(|source| source.read()) {
            None => {}
            Some(Ok(key)) => builder = builder.hash_key(key.expose()),
            Some(Err(message)) => {
                let key = table.get("hash_key_env").or_else(|| table.get("hash_key_file"));
                key.as_ref().unwrap_or(place).fail(&mut self.problems, message);
            }
        }
        let result = builder.build();
        if let Err(error) = &result
            && self.problems.len() == before
        {
            place.fail_with(&mut self.problems, error);
        }
        result.ok()
    }

    fn spiffe(&mut self, place: &Place<'_>) -> Option<SpiffeTags> {
        let table = place.table(&["segments", "trust_domain"], &mut self.problems);
        let domain = table.require("trust_domain", &mut self.problems)?;
        let result = SpiffeTags::new(domain.text(&mut self.problems)?);
        let mut tags = result.map_err(|error| domain.fail_with(&mut self.problems, &error)).ok()?;
        if let Some(segments) = table.get("segments") {
            for segment in segments.any_table(&mut self.problems).iter() {
                if let Some((key, scope)) = self.trusted_tag(&segment) {
                    match tags.clone().segment(segment.name(), &key, scope) {
                        Ok(added) => tags = added,
                        Err(error) => segment.fail_with(&mut self.problems, &error),
                    }
                }
            }
        }
        Some(tags)
    }
}
