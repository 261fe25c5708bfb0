use std::{sync::mpsc, thread, time::Instant};

use opentelemetry_sdk::{error::OTelSdkError, metrics::SdkMeterProvider};

use crate::sink::{DeliverySource, SinkReport};

/// Flushes metrics when the delivery shuts down.
pub(super) struct FlushMetrics(pub(super) SdkMeterProvider);

impl FlushMetrics {
    /// Runs a blocking call of the SDK, which may take longer than the deadline, on its own thread.
    fn spawn(run: impl FnOnce() + Send + 'static) -> bool {
        thread::Builder::new().name("tagging otel".to_owned()).spawn(run).is_ok()
    }
}

impl DeliverySource for FlushMetrics {
    fn report(&self) -> Option<SinkReport> {
        None
    }

    fn close(&self, _deadline: Instant) {
        // Flushes now, because other sinks may use up the time until the deadline.
        let provider = self.0.clone();
        Self::spawn(move || {
            // Errors are reported by the shutdown.
            let _ = provider.force_flush();
        });
    }

    fn wait(&self, deadline: Instant) {
        let provider = self.0.clone();
        let (sender, receiver) = mpsc::channel();
        let is_spawned = Self::spawn(move || {
            match provider.shutdown() {
                Ok(()) | Err(OTelSdkError::AlreadyShutdown) => {}
                Err(error) => {
                    tracing::warn!(target: "tower_tagging::delivery", sink = "otel metrics", %error, "final flush failed");
                }
            }
            // The receiver is gone if the deadline has passed.
            let _ = sender.send(());
        });
        if is_spawned {
            let _ = receiver.recv_timeout(deadline.saturating_duration_since(Instant::now()));
        }
    }
}
