//! Sign-in with an API key, for hosts without a login of their own.

mod cookie;
mod one_time_link;
mod pages;
#[allow(clippy::module_inception, reason = "the file is named after its type")]
mod sign_in;
mod site;

pub use self::sign_in::SignIn;
pub(crate) use self::{
    pages::{form, leave, submit},
    site::Site,
};
