use std::collections::BTreeSet;

#[cfg(feature = "schema")]
use super::super::coverage::Coverage;
#[cfg(feature = "schema")]
use super::policy;
#[cfg(feature = "jwt")]
use super::tokens;
use super::{
    super::{
        claims::Claims, login::SpiffeTags, names::Names, problem::Problems, quote::quoted,
        registry_builder::RegistryBuilder, snapshot::Snapshot,
    },
    access, api_keys, rules, virtual_keys, workspaces,
};

/// Validates a definition. Counters and the states of virtual keys continue those of the previous snapshot.
///
/// The snapshot must not be used if there are problems.
pub(crate) fn build(mut builder: RegistryBuilder, previous: Option<&Snapshot>, problems: &mut Problems) -> Snapshot {
    let counters = previous.map(|previous| previous.anonymous.counters.clone());
    #[cfg_attr(not(feature = "schema"), allow(unused_mut, reason = "contracts are added to it"))]
    let mut anonymous = rules::empty(counters.unwrap_or_default());
    #[cfg(feature = "schema")]
    {
        policy::apply(&mut builder, &mut anonymous, problems);
        rules::add_contract(&mut anonymous, builder.contract.take());
    }
    let names = builder.names.take().unwrap_or_default();
    let screening = builder.screening.take().unwrap_or_default();
    if let Some(previous) = previous {
        screening.continue_counts(&previous.screening);
    }
    // Contracts are checked on what requests will carry. Screening counts requests only.
    let uncounted = screening.with_own_counts();
    for workspace in &mut builder.workspaces {
        uncounted.screen_metadata(&mut workspace.metadata);
    }
    for key in &mut builder.api_keys {
        uncounted.screen_metadata(&mut key.metadata);
        uncounted.screen_metadata(&mut key.forced);
    }
    check_keys("a trusted tag", trusted_keys(&builder), &names, problems);
    check_keys("the screening of tags", screening.tag_keys(), &names, problems);
    let workspaces = workspaces::check(builder.workspaces, &anonymous, previous, problems);
    let keys = api_keys::check(builder.api_keys, &anonymous, &workspaces, previous, problems);
    let virtual_keys = virtual_keys::check(builder.virtual_keys, &workspaces, previous, problems);
    let claims = keys.entries.iter().filter_map(|key| key.claims.as_ref()).flat_map(Claims::literal_keys);
    check_keys("a claim", claims, &names, problems);
    #[cfg(feature = "schema")]
    {
        let rules = keys.entries.iter().map(|key| &key.rules);
        let rules = rules.chain(workspaces.iter().map(|workspace| &workspace.rules)).chain([&anonymous]);
        let contracts = rules.flat_map(|rules| &*rules.contracts).flat_map(|contract| contract.keys());
        check_keys("a contract", contracts, &names, problems);
    }
    #[cfg(feature = "schema")]
    let coverage = {
        let of_keys = keys.entries.iter().flat_map(|key| &*key.rules.contracts);
        let of_workspaces = workspaces.iter().flat_map(|workspace| &*workspace.rules.contracts);
        let contracts = anonymous.contracts.iter().chain(of_workspaces).chain(of_keys);
        Coverage::new(contracts.flat_map(|contract| contract.keys()), previous.map(|previous| &previous.coverage))
    };
    #[cfg(feature = "jwt")]
    let tokens = tokens::check(builder.jwt, previous, problems);
    #[cfg(feature = "jwt")]
    check_keys("a token", tokens.iter().flat_map(|tokens| tokens.verifier.tags().keys()), &names, problems);
    Snapshot {
        #[cfg(feature = "schema")]
        coverage,
        keys: keys.entries,
        secrets: keys.secrets,
        workspaces: workspaces.into_iter().map(|workspace| workspace.entry).collect(),
        virtual_keys,
        anonymous,
        access: access::check(builder.access, problems),
        names,
        screening,
        login: builder.login,
        spiffe: builder.spiffe,
        #[cfg(feature = "jwt")]
        tokens,
        ignored_sections: builder.ignored_sections,
        files: builder.files,
    }
}

/// Returns the keys of the tags that the operator sets.
fn trusted_keys(builder: &RegistryBuilder) -> impl Iterator<Item = &str> {
    let of_workspaces = builder.workspaces.iter().map(|workspace| &workspace.metadata);
    let of_keys = builder.api_keys.iter().flat_map(|key| [&key.metadata, &key.forced]);
    let of_headers = builder.access.trusted_headers.iter().map(|header| &*header.key);
    let of_callers = of_workspaces.chain(of_keys).flat_map(|tags| tags.iter().map(|(key, _)| key));
    let of_peers = builder.spiffe.iter().flat_map(SpiffeTags::keys);
    of_callers.chain(of_headers).chain(builder.login.keys()).chain(of_peers)
}

/// Reports the keys of rules that no tag of a client can have, because names store them under another key.
fn check_keys<'k, K: IntoIterator<Item = &'k str>>(rule: &str, keys: K, names: &Names, problems: &mut Problems) {
    for key in keys.into_iter().collect::<BTreeSet<_>>() {
        if let Some(stored) = names.stored_elsewhere(key) {
            let (key, stored) = (quoted(key), quoted(&stored));
            problems.add(&["names"], format!("{rule} has the key {key}, which is stored as {stored}: use that key"));
        }
    }
}
