//! The admission of a request: its caller, and the rules of that caller.

use std::sync::Arc;

use crate::metadata::Diagnostic;

use super::{Tags, caller::Caller, candidate::Candidate, identity::Identity, verdict::Verdict};

impl Tags {
    /// Sets the caller of the request, and reads its tags. Returns the reason if the request is rejected because of them.
    pub(crate) fn identify(&self, identity: Identity) -> Option<Diagnostic<'static>> {
        self.change(|request| request.identify(identity)).flatten()
    }

    /// Returns the rules of the caller.
    pub(crate) fn caller_rules(&self) -> Option<Arc<dyn Caller>> {
        self.change(|request| request.unsettled.tags.caller().cloned()).flatten()
    }

    /// Asks the rules of the caller whether the request may proceed.
    pub(crate) fn check(&self, caller: &dyn Caller, may_learn_user: bool) -> Verdict {
        // The rules are asked without the lock. The copy of the map is shared.
        caller.check(&Candidate { metadata: &self.metadata(), may_learn_user })
    }

    /// Returns `true` if the field `user` of the request body would set the effective tag `_user`.
    pub(crate) fn may_learn_user(&self) -> bool {
        self.change(|request| request.unsettled.tags.may_learn_user()).unwrap_or(false)
    }

    /// Takes the reason to reject the request because of the field `user` of its body.
    pub(crate) fn take_user_rejection(&self) -> Option<Diagnostic<'static>> {
        self.change(|request| request.unsettled.tags.take_user_rejection()).flatten()
    }

    /// Ignores the field `user` of the body from now on.
    pub(crate) fn ignore_body_user(&self) {
        self.change(|request| request.unsettled.tags.ignore_body_user());
    }

    /// Returns `true` if a layer answers instead of the service.
    pub(crate) fn is_rejected(&self) -> bool {
        self.change(|request| request.is_rejected()).unwrap_or(false)
    }

    /// Names the limit rule that rejects the request.
    pub(crate) fn set_limit_rule(&self, rule: &str) {
        self.change(|request| request.set_limit_rule(rule));
    }

    /// Marks the response as cut off by a layer.
    pub(crate) fn cut(&self, reason: &'static str) {
        self.change(|request| request.cut(reason));
    }

    /// Returns `true` if the field `user` of the request body becomes a tag.
    pub(crate) fn reads_body_user(&self) -> bool {
        self.change(|request| request.unsettled.tags.reads_body_user()).unwrap_or(false)
    }
}
