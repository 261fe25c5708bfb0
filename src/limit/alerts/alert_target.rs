use std::{error::Error, future::Future, pin::Pin};

use super::{alert::Alert, delivery_attempt::DeliveryAttempt};

/// The future of a delivery. Its error describes the failure, without secrets.
pub type DeliveryFuture<'a> = Pin<Box<dyn Future<Output = Result<(), Box<dyn Error + Send + Sync>>> + Send + 'a>>;

/// A receiver of alerts.
///
/// The crate has [`WebhookTarget`](super::WebhookTarget), [`TracingTarget`](super::TracingTarget), and
/// [`ChannelTarget`](super::ChannelTarget). For anything else, such as e-mail, implement this trait:
///
/// ```
/// use tower_tagging::limit::alerts::{Alert, AlertTarget, DeliveryAttempt, DeliveryFuture};
/// # struct Mailer;
/// # impl Mailer {
/// #     async fn send(&self, _message_id: &str, _subject: &str, _body: &str) -> Result<(), std::io::Error> { Ok(()) }
/// # }
///
/// struct Email {
///     mailer: Mailer,
/// }
///
/// impl AlertTarget for Email {
///     fn name(&self) -> &str {
///         "email"
///     }
///
///     fn deliver<'a>(&'a self, alert: &'a Alert, _attempt: DeliveryAttempt) -> DeliveryFuture<'a> {
///         Box::pin(async move {
///             // Mail servers recognize a message that is sent twice by its id.
///             self.mailer.send(&alert.id, &alert.title, &alert.text).await?;
///             Ok(())
///         })
///     }
/// }
/// ```
pub trait AlertTarget: Send + Sync + 'static {
    /// Returns the name, which is the same in all processes and after a restart.
    ///
    /// The state of the delivery of each alert is stored by this name. Targets with the same name are the same receiver: an
    /// alert is delivered by one of them.
    fn name(&self) -> &str;

    /// Delivers an alert.
    ///
    /// After an error, a panic, or 30 seconds, the alert is delivered again later, maybe by another process. A receiver may
    /// therefore get an alert more than once, always with the same [id](Alert::id).
    fn deliver<'a>(&'a self, alert: &'a Alert, attempt: DeliveryAttempt) -> DeliveryFuture<'a>;
}
