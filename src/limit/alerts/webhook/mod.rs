//! Alerts as HTTP requests.

mod addresses;
mod checked_resolver;
mod payload;
mod signing_secret;
mod webhook_shape;
mod webhook_target;
mod webhook_target_builder;

pub use self::{
    webhook_shape::WebhookShape, webhook_target::WebhookTarget, webhook_target_builder::WebhookTargetBuilder,
};
