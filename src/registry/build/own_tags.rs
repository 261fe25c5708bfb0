//! Checks of the tags that a definition sets.

use crate::{
    Metadata,
    metadata::{Diagnostic, Limits},
};

#[cfg(feature = "schema")]
use super::super::snapshot::CallerRules;
use super::super::{problem::Problems, quote::quoted};

/// Checks that tags are within the limits.
pub(super) fn check_limits(limits: Option<Limits>, tags: &Metadata, path: &[&str], problems: &mut Problems) {
    if let Err(problem) = limits.unwrap_or_default().check(tags) {
        let key = problem.key().map_or_else(|| "a tag".to_owned(), |key| format!("tag {}", quoted(key)));
        let inner: Vec<&str> = path.iter().copied().chain(key_in(&problem, tags)).collect();
        problems.add(&inner, format!("{key} is not within the limits ({})", problem.code()));
    }
}

/// Returns the key of a diagnostic if it is the key of a tag, which it is not if it was truncated.
fn key_in<'p>(problem: &'p Diagnostic<'_>, tags: &Metadata) -> Option<&'p str> {
    problem.key().filter(|key| tags.contains_key(key))
}

/// The tags that a workspace or key sets, each with the place where it does.
#[cfg(feature = "schema")]
pub(super) struct OwnTags<'t> {
    /// The maps, strongest first, with their paths.
    pub(super) maps: &'t [(&'t Metadata, &'t [&'t str])],
    /// The subject of the error, such as `API key "web"`.
    pub(super) subject: String,
    /// The place of an error that is not about one tag.
    pub(super) path: &'t [&'t str],
}

#[cfg(feature = "schema")]
impl OwnTags<'_> {
    /// Checks that the tags contradict no contract. Missing tags may still come from the client.
    pub(super) fn check(&self, rules: &CallerRules, problems: &mut Problems) {
        if rules.contracts.is_empty() {
            return;
        }
        let mut tags = Metadata::new();
        for (map, _) in self.maps.iter().rev() {
            tags.extend(*map);
        }
        let violations = rules.contracts.iter().flat_map(|contract| contract.violations_of_present(&tags));
        for violation in violations {
            let place = self.maps.iter().find(|(map, _)| map.contains_key(&violation.key));
            let path: Vec<&str> = match place {
                Some((_, path)) => path.iter().copied().chain([violation.key.as_str()]).collect(),
                None => self.path.to_vec(),
            };
            let (key, expected) = (quoted(&violation.key), &violation.expected);
            problems.add(&path, format!("{} contradicts its contract: tag {key}: {expected}", self.subject));
        }
    }
}
