//! The registry as an [`Admission`]: the first step of a request, before its tags are read.

use std::{sync::Arc, time::SystemTime};

use http::{HeaderMap, HeaderName, request::Parts};

use crate::tagging::{Admission, Identity};

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

const VIRTUAL_KEY: HeaderName = HeaderName::from_static("x-portkey-virtual-key");
const PROVIDER: HeaderName = HeaderName::from_static("x-portkey-provider");

impl Admission for Registry {
    fn identify(&self, head: &mut Parts, now: SystemTime) -> Identity {
        let principal = self.principal_at(head, now);
        principal.count_request();
        let mut identity = Identity::new();
        identity.api_key = principal.api_key_name().cloned();
        identity.workspace = principal.workspace_slug().cloned();
        identity.limits = principal.limits();
        let trusted = TrustedTags::read(&principal, head, now);
        identity.scopes = trusted.scopes;
        identity.notes = trusted.notes;
        let has_token = trusted.has_token || trusted.refusal.is_some();
        let mut refusal = refusal(&principal, has_token).or(trusted.refusal);
        if refusal.is_none() {
            match virtual_key(&principal, &head.headers, now) {
                Ok(None) => {}
                Ok(Some(key)) => {
                    identity.virtual_key = Some(key.slug().into());
                    identity.provider = Some(key.provider_name().into());
                    let key = key.clone();
                    head.extensions.insert(key);
                }
                Err(error) => refusal = Some(error),
            }
        }
        if let Some(refusal) = refusal {
            principal.count_rejected();
            identity = identity.rejected(answer(&refusal, principal.snapshot().access.errors));
        }
        identity.caller = Some(Arc::new(GovernedCaller::new(principal.clone())));
        head.extensions.insert(principal);
        identity
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
    let text =
        |name: &HeaderName| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_owned());
    let named = text(&VIRTUAL_KEY).filter(|slug| !slug.is_empty());
    named.or_else(|| text(&PROVIDER)?.strip_prefix('@').map(str::to_owned))
}
