use std::borrow::Cow;
#[cfg(feature = "schema")]
use std::collections::BTreeMap;

use crate::{
    Metadata,
    metadata::{Diagnostic, DiagnosticCode, FilteredTag, Scope, TagFilter},
    tagging::{Caller, Rejection, SettledTags},
};

#[cfg(feature = "schema")]
use crate::tagging::{Candidate, Verdict};

#[cfg(feature = "schema")]
use super::{
    super::contract::{ContractMode, Violation, ViolationKind},
    refusal::BrokenRule,
};
use super::{
    super::{claims::Otherwise, names::look_alikes, principal::Principal, screening::ScreeningKind},
    answers::answer,
    refusal::Refusal,
};

/// The rules of a registry for one caller.
#[derive(Debug)]
pub(crate) struct GovernedCaller {
    principal: Principal,
}

impl GovernedCaller {
    pub(crate) fn new(principal: Principal) -> Self {
        Self { principal }
    }

    fn answer(&self, refusal: &Refusal) -> Rejection {
        self.principal.count_rejected();
        answer(refusal, self.principal.snapshot().access.errors)
    }

    /// Applies the claims to a tag of the client. Returns `false` if the tag is dropped.
    fn applies_claims(&self, tag: &mut FilteredTag<'_>) -> bool {
        let Some(claims) = self.principal.claims() else { return true };
        if claims.allows(&tag.key, &tag.value) {
            return true;
        }
        self.principal.count_denied_claims(1);
        tag.is_dropped = true;
        tag.is_rejected = claims.otherwise() == Otherwise::Reject;
        let note = Diagnostic::new(DiagnosticCode::ClaimDenied).with_key(tag.key.clone().into_owned());
        tag.notes.push(note.with_detail(tag.value.clone().into_owned()));
        false
    }

    /// Adds a hint if the key looks like a misspelled key of a contract.
    #[cfg(feature = "schema")]
    fn hint_at_typo(&self, tag: &mut FilteredTag<'_>) {
        let contracts = self.principal.contracts();
        let keys = || contracts.iter().flat_map(|contract| contract.keys());
        if contracts.is_empty() || keys().any(|key| key == tag.key) {
            return;
        }
        if let Some(known) = super::super::names::Names::typo(&tag.key, keys()) {
            let note = Diagnostic::new(DiagnosticCode::PossibleTypo).with_key(tag.key.clone().into_owned());
            tag.notes.push(note.with_detail(known.to_owned()));
        }
    }

    #[cfg(not(feature = "schema"))]
    #[allow(clippy::unused_self, reason = "contracts are optional")]
    fn hint_at_typo(&self, _: &mut FilteredTag<'_>) {}

    fn screen_tag(&self, tag: &mut FilteredTag<'_>) {
        let screening = &self.principal.snapshot().screening;
        if screening.is_off() {
            return;
        }
        let (value, kinds) = screening.screen_tag(&tag.key, &tag.value);
        let screened = value.map(|value| match value {
            Cow::Borrowed(_) => None,
            Cow::Owned(value) => Some(value),
        });
        if let Cow::Owned(key) = screening.screen(&tag.key) {
            tag.key = Cow::Owned(key);
        }
        match screened {
            None => tag.is_dropped = true,
            Some(Some(value)) => tag.value = Cow::Owned(value),
            Some(None) => {}
        }
        if !kinds.is_empty() {
            let kinds: Vec<_> = kinds.into_iter().map(ScreeningKind::as_str).collect();
            let note = Diagnostic::new(DiagnosticCode::Screened).with_key(tag.key.clone().into_owned());
            tag.notes.push(note.with_detail(kinds.join(", ")));
        }
    }
}

impl TagFilter for GovernedCaller {
    fn filter<'t>(&self, scope: Scope, key: &'t str, value: &'t str) -> FilteredTag<'t> {
        let mut tag = FilteredTag::new(key, value);
        if scope == Scope::Request {
            tag.key = self.principal.snapshot().names.apply(key);
            tag.is_alias = tag.key != key;
            if value.is_empty() && self.principal.fallback_if_empty().contains_key(&tag.key) {
                tag.is_dropped = true;
                return tag;
            }
            if !self.applies_claims(&mut tag) {
                return tag;
            }
            self.hint_at_typo(&mut tag);
        }
        self.screen_tag(&mut tag);
        tag
    }

    fn screen<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.principal.snapshot().screening.screen(text)
    }

    fn look_alikes(&self, tags: &Metadata, is_trusted: &dyn Fn(usize) -> bool) -> Vec<usize> {
        look_alikes(tags, is_trusted)
    }
}

impl Caller for GovernedCaller {
    #[cfg(feature = "schema")]
    fn check(&self, candidate: &Candidate<'_>) -> Verdict {
        const USER: &str = "_user";
        // By mode, so that the violations of a rejection are complete.
        let (mut reported, mut rejected) = (Vec::new(), Vec::new());
        for contract in self.principal.contracts() {
            match contract.mode() {
                ContractMode::Off => {}
                ContractMode::Report => reported.extend(contract.violations(candidate.metadata)),
                ContractMode::Reject => rejected.extend(contract.violations(candidate.metadata)),
            }
        }
        if reported.is_empty() && rejected.is_empty() {
            return Verdict::Admit;
        }
        let has_user = candidate.metadata.get(USER).is_some_and(|user| !user.is_empty());
        let concerns_user = || reported.iter().chain(&rejected).any(|violation| violation.key == USER);
        if candidate.may_learn_user && !has_user && concerns_user() {
            return Verdict::ReadBody;
        }
        let notes: Vec<_> = notes(reported.iter().chain(&rejected)).into_values().collect();
        if rejected.is_empty() {
            return Verdict::Report(notes);
        }
        let rules = rejected.into_iter().map(|Violation { key, kind, expected, .. }| BrokenRule {
            key,
            is_missing: kind == ViolationKind::Missing,
            expected,
        });
        let rejection = self.answer(&Refusal::Contract(rules.collect()));
        Verdict::Reject(Box::new(notes.into_iter().fold(rejection, Rejection::with_note)))
    }

    fn reject(&self, reason: &Diagnostic<'_>) -> Option<Rejection> {
        if reason.code() != DiagnosticCode::ClaimDenied {
            self.principal.count_rejected();
            return None;
        }
        Some(self.answer(&Refusal::Claim(reason.key().unwrap_or_default().to_owned())))
    }

    fn settled(&self, tags: &SettledTags<'_>) {
        if tags.shadowed > 0 {
            self.principal.count_shadowed(tags.shadowed as u64);
        }
        #[cfg(feature = "schema")]
        self.principal.count_coverage(tags.metadata, tags.cost);
    }
}

/// Returns one note per key and rule.
#[cfg(feature = "schema")]
fn notes<'v>(violations: impl Iterator<Item = &'v Violation>) -> BTreeMap<(&'v str, &'v str), Diagnostic<'static>> {
    let note = |violation: &Violation| {
        let is_missing = violation.kind == ViolationKind::Missing;
        let code = if is_missing { DiagnosticCode::ContractMissing } else { DiagnosticCode::ContractInvalid };
        let note = Diagnostic::new(code).with_key(violation.key.clone());
        if is_missing { note } else { note.with_detail(violation.expected.clone()) }
    };
    violations.map(|violation| ((&*violation.key, &*violation.expected), note(violation))).collect()
}
