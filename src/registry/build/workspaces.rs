#[cfg(feature = "schema")]
use crate::Metadata;
use crate::metadata::Scope;

#[cfg(feature = "schema")]
use super::own_tags::OwnTags;
use super::{
    super::{
        callers::Workspace,
        closest::closest,
        problem::Problems,
        quote::quoted,
        snapshot::{CallerRules, Snapshot, WorkspaceEntry},
    },
    names, own_tags, rules,
};

/// A valid workspace, and the rules that its keys inherit.
pub(super) struct CheckedWorkspace {
    pub(super) entry: WorkspaceEntry,
    pub(super) rules: CallerRules,
    #[cfg(feature = "schema")]
    pub(super) metadata: Metadata,
}

/// Returns the workspaces, sorted by slug.
pub(super) fn check(
    mut workspaces: Vec<Workspace>,
    parent: &CallerRules,
    previous: Option<&Snapshot>,
    problems: &mut Problems,
) -> Vec<CheckedWorkspace> {
    workspaces.sort_by(|one, other| one.slug.cmp(&other.slug));
    names::check("workspaces", &workspaces, |workspace| &workspace.slug, problems);
    workspaces.into_iter().map(|workspace| check_one(workspace, parent, previous, problems)).collect()
}

fn check_one(
    workspace: Workspace,
    parent: &CallerRules,
    previous: Option<&Snapshot>,
    problems: &mut Problems,
) -> CheckedWorkspace {
    let path = ["workspaces", &workspace.slug, "metadata"];
    own_tags::check_limits(workspace.limits, &workspace.metadata, &path, problems);
    let counters = previous.and_then(|previous| {
        let entry = previous.workspaces.get(previous.workspace_at(&workspace.slug)?)?;
        Some(entry.counters.clone())
    });
    let counters = counters.unwrap_or_default();
    let mut rules = rules::inherited(parent, counters.clone());
    #[cfg(feature = "schema")]
    {
        rules::add_contract(&mut rules, workspace.contract);
        let own = OwnTags {
            maps: &[(&workspace.metadata, &path)],
            subject: format!("workspace {}", quoted(&workspace.slug)),
            path: &path,
        };
        own.check(&rules, problems);
    }
    rules.scopes.add(Scope::Workspace, workspace.metadata.clone());
    CheckedWorkspace {
        entry: WorkspaceEntry {
            slug: workspace.slug.into(),
            display_name: workspace.name,
            metadata: workspace.metadata.clone(),
            limits: workspace.limits,
            counters,
        },
        rules,
        #[cfg(feature = "schema")]
        metadata: workspace.metadata,
    }
}

/// Returns the position of a workspace, or a message.
pub(super) fn find(workspaces: &[CheckedWorkspace], slug: &str) -> Result<usize, String> {
    workspaces.binary_search_by(|workspace| (*workspace.entry.slug).cmp(slug)).map_err(|_| {
        let known = workspaces.iter().map(|workspace| &*workspace.entry.slug);
        let hint = closest(slug, known).map(|close| format!(": did you mean {}?", quoted(close)));
        format!("unknown workspace {}{}", quoted(slug), hint.unwrap_or_default())
    })
}
