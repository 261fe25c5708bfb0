use std::borrow::Cow;
#[cfg(feature = "schema")]
use std::{collections::BTreeMap, sync::OnceLock};

use crate::{
    Metadata,
    metadata::{Diagnostic, DiagnosticCode, FilteredTag, Scope, TagFilter},
    tagging::{Caller, Candidate, Rejection, SettledTags, Verdict},
};

#[cfg(feature = "schema")]
use crate::metadata::USER_KEY;

#[cfg(feature = "schema")]
use super::{
    super::contract::{ContractMode, Violation, ViolationKind},
    refusal::BrokenRule,
};
use super::{
    super::{
        claims::Otherwise,
        names::look_alikes,
        principal::Principal,
        screening::ScreeningKind,
        virtual_keys::{Credential, VirtualKey},
    },
    answers::answer,
    refusal::Refusal,
    trusted_sources::TrustedSources,
};

/// The rules of a registry for one caller.
#[derive(Debug)]
pub(crate) struct GovernedCaller {
    principal: Principal,
    /// The sources whose tags a client may not set, even if the source does not set them.
    sources: TrustedSources,
    /// The request is refused, whatever its tags are.
    #[cfg_attr(not(feature = "schema"), allow(dead_code, reason = "only coverage depends on it"))]
    is_refused: bool,
    /// The virtual key with which the service calls a provider.
    virtual_key: Option<VirtualKey>,
    /// The tags that the contracts were checked on, which is before those of the handler.
    #[cfg(feature = "schema")]
    checked: OnceLock<Metadata>,
}

impl GovernedCaller {
    pub(crate) fn new(
        principal: Principal,
        sources: TrustedSources,
        is_refused: bool,
        virtual_key: Option<VirtualKey>,
    ) -> Self {
        Self {
            principal,
            sources,
            is_refused,
            virtual_key,
            #[cfg(feature = "schema")]
            checked: OnceLock::new(),
        }
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
        self.note_dropped(DiagnosticCode::ClaimDenied, tag);
        false
    }

    /// Drops a tag of the client whose key belongs to a trusted source. Returns `false` if it is dropped.
    fn leaves_reserved(&self, tag: &mut FilteredTag<'_>) -> bool {
        if !self.sources.reserve(self.principal.snapshot(), &tag.key) {
            return true;
        }
        self.principal.count_shadowed(1);
        tag.is_dropped = true;
        self.note_dropped(DiagnosticCode::Shadowed, tag);
        false
    }

    /// Adds a note with the screened value of a tag that is dropped.
    fn note_dropped(&self, code: DiagnosticCode, tag: &mut FilteredTag<'_>) {
        let note = Diagnostic::new(code).with_key(tag.key.clone().into_owned());
        let (value, _) = self.principal.snapshot().screening.screen_tag(&tag.key, &tag.value);
        tag.notes.push(match value {
            Some(value) => note.with_detail(value.into_owned()),
            None => note,
        });
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
        let screened = value.map(|value| (value != tag.value).then(|| value.into_owned()));
        if let Cow::Owned(key) = screening.screen(&tag.key) {
            tag.key = Cow::Owned(key);
        }
        let is_changed = !matches!(screened, Some(None));
        match screened {
            None => tag.is_dropped = true,
            Some(Some(value)) => tag.value = Cow::Owned(value),
            Some(None) => {}
        }
        if is_changed || !kinds.is_empty() {
            let kinds: Vec<_> = kinds.into_iter().map(ScreeningKind::as_str).collect();
            let note = Diagnostic::new(DiagnosticCode::Screened).with_key(tag.key.clone().into_owned());
            // Without a kind, the tag has its own rule.
            tag.notes.push(if kinds.is_empty() { note } else { note.with_detail(kinds.join(", ")) });
        }
    }

