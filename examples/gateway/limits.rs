//! Limits and alerts: the sections `[[limits]]`, `[[alerts]]`, and `[ledger]` of the configuration file, and the limits that were
//! created through the API.

use std::{
    fmt::Display,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::sync::Notify;

use tower_tagging::{
    analytics::{Analytics, AnalyticsSettings, jiff::tz::TimeZone},
    limit::{
        LimitRule, LimitSettings, Limiter,
        alerts::{AlertRule, AlertSettings, Alerts},
        check::{CheckStatus, LedgerChecker},
    },
    registry::Registry,
    sink::Delivery,
};

use crate::config::check_config;

/// The interval at which the file and the limits of the API are looked at.
const FOLLOW_INTERVAL: Duration = Duration::from_secs(1);
/// The time that a start waits until events of earlier processes are in the store.
const RECOVERY: Duration = Duration::from_secs(10);
/// The interval at which the ledger is compared with the stored requests.
const CHECK_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// The limits of the demo, which show on the dashboard what they would reject.
const DEMO: &str = r#"
    [[limits]]
    name = "feature-monthly"
    kind = "budget"
    amount = "25 USD"
    window = "30d rolling"
    group_by = ["metadata.feature"]
    on_unpriced = "allow"
    on_store_error = "allow"
    mode = "shadow"

    [[limits]]
    name = "workspace-daily"
    kind = "budget"
    amount = "2000 requests"
    window = "day"
    group_by = ["workspace"]
    on_store_error = "allow"
    mode = "shadow"

    [[limits]]
    name = "user-rate"
    kind = "rate"
    amount = "60 requests"
    window = "1m"
    group_by = ["metadata._user"]
    on_store_error = "allow"
    mode = "shadow"
"#;

/// The limiter, with what is needed to keep it current.
pub(crate) struct Limits {
    pub(crate) limiter: Limiter,
    /// Notified when the file is to be loaded again.
    pub(crate) hangup: Arc<Notify>,
    /// The configuration file, if there is one.
    file: Option<PathBuf>,
    /// The rules from the file that are in force.
    rules: Vec<LimitRule>,
    /// The rules of alerts until they are put into force.
    alerts: Vec<AlertRule>,
}

/// The parts of the gateway that limits and alerts work with.
pub(crate) struct Surroundings {
    /// The store with its settings, if there is one.
    pub(crate) store: Option<(Analytics, AnalyticsSettings)>,
    pub(crate) registry: Option<Registry>,
    pub(crate) delivery: Delivery,
}

impl Limits {
    /// Loads the sections of the configuration file. Without a file, a demo has limits that reject nothing.
    pub(crate) fn load(path: Option<&str>, registry: Option<&Registry>, is_demo: bool) -> Result<Self, String> {
        let invalid = |error: &dyn Display| format!("CONFIG: {error}");
        let settings = path.map(LimitSettings::from_file).transpose().map_err(|error| invalid(&error))?;
        let settings = match settings {
            Some(settings) => settings,
            None if is_demo => LimitSettings::from_toml(DEMO).map_err(|error| invalid(&error))?,
            None => LimitSettings::default(),
        };
        let ledger = settings.ledger.open().map_err(|error| format!("CONFIG: ledger: {error}"))?;
        let alerts = alert_rules(&settings).map_err(|error| invalid(&error))?;
        let mut limiter = Limiter::builder().rules(settings.rules.clone()).ledger(ledger);
        if let Some(registry) = registry {
            limiter = limiter.errors(registry.error_style());
        }
        if let Some(lease) = settings.ledger.lease {
            limiter = limiter.lease(lease);
        }
        let limiter = limiter.build().map_err(|error| invalid(&error))?;
        let file = path.map(PathBuf::from);
        Ok(Self { limiter, hangup: Arc::default(), file, rules: settings.rules, alerts })
    }

    /// Prepares what limits need before the first request, and returns the task that keeps them current.
    ///
    /// A ledger in memory gets what the stored requests have used.
    pub(crate) async fn start(self, around: Surroundings) -> Result<impl Future<Output = ()> + Send + use<>, String> {
        let Self { limiter, hangup, file, rules, alerts } = self;
        let Surroundings { store, registry, delivery } = around;
        let mut checker = None;
        if let Some((analytics, settings)) = &store {
            // First the limits of the API, whose counts are restored as well.
            if let Err(error) = limiter.refresh_from(analytics).await {
                eprintln!("gateway: STORE: {error}");
            }
            let events = delivery.clone();
            let new = LedgerChecker::new(limiter.clone(), analytics.clone());
            let new = new.retention(settings.retention).delivery(events.clone());
            if is_in_memory(&limiter) {
                restore(&new, &events).await;
            }
            checker = Some(new);
        } else if !alerts.is_empty() {
            return Err("CONFIG: alerts need a STORE".to_owned());
        }
        let alerts = match &store {
            Some((analytics, settings)) => {
                let mut builder = Alerts::builder(analytics.clone(), limiter.clone()).rules(alerts).delivery(delivery);
                if let Some(registry) = &registry {
                    builder = builder.registry(registry.clone());
                }
                if let Some(zone) = settings.zone.as_deref().and_then(|zone| TimeZone::get(zone).ok()) {
                    builder = builder.zone(zone);
                }
                Some(builder.build().map_err(|error| format!("CONFIG: {error}"))?)
            }
            None => None,
        };
        Ok(Running { limiter, hangup, file, rules, alerts, store, registry, checker }.run())
    }
}

/// Limits that are in force.
struct Running {
    limiter: Limiter,
    hangup: Arc<Notify>,
    file: Option<PathBuf>,
    rules: Vec<LimitRule>,
    alerts: Option<Alerts>,
    store: Option<(Analytics, AnalyticsSettings)>,
    registry: Option<Registry>,
    checker: Option<LedgerChecker>,
}

impl Running {
    /// Keeps rules, virtual keys, and the ledger current, and raises alerts, until the runtime ends.
    async fn run(mut self) {
        if let Some(alerts) = &self.alerts {
            tokio::spawn(alerts.run());
        }
        if let Some(checker) = &self.checker {
            tokio::spawn(check(checker.clone(), self.alerts.clone()));
        }
        let mut in_force = self.file.as_deref().map(read);
        let mut seen = None;
        let mut reported = None;
        loop {
            self.follow().await;
            let is_hangup = tokio::time::timeout(FOLLOW_INTERVAL, self.hangup.notified()).await.is_ok();
            let Some(file) = self.file.clone() else { continue };
            let text = Some(read(&file));
            // A text counts once it was seen twice, because it may be in the middle of being written.
            if is_hangup || (text != in_force && text == seen) {
                match self.reload(&file, is_hangup) {
                    Ok(()) => {
                        eprintln!("gateway: CONFIG: the limits and alerts were loaded again");
                        self.count_new_limits();
                        in_force.clone_from(&text);
                        reported = None;
                    }
                    // A file that could not be loaded is tried again, because a file that it refers to may exist by now.
                    Err(error) => {
                        if is_hangup || reported.as_ref() != Some(&error) {
                            eprintln!("gateway: CONFIG: {error}; the previous limits stay in force");
                        }
                        reported = Some(error);
                    }
                }
            }
            seen = text;
        }
    }

    /// Counts the earlier requests of the windows of new limits. Of several gateways, only one could do this.
    fn count_new_limits(&self) {
        let Some(checker) = self.checker.clone().filter(|_| is_in_memory(&self.limiter)) else { return };
        tokio::spawn(async move {
            if let Err(error) = checker.rebuild().await {
                eprintln!("gateway: STORE: new limits start at zero: {error}");
            }
        });
    }

    /// Reads the limits of the API, and marks the virtual keys that are used up.
    async fn follow(&self) {
        if let Some((analytics, _)) = &self.store
            && let Err(error) = self.limiter.refresh_from(analytics).await
        {
            eprintln!("gateway: STORE: {error}");
        }
        let Some(registry) = &self.registry else { return };
        self.limiter.set_errors(registry.error_style());
        if let Err(error) = self.limiter.mark_virtual_keys(registry).await {
            eprintln!("gateway: {error}");
        }
    }

    /// Loads the file again. A file that is cut off loses all limits, which only a hangup confirms.
    ///
    /// A file with a problem in any section is not loaded.
    fn reload(&mut self, file: &Path, is_confirmed: bool) -> Result<(), String> {
        check_config(file).map_err(|error| error.trim_start_matches("CONFIG: ").to_owned())?;
        let settings = LimitSettings::from_file(file).map_err(|error| error.to_string())?;
        if settings.rules.is_empty() && !self.rules.is_empty() && !is_confirmed {
            return Err("the file has no limits: send SIGHUP if they were removed on purpose".to_owned());
        }
        let rules = alert_rules(&settings).map_err(|error| error.to_string())?;
        // First the limits, which alerts name.
        self.limiter.replace_rules(settings.rules.clone()).map_err(|error| error.to_string())?;
        let replaced = self.alerts.as_ref().map_or(Ok(()), |alerts| alerts.replace_rules(rules));
        if let Err(error) = replaced {
            // These were in force before, and so are valid.
            let _ = self.limiter.replace_rules(self.rules.clone());
            return Err(error.to_string());
        }
        self.rules = settings.rules;
        Ok(())
    }
}

/// Returns the text of the configuration file, to notice changes. Reading a pipe or a device may never end.
fn read(file: &Path) -> Option<String> {
    fs::metadata(file).ok()?.is_file().then(|| fs::read_to_string(file).ok())?
}

fn alert_rules(settings: &LimitSettings) -> Result<Vec<AlertRule>, tower_tagging::ConfigError> {
    settings.alerts.iter().map(AlertSettings::to_rule).collect()
}

fn is_in_memory(limiter: &Limiter) -> bool {
    limiter.ledger().status().kind == "memory"
}

/// Counts in memory what the stored requests have used.
async fn restore(checker: &LedgerChecker, delivery: &Delivery) {
    let are_stored = async {
        while delivery.report().sinks.iter().any(|sink| sink.in_flight() > 0) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if tokio::time::timeout(RECOVERY, are_stored).await.is_err() {
        eprintln!("gateway: STORE: limits do not count the events of an earlier process that were not stored yet");
    }
    match checker.restore().await {
        Ok(check) => {
            for rule in check.rules {
                if let CheckStatus::Unchecked(reason) = rule.status {
                    eprintln!("gateway: the limit {} counts at least what is stored: {reason}", rule.rule);
                }
            }
        }
        Err(error) => eprintln!("gateway: STORE: the counts of limits start at zero: {error}"),
    }
}

/// Compares the ledger with the stored requests every hour.
async fn check(checker: LedgerChecker, alerts: Option<Alerts>) {
    loop {
        tokio::time::sleep(CHECK_INTERVAL).await;
        match checker.check().await {
            Ok(check) => {
                if let Some(first) = check.drifts().next() {
                    // Values of groups may be personal data.
                    eprintln!("gateway: the ledger differs from the stored requests, first in {}", first.rule);
                }
                if let Some(alerts) = &alerts {
                    alerts.record_drifts(check.drifts().cloned());
                }
            }
            Err(error) => eprintln!("gateway: the ledger could not be compared with STORE: {error}"),
        }
    }
}
