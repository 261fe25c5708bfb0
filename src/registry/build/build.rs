use super::{
    super::{problem::Problems, registry_builder::RegistryBuilder, snapshot::Snapshot},
    access, api_keys, rules, virtual_keys, workspaces,
};

/// Validates a definition. Counters and the states of virtual keys continue those of the previous snapshot.
///
/// The snapshot must not be used if there are problems.
pub(crate) fn build(builder: RegistryBuilder, previous: Option<&Snapshot>, problems: &mut Problems) -> Snapshot {
    let counters = previous.map(|previous| previous.anonymous.counters.clone());
    #[cfg_attr(not(feature = "schema"), expect(unused_mut, reason = "contracts are added to it"))]
    let mut anonymous = rules::empty(counters.unwrap_or_default());
    #[cfg(feature = "schema")]
    rules::add_contract(&mut anonymous, builder.contract);
    let workspaces = workspaces::check(builder.workspaces, &anonymous, previous, problems);
    let keys = api_keys::check(builder.api_keys, &anonymous, &workspaces, previous, problems);
    let virtual_keys = virtual_keys::check(builder.virtual_keys, &workspaces, previous, problems);
    Snapshot {
        keys: keys.entries,
        secrets: keys.secrets,
        workspaces: workspaces.into_iter().map(|workspace| workspace.entry).collect(),
        virtual_keys,
        anonymous,
        access: access::check(builder.access, problems),
        names: builder.names,
        screening: builder.screening,
        login: builder.login,
        spiffe: builder.spiffe,
        #[cfg(feature = "jwt")]
        jwt: builder.jwt,
        ignored_sections: builder.ignored_sections,
        files: builder.files,
    }
}
