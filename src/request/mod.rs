//! The handle to a request ([`Tags`]) and the live state that it shares with the layers.
//!
//! [`Unsettled`] is the one lazy step: see its documentation.

mod current;
#[cfg(feature = "axum")]
mod extract;
mod live_tags;
#[cfg(feature = "axum")]
mod missing_tags;
mod request_state;
mod step;
mod tag_rules;
mod tags;
mod unsettled;
mod with_tags;

pub(crate) use self::current::Entered;
#[cfg(feature = "axum")]
pub use self::missing_tags::MissingTags;
pub use self::tags::Tags;
pub(crate) use self::{
    request_state::{OpenRequest, RequestState},
    tag_rules::TagRules,
};
pub use self::{step::Step, with_tags::WithTags};
