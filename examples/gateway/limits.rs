//! Limits and alerts: the sections `[[limits]]`, `[[alerts]]`, and `[ledger]` of the configuration file, and the limits that were
//! created through the API.

use std::{
    fmt::Display,
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use tower_tagging::{
    analytics::{Analytics, Retention},
    limit::{
        LimitSettings, Limiter,
        alerts::{AlertRule, AlertSettings, Alerts},
        check::LedgerChecker,
    },
    registry::Registry,
    sink::Delivery,
};

/// The interval at which the file and the limits of the API are looked at.
const FOLLOW_INTERVAL: Duration = Duration::from_secs(1);
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
    /// The configuration file, if there is one.
    file: Option<PathBuf>,
    /// The rules of alerts until they are put into force.
    alerts: Vec<AlertRule>,
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
        let mut limiter = Limiter::builder().rules(settings.rules).ledger(ledger);
        if let Some(registry) = registry {
            limiter = limiter.errors(registry.error_style());
        }
        if let Some(lease) = settings.ledger.lease {
            limiter = limiter.lease(lease);
        }
        let limiter = limiter.build().map_err(|error| invalid(&error))?;
        Ok(Self { limiter, file: path.map(PathBuf::from), alerts })
    }

    /// Keeps rules, virtual keys, and the ledger current, and raises alerts, until the runtime ends.
    pub(crate) async fn run(
        self,
        analytics: Option<Analytics>,
        retention: Retention,
        registry: Option<Registry>,
        delivery: Delivery,
    ) {
        let Self { limiter, file, alerts } = self;
        let alerts = analytics.as_ref().map(|analytics| {
            let mut builder = Alerts::builder(analytics.clone(), limiter.clone()).rules(alerts).delivery(delivery);
            if let Some(registry) = &registry {
                builder = builder.registry(registry.clone());
            }
            builder.build()
        });
        let alerts = match alerts.transpose() {
            Ok(alerts) => alerts,
            Err(error) => {
                eprintln!("gateway: CONFIG: {error}");
                None
            }
        };
        if let Some(alerts) = &alerts {
            tokio::spawn(alerts.run());
        }
        if let Some(analytics) = &analytics {
            tokio::spawn(check(limiter.clone(), analytics.clone(), retention, alerts.clone()));
        }
        let mut text = file.as_deref().map(read);
        loop {
            if let Some(analytics) = &analytics
                && let Err(error) = limiter.refresh_from(analytics).await
            {
                eprintln!("gateway: STORE: {error}");
            }
            if let Some(registry) = &registry
                && let Err(error) = limiter.mark_virtual_keys(registry).await
            {
                eprintln!("gateway: {error}");
            }
            tokio::time::sleep(FOLLOW_INTERVAL).await;
            let current = file.as_deref().map(read);
            if let Some(file) = &file
                && current != text
            {
                match reload(file, &limiter, alerts.as_ref()) {
                    Ok(()) => eprintln!("gateway: CONFIG: the limits and alerts were loaded again"),
                    Err(error) => eprintln!("gateway: CONFIG: {error}; the previous limits stay in force"),
                }
                text = current;
            }
        }
    }
}

/// Returns the text of the configuration file, to notice changes.
fn read(file: &Path) -> Option<String> {
    fs::read_to_string(file).ok()
}

fn reload(file: &Path, limiter: &Limiter, alerts: Option<&Alerts>) -> Result<(), String> {
    let settings = LimitSettings::from_file(file).map_err(|error| error.to_string())?;
    let rules = alert_rules(&settings).map_err(|error| error.to_string())?;
    // First the limits, which alerts name.
    limiter.replace_rules(settings.rules).map_err(|error| error.to_string())?;
    match alerts {
        Some(alerts) => alerts.replace_rules(rules).map_err(|error| error.to_string()),
        None => Ok(()),
    }
}

fn alert_rules(settings: &LimitSettings) -> Result<Vec<AlertRule>, tower_tagging::ConfigError> {
    settings.alerts.iter().map(AlertSettings::to_rule).collect()
}

/// Sets a ledger in memory to the stored requests, and compares the ledger with them every hour.
async fn check(limiter: Limiter, analytics: Analytics, retention: Retention, alerts: Option<Alerts>) {
    let checker = LedgerChecker::new(limiter.clone(), analytics).retention(retention);
    if limiter.ledger().status().kind == "memory"
        && let Err(error) = checker.restore().await
    {
        eprintln!("gateway: the ledger could not be restored from STORE: {error}");
    }
    loop {
        tokio::time::sleep(CHECK_INTERVAL).await;
        match checker.check().await {
            Ok(check) => {
                if let Some(alerts) = &alerts {
                    alerts.record_drifts(check.drifts().cloned());
                }
                if let Some(first) = check.drifts().next() {
                    let started = humantime::format_rfc3339_seconds(SystemTime::now());
                    eprintln!("gateway: {started}: the ledger differs from the stored requests: {first:?}");
                }
            }
            Err(error) => eprintln!("gateway: the ledger could not be compared with STORE: {error}"),
        }
    }
}
