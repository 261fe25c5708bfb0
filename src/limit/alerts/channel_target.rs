use tokio::sync::mpsc::{Sender, error::TrySendError};

use super::{
    alert::Alert,
    alert_target::{AlertTarget, DeliveryFuture},
    delivery_attempt::DeliveryAttempt,
};

/// Sends alerts into a bounded `tokio::sync::mpsc` channel.
///
/// An alert counts as delivered once the channel has accepted it. If the channel is full or its receiver is gone, the alert is
/// delivered again later. With several processes, the channel of one of them gets each alert.
#[derive(Clone, Debug)]
pub struct ChannelTarget {
    name: String,
    sender: Sender<Alert>,
}

impl ChannelTarget {
    /// Creates the target of a channel, with a [name](AlertTarget::name).
    pub fn new(name: impl Into<String>, sender: Sender<Alert>) -> Self {
        Self { name: name.into(), sender }
    }
}

impl AlertTarget for ChannelTarget {
    fn name(&self) -> &str {
        &self.name
    }

    fn deliver<'a>(&'a self, alert: &'a Alert, _attempt: DeliveryAttempt) -> DeliveryFuture<'a> {
        Box::pin(async move {
            self.sender.try_send(alert.clone()).map_err(|error| {
                match error {
                    TrySendError::Full(_) => "the channel is full",
                    TrySendError::Closed(_) => "the receiver of the channel is gone",
                }
                .into()
            })
        })
    }
}
