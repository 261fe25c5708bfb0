use super::{
    super::{problem::Problems, registry_builder::RegistryBuilder, snapshot::CallerRules},
    rules,
};

/// Applies the policy of a definition.
pub(super) fn apply(builder: &mut RegistryBuilder, rules: &mut CallerRules, problems: &mut Problems) {
    let Some((policy, mode)) = builder.policy.take() else { return };
    let mut report = |error: crate::ConfigError| {
        for (_, message) in error.problems() {
            problems.add(&["policy"], message);
        }
    };
    match policy.contract(mode) {
        Ok(contract) => rules::add_contract(rules, Some(contract)),
        Err(error) => report(error),
    }
    match policy.names() {
        Ok(names) => _ = builder.names.get_or_insert(names),
        Err(error) => report(error),
    }
    if let Some(screening) = policy.own_screening() {
        builder.screening.get_or_insert_with(|| screening.clone());
    }
}
