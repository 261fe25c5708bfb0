use std::time::SystemTime;

use http::request::Parts;

use crate::{
    Metadata,
    metadata::{Diagnostic, DiagnosticCode, Scopes},
    text::header_text,
};

#[cfg(feature = "jwt")]
use super::super::snapshot::TokenRules;
use super::{
    super::{
        login::{LoginClaims, PeerIdentity},
        principal::Principal,
        snapshot::CheckedHeader,
    },
    refusal::Refusal,
    trusted_sources::TrustedSources,
};

/// The trusted tags of a request, from the key and everything else that the operator trusts.
///
/// Of several sources for the same key and scope, the last one wins: the key and its workspace, headers of the operator's own
/// proxy, verified claims of the login, the verified identity of the TLS client, and a signed token.
#[derive(Default)]
pub(super) struct TrustedTags {
    pub(super) scopes: Scopes,
    pub(super) notes: Vec<Diagnostic<'static>>,
    pub(super) sources: TrustedSources,
    /// The reason to refuse the request because of its token.
    pub(super) refusal: Option<Refusal>,
}

impl TrustedTags {
    pub(super) fn read(principal: &Principal, head: &Parts, now: SystemTime) -> Self {
        let snapshot = principal.snapshot();
        let mut trusted = Self::default();
        for header in &snapshot.access.trusted_headers {
            trusted.add_header(header, head);
        }
        if let Some(LoginClaims(claims)) = head.extensions.get() {
            trusted.sources.has_login = true;
            trusted.notes.extend(snapshot.login.read_request(claims, &head.headers, &mut trusted.scopes));
        }
        if let Some((rules, peer)) = snapshot.spiffe.as_ref().zip(head.extensions.get::<PeerIdentity>()) {
            trusted.sources.has_peer = rules.read(peer, &mut trusted.scopes);
        }
        #[cfg(feature = "jwt")]
        trusted.add_token(principal, head, now);
        #[cfg(not(feature = "jwt"))]
        let _ = now;
        // Those of the key were screened when the registry was loaded.
        let found = snapshot.screening.screen_scopes(trusted.scopes);
        for note in &mut trusted.notes {
            // The value that a header chose for a tag.
            let (Some(key), Some(detail)) = (note.key(), note.detail()) else { continue };
            let screened = Diagnostic::new(note.code()).with_key(key.to_owned());
            *note = match snapshot.screening.screen_tag(key, detail).0 {
                Some(detail) => screened.with_detail(detail.into_owned()),
                None => screened,
            };
        }
        trusted.scopes = principal.scopes().clone();
        trusted.scopes.add_all(&found);
        trusted
    }

    /// Adds the tags of a signed token. A token of another issuer may be for an upstream, and is ignored.
    #[cfg(feature = "jwt")]
    fn add_token(&mut self, principal: &Principal, head: &Parts, now: SystemTime) {
        let snapshot = principal.snapshot();
        let Some((TokenRules { verifier, .. }, token)) =
            snapshot.tokens.as_ref().zip(snapshot.find_token(&head.headers))
        else {
            return;
        };
        match verifier.verify(token, now) {
            Ok(claims) => {
                self.sources.has_token = true;
                self.notes.extend(verifier.tags().read_request(&claims, &head.headers, &mut self.scopes));
            }
            Err(error) => self.refusal = Some(Refusal::InvalidToken(error.to_string())),
        }
    }

    /// Adds the tag of a header that only the operator's proxy sets. The proxy sets one value, so others are not its own.
    fn add_header(&mut self, CheckedHeader { name, key, scope }: &CheckedHeader, head: &Parts) {
        let mut values = head.headers.get_all(name).iter();
        let Some(first) = values.next() else { return };
        if values.any(|other| other != first) {
            self.notes.push(Diagnostic::new(DiagnosticCode::AmbiguousHeader).with_key(name.as_str().to_owned()));
            return;
        }
        let text = header_text(first.as_bytes()).0;
        if !text.is_empty() {
            self.scopes.add(*scope, Metadata::from([(key.as_str(), &*text)]));
        }
    }
}