    /// Returns `true` if a rule depends on the tag `_user`.
    fn depends_on_user(&self) -> bool {
        #[cfg(feature = "schema")]
        if self.principal.contracts().iter().any(|contract| contract.keys().any(|key| key == USER_KEY)) {
            return true;
        }
        // Whether limits and claims allow the value is known only once the value is.
        if self.principal.limits().is_some_and(|limits| limits.rejects()) {
            return true;
        }
        self.principal.claims().is_some_and(|claims| claims.otherwise() == Otherwise::Reject)
    }

    #[cfg(feature = "schema")]
    fn check_contracts(&self, candidate: &Candidate<'_>) -> Verdict {
        if self.principal.contracts().is_empty() {
            return Verdict::Admit;
        }
        let _ = self.checked.set(candidate.metadata.clone());
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

    #[cfg(not(feature = "schema"))]
    #[allow(clippy::unused_self, reason = "contracts are optional")]
    fn check_contracts(&self, _: &Candidate<'_>) -> Verdict {
        Verdict::Admit
    }
}

impl TagFilter for GovernedCaller {
    fn filter<'t>(&self, scope: Scope, key: &'t str, value: &'t str) -> FilteredTag<'t> {
        let mut tag = FilteredTag::new(key, value);
        if scope == Scope::Request {
            tag.key = self.principal.snapshot().names.apply(key);
            tag.is_alias = tag.key != key;
            // A secret with another style would not be recognized.
            if tag.is_alias
                && let Cow::Owned(screened) = self.principal.snapshot().screening.screen(key)
            {
                (tag.key, tag.is_alias) = (Cow::Owned(screened), false);
            }
            if !self.applies_claims(&mut tag) {
                return tag;
            }
            if value.is_empty() && self.principal.fallback_if_empty().contains_key(&tag.key) {
                tag.is_dropped = true;
                return tag;
            }
            if !self.leaves_reserved(&mut tag) {
                return tag;
            }
            self.hint_at_typo(&mut tag);
        }
        self.screen_tag(&mut tag);
        if scope.is_trusted() {
            // The tags of code are not mistakes of a client.
            tag.notes.clear();
        }
        tag
    }

    fn filter_cut<'t>(&self, scope: Scope, key: &'t str, value: &'t str) -> FilteredTag<'t> {
        let mut tag = FilteredTag::new(key, value);
        if scope == Scope::Request && self.applies_claims(&mut tag) {
            self.leaves_reserved(&mut tag);
        }
        tag
    }

    fn screen<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let screening = &self.principal.snapshot().screening;
        // Providers may repeat the credential in errors. It can have any form.
        match self.virtual_key.as_ref().and_then(VirtualKey::secret).map(Credential::expose) {
            Some(secret) if !secret.is_empty() && text.contains(secret) => {
                let replaced = text.replace(secret, "[secret]");
                Cow::Owned(screening.screen(&replaced).into_owned())
            }
            _ => screening.screen(text),
        }
    }

    fn look_alikes(&self, tags: &Metadata, is_trusted: &dyn Fn(usize) -> bool) -> Vec<usize> {
        look_alikes(tags, is_trusted)
    }
}

impl Caller for GovernedCaller {
    fn check(&self, candidate: &Candidate<'_>) -> Verdict {
        if candidate.may_learn_user && self.depends_on_user() {
            return Verdict::ReadBody;
        }
        self.check_contracts(candidate)
    }

    fn reject(&self, reason: &Diagnostic<'_>) -> Option<Rejection> {
        let key = reason.key().unwrap_or_default().to_owned();
        Some(self.answer(&match reason.code() {
            DiagnosticCode::ClaimDenied => Refusal::Claim(key),
            code => Refusal::Tag(code.as_str(), key),
        }))
    }

    fn settled(&self, tags: &SettledTags<'_>) {
        if tags.shadowed > 0 {
            self.principal.count_shadowed(tags.shadowed as u64);
        }
        // The coverage of requests that are refused for their keys would hide that of real callers.
        #[cfg(feature = "schema")]
        if !self.is_refused {
            self.principal.count_coverage(self.checked.get().unwrap_or(tags.metadata), tags.cost);
        }
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
