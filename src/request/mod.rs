//! The handle to a request ([`Tags`]) and the live state that it shares with the layers.
//!
//! [`Unsettled`] is the one lazy step: see its documentation.

mod admitted;
mod agent_run;
mod caller;
mod candidate;
mod current;
#[cfg(feature = "axum")]
mod extract;
mod gated_request;
mod identity;
mod inherited_rules;
mod live_tags;
#[cfg(feature = "axum")]
mod missing_tags;
mod rejection;
mod request_state;
mod session;
mod settled_tags;
mod step;
mod tag_rules;
mod tags;
mod trusted_filter;
mod unsettled;
mod verdict;
mod with_tags;

pub(crate) use self::current::Entered;
#[cfg(feature = "axum")]
pub use self::missing_tags::MissingTags;
pub use self::tags::Tags;
pub use self::{
    agent_run::AgentRun, caller::Caller, candidate::Candidate, gated_request::GatedRequest, identity::Identity,
    rejection::Rejection, session::Session, settled_tags::SettledTags, step::Step, verdict::Verdict,
    with_tags::WithTags,
};
pub(crate) use self::{
    inherited_rules::InheritedRules,
    request_state::{OpenRequest, RequestState},
    tag_rules::TagRules,
};
