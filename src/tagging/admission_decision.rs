use std::sync::Arc;

use crate::request::{Caller, Rejection, Tags, Verdict};

/// The decision about a request.
pub(super) enum Decision {
    Call,
    /// The rules of the caller wait for the field `user` of the body.
    ReadBody(Arc<dyn Caller>),
    Reject(Box<Rejection>),
}

/// Decides about a request whose body was read ahead.
pub(super) fn decide_after_body(tags: &Tags, caller: Option<Arc<dyn Caller>>) -> Decision {
    // A value that is found later was not checked.
    tags.ignore_body_user();
    let Some(caller) = caller else { return Decision::Call };
    if let Some(reason) = tags.take_user_rejection() {
        let rejection = caller.reject(&reason).unwrap_or_else(|| Rejection::of_tags(&reason));
        return Decision::Reject(Box::new(rejection));
    }
    decide(tags, caller, false)
}

/// Asks the rules of the caller.
pub(super) fn decide(tags: &Tags, caller: Arc<dyn Caller>, may_learn_user: bool) -> Decision {
    match tags.check(&*caller, may_learn_user) {
        Verdict::ReadBody if may_learn_user => Decision::ReadBody(caller),
        Verdict::Admit | Verdict::ReadBody => Decision::Call,
        Verdict::Report(notes) => {
            notes.into_iter().for_each(|note| tags.diagnose(note));
            Decision::Call
        }
        Verdict::Reject(rejection) => Decision::Reject(rejection),
    }
}
