use std::{
    borrow::Cow,
    collections::HashMap,
    iter,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    assignment::Name,
    bytes::part,
    found::Found,
    keyed_hash::{KeyedHash, normalized},
    replaced::{TAG_HASH, TAG_MASK, is_tag_hash, overlaps_replaced},
    scan::scan,
    screening_action::ScreeningAction,
    screening_kind::ScreeningKind,
};

/// The maximum number of times that a text is searched. What remains may be recognized after another part was replaced.
const MAX_ROUNDS: usize = 8;

/// Recognizes secrets and personal data in tags and other short texts. See the [module](super) documentation.
///
/// A clone shares its counts.
#[derive(Clone, Debug, Default)]
pub struct Screening {
    /// `None` if nothing is looked for.
    rules: Option<Arc<Rules>>,
}

#[derive(Debug, Default)]
pub(super) struct Rules {
    /// In the order of [`ScreeningKind::ALL`].
    pub(super) actions: [ScreeningAction; ScreeningKind::ALL.len()],
    pub(super) tags: HashMap<String, TagRule>,
    pub(super) hash: Option<KeyedHash>,
    counts: [AtomicU64; ScreeningKind::ALL.len()],
}

/// The rule for all values of a tag.
#[derive(Debug, Default)]
pub(super) struct TagRule {
    pub(super) action: ScreeningAction,
    count: AtomicU64,
}

impl TagRule {
    pub(super) fn new(action: ScreeningAction) -> Self {
        Self { action, count: AtomicU64::new(0) }
    }
}

impl Screening {
    pub(super) fn new(rules: Rules) -> Self {
        Self { rules: Some(Arc::new(rules)) }
    }

    /// Returns `true` if nothing is looked for.
    pub fn is_off(&self) -> bool {
        self.rules.is_none()
    }

    /// Screens the value of a tag. Returns `None` if the tag is dropped, and the kinds that were recognized.
    ///
    /// The kinds are empty if the tag has its own [rule](super::ScreeningBuilder::tag).
    pub fn screen_tag<'t>(&self, key: &str, value: &'t str) -> (Option<Cow<'t, str>>, Vec<ScreeningKind>) {
        let Some(rules) = &self.rules else { return (Some(Cow::Borrowed(value)), Vec::new()) };
        if !rules.tags.is_empty()
            && let Some(rule) = rules.tags.get(key)
        {
            return (rules.apply(rule, value), Vec::new());
        }
        let mut kinds = Vec::new();
        let screened = match rules.screen_named(key, value, &mut kinds) {
            Some(_) if kinds.iter().any(|kind| rules.action(*kind) == ScreeningAction::Drop) => None,
            Some(screened) => Some(Cow::Owned(screened)),
            None => Some(Cow::Borrowed(value)),
        };
        (screened, kinds)
    }

    /// Screens another text. Parts that would be dropped are masked.
    pub fn screen<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let screened = self.rules.as_ref().and_then(|rules| rules.screen(text, &mut Vec::new()));
        screened.map_or(Cow::Borrowed(text), Cow::Owned)
    }

    /// Returns the number of recognized parts of each kind so far. Kinds that are off are not listed.
    pub fn counts(&self) -> Vec<(ScreeningKind, u64)> {
        let Some(rules) = &self.rules else { return Vec::new() };
        let kinds = ScreeningKind::ALL.iter().zip(&rules.counts).filter(|(kind, _)| rules.is_on(**kind));
        kinds.map(|(kind, count)| (*kind, count.load(Ordering::Relaxed))).collect()
    }

    /// Continues the counts of a screening that this one replaces.
    pub(crate) fn continue_counts(&self, previous: &Self) {
        let (Some(rules), Some(previous)) = (&self.rules, &previous.rules) else { return };
        if Arc::ptr_eq(rules, previous) {
            return;
        }
        let add =
            |count: &AtomicU64, more: &AtomicU64| count.fetch_add(more.load(Ordering::Relaxed), Ordering::Relaxed);
        rules.counts.iter().zip(&previous.counts).for_each(|(count, more)| _ = add(count, more));
        for (key, rule) in &rules.tags {
            if let Some(previous) = previous.tags.get(key) {
                add(&rule.count, &previous.count);
            }
        }
    }

    /// Returns the keys of the tags that have their own rules.
    pub(crate) fn tag_keys(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().flat_map(|rules| rules.tags.keys()).map(String::as_str)
    }

    /// Returns a copy that does not share its counts.
    pub(crate) fn with_own_counts(&self) -> Self {
        let Some(rules) = &self.rules else { return Self::default() };
        let tags = rules.tags.iter().map(|(key, rule)| (key.clone(), TagRule::new(rule.action)));
        Self::new(Rules {
            actions: rules.actions,
            tags: tags.collect(),
            hash: rules.hash.clone(),
            counts: Default::default(),
        })
    }

    /// Returns the number of values that the rule of each tag was applied to, sorted by key.
    pub fn tag_counts(&self) -> Vec<(String, u64)> {
        let tags = self.rules.iter().flat_map(|rules| &rules.tags);
        let mut counts: Vec<_> = tags.map(|(key, rule)| (key.clone(), rule.count.load(Ordering::Relaxed))).collect();
        counts.sort_unstable();
        counts
    }
}

