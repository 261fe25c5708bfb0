//! The upkeep of the store: applies the section `[analytics]` of the configuration file, folds and deletes sums, and verifies
//! those of each day once.

use std::{
    fmt::Display,
    time::{Duration, SystemTime},
};

use tower_tagging::analytics::{Analytics, AnalyticsSettings};

/// The time between two runs.
const INTERVAL: Duration = Duration::from_secs(10 * 60);

/// Runs until the runtime ends. Errors are printed, and tried again at the next run.
pub(crate) async fn run(analytics: Analytics, settings: AnalyticsSettings) {
    let report = |error: &dyn Display| eprintln!("gateway: STORE: {error}");
    let mut is_applied = false;
    loop {
        if !is_applied {
            match analytics.apply(&settings).await {
                Ok(()) => is_applied = true,
                Err(error) => report(&error),
            }
        }
        if let Err(error) = analytics.maintain(SystemTime::now(), settings.retention).await {
            report(&error);
        }
        match analytics.verify_if_due(SystemTime::now()).await {
            Ok(None) => {}
            Ok(Some(differences)) => {
                if let Some(first) = differences.first() {
                    eprintln!("gateway: STORE: {} sums differ from the requests: {first}", differences.len());
                }
            }
            Err(error) => report(&error),
        }
        tokio::time::sleep(INTERVAL).await;
    }
}
