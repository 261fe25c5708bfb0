use super::{
    alert::Alert,
    alert_target::{AlertTarget, DeliveryFuture},
    delivery_attempt::DeliveryAttempt,
};

/// Logs alerts as `tracing` warnings with the target `tower_tagging::alerts`.
///
/// With several processes, one of them logs each alert.
#[derive(Clone, Copy, Debug, Default)]
pub struct TracingTarget;

impl TracingTarget {
    /// Creates the target.
    pub const fn new() -> Self {
        Self
    }
}

impl AlertTarget for TracingTarget {
    fn name(&self) -> &'static str {
        "tracing"
    }

    fn deliver<'a>(&'a self, alert: &'a Alert, _attempt: DeliveryAttempt) -> DeliveryFuture<'a> {
        Box::pin(async move {
            tracing::warn!(
                target: "tower_tagging::alerts",
                id = alert.id,
                kind = alert.kind.as_str(),
                subject = alert.subject,
                threshold = alert.threshold,
                used = alert.used,
                limit = alert.limit,
                unit = alert.unit,
                title = alert.title,
                text = alert.text,
                "alert"
            );
            Ok(())
        })
    }
}
