//! The registry as an [`Admission`]: the first step of a request, before its tags are read.

use std::{borrow::Cow, sync::Arc, time::SystemTime};

use http::{HeaderMap, HeaderName, request::Parts};

use crate::{
    metadata::{Diagnostic, DiagnosticCode},
    tagging::{Admission, Identity},
    text::truncated,
};

use super::{
    super::{
        access::UnknownKeys,
        principal::Principal,
        principal_status::PrincipalStatus,
        registry::Registry,
        virtual_keys::{VirtualKey, VirtualKeyStatus},
    },
    answers::answer,
    governed_caller::GovernedCaller,
    refusal::Refusal,
    trusted_tags::TrustedTags,
};

/// Maximum length of a slug that is quoted, in characters.
const MAX_SLUG_CHARS: usize = 128;
const VIRTUAL_KEY: HeaderName = HeaderName::from_static("x-portkey-virtual-key");
const PROVIDER: HeaderName = HeaderName::from_static("x-portkey-provider");

impl Admission for Registry {
    fn identify(&self, head: &mut Parts, now: SystemTime) -> Identity {
        let principal = self.principal_at(head, now);
        // Another layer of the same registry may have counted it.
        if head.extensions.get::<Principal>().is_none() {
            principal.count_request();
        }
        let mut identity = Identity::new();
        identity.api_key = principal.api_key_name().cloned();
        identity.workspace = principal.workspace_slug().cloned();
        identity.limits = principal.limits();
        let trusted = TrustedTags::read(&principal, head, now);
        identity.scopes = trusted.scopes;
        identity.notes = trusted.notes;
        let has_token = trusted.sources.has_token || trusted.refusal.is_some();
        let mut refusal = refusal(&principal, has_token).or(trusted.refusal);
        let mut used = None;
        if refusal.is_none() {
            match virtual_key(&principal, &head.headers, now) {
                Ok(None) => {}
                Ok(Some(key)) => {
                    identity.virtual_key = Some(key.slug().into());
                    identity.provider = Some(key.provider_name().into());
                    used = Some(key.clone());
                    head.extensions.insert(key.clone());
                }
                Err(error) => refusal = Some(error),
            }
        }
        if principal.status() == PrincipalStatus::Unknown && refusal.is_none() {
            identity.notes.push(Diagnostic::new(DiagnosticCode::UnknownKey));
        }
        let is_refused = refusal.is_some();
        if let Some(refusal) = refusal {
            principal.count_rejected();
            identity = identity.rejected(answer(&refusal, principal.snapshot().access.errors));
        }
        identity.caller = Some(Arc::new(GovernedCaller::new(principal.clone(), trusted.sources, is_refused, used)));
        head.extensions.insert(principal);
        identity
    }

    fn mark_credentials(&self, headers: &mut HeaderMap) {
        self.mark_key_headers(headers);
    }

    fn screen_path<'t>(&self, path: &'t str) -> Option<Cow<'t, str>> {
        Some(self.screened(path))
    }
}

/// Decides whether the key of a request is accepted. A token takes the place of a key.
fn refusal(principal: &Principal, has_token: bool) -> Option<Refusal> {
    match principal.status() {
        PrincipalStatus::Known => None,
        PrincipalStatus::Expired => Some(Refusal::ExpiredKey),
        PrincipalStatus::Disabled => Some(Refusal::DisabledKey),
        PrincipalStatus::Unknown | PrincipalStatus::Missing => {
            let rejects = principal.snapshot().access.unknown_keys == UnknownKeys::Reject;
            (rejects && !has_token).then_some(Refusal::UnknownKey)
        }
    }
}

/// Returns the virtual key that a request names, if the caller may use it.
fn virtual_key<'p>(
    principal: &'p Principal,
    headers: &HeaderMap,
    now: SystemTime,
) -> Result<Option<&'p VirtualKey>, Refusal> {
    // Without virtual keys, the headers mean nothing.
    if principal.snapshot().virtual_keys.is_empty() {
        return Ok(None);
    }
    let Some(slug) = slug(headers) else { return Ok(None) };
    let Some(key) = principal.virtual_key(&slug) else { return Err(Refusal::UnknownVirtualKey(slug)) };
    if !principal.may_use(key) {
        return Err(Refusal::ForbiddenVirtualKey(slug));
    }
    match key.status_at(now) {
        VirtualKeyStatus::Active => Ok(Some(key)),
        VirtualKeyStatus::Exhausted => Err(Refusal::ExhaustedVirtualKey(slug)),
        VirtualKeyStatus::Expired => Err(Refusal::ExpiredVirtualKey(slug)),
    }
}

/// Returns the slug that a request names: `x-portkey-virtual-key: slug` or `x-portkey-provider: @slug`.
fn slug(headers: &HeaderMap) -> Option<String> {
    let text = |name: &HeaderName| {
        let value = headers.get(name)?;
        Some(truncated(String::from_utf8_lossy(value.as_bytes()).trim(), MAX_SLUG_CHARS).to_owned())
    };
    let named = text(&VIRTUAL_KEY).filter(|slug| !slug.is_empty());
    named.or_else(|| text(&PROVIDER)?.strip_prefix('@').map(str::to_owned))
}