impl Rules {
    fn action(&self, kind: ScreeningKind) -> ScreeningAction {
        self.actions.get(kind.index()).copied().unwrap_or_default()
    }

    fn is_on(&self, kind: ScreeningKind) -> bool {
        self.action(kind) != ScreeningAction::Off
    }

    fn count(&self, kind: ScreeningKind) {
        if let Some(count) = self.counts.get(kind.index()) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Applies the rule of a tag to its value. Returns `None` if the tag is dropped.
    fn apply<'t>(&self, rule: &TagRule, value: &'t str) -> Option<Cow<'t, str>> {
        let is_done = value.is_empty() || is_tag_hash(value) || value == TAG_MASK;
        if rule.action == ScreeningAction::Off || is_done && rule.action != ScreeningAction::Drop {
            return Some(Cow::Borrowed(value));
        }
        rule.count.fetch_add(1, Ordering::Relaxed);
        match (rule.action, &self.hash) {
            (ScreeningAction::Drop, _) => None,
            (ScreeningAction::Hash, Some(hash)) => {
                let mut hashed = format!("{TAG_HASH}:");
                hash.write(value, &mut hashed);
                Some(Cow::Owned(hashed))
            }
            _ => Some(Cow::Borrowed(TAG_MASK)),
        }
    }

    /// Replaces the recognized parts of a value with this key. Returns `None` if there are none.
    fn screen_named(&self, key: &str, value: &str, kinds: &mut Vec<ScreeningKind>) -> Option<String> {
        let screened = self.screen(value, kinds);
        if screened.is_some() || !self.is_on(ScreeningKind::Secrets) {
            return screened;
        }
        // The key says that the value is a secret: the tag `password`.
        let is_secret = Name::of(key).is_some_and(|name| name.is_secret(value, true)) && !value.contains(' ');
        if !is_secret || overlaps_replaced(value, 0, value.len()) {
            return None;
        }
        kinds.push(ScreeningKind::Secrets);
        let whole = Found { start: 0, end: value.len(), kind: ScreeningKind::Secrets };
        Some(self.replace(value, iter::once(whole)))
    }

    /// Replaces the recognized parts of a text. Returns `None` if there are none.
    fn screen(&self, text: &str, kinds: &mut Vec<ScreeningKind>) -> Option<String> {
        let mut screened: Option<String> = None;
        for _ in 0..MAX_ROUNDS {
            let current = screened.as_deref().unwrap_or(text);
            let all = scan(current, |kind| self.is_on(kind));
            if all.is_empty() {
                break;
            }
            for found in &all {
                if !kinds.contains(&found.kind) {
                    kinds.push(found.kind);
                }
            }
            screened = Some(self.replace(current, all.into_iter()));
        }
        screened
    }

    fn replace(&self, text: &str, all: impl Iterator<Item = Found>) -> String {
        let mut replaced = String::with_capacity(text.len() + 16);
        let mut position = 0;
        for Found { start, end, kind } in all {
            replaced.push_str(part(text, position, start));
            self.count(kind);
            match (self.action(kind), &self.hash) {
                (ScreeningAction::Hash, Some(hash)) => {
                    replaced.push_str(kind.label());
                    replaced.push(':');
                    hash.write(&normalized(kind, part(text, start, end)), &mut replaced);
                }
                _ => replaced.extend(["[", kind.label(), "]"]),
            }
            position = end;
        }
        replaced.push_str(part(text, position, text.len()));
        replaced
    }
}
