use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use crate::{
    analytics::{Analytics, QueryError},
    sync::lock,
    time::{micros, micros_since_1970},
};

use super::{
    super::{
        limiter::Limiter,
        rules::{Amount, LimitKind, LimitRule},
    },
    Policy,
};

/// The largest number of credits that count.
const MAX_CREDITS: usize = 100_000;
/// How long a window is still evaluated after its end, for requests that are settled late, and for pauses of a process.
pub(crate) const LATE: Duration = Duration::from_secs(60 * 60);

impl Limiter {
    /// Loads the rules and credits that were created through the API, if they have changed since the last call. Returns `true`
    /// if they have.
    ///
    /// Changes through the API of this process take effect at once. Call this method every few seconds, or
    /// [`follow`](Self::follow), for those of other processes. A stored rule that this version cannot read is reported as a
    /// warning, and skipped.
    ///
    /// # Errors
    ///
    /// Returns an error if the store fails. The previous rules then stay in force.
    pub async fn refresh_from(&self, analytics: &Analytics) -> Result<bool, QueryError> {
        let mut seen = self.shared.stored.revision.lock().await;
        // What changes after the revision was read has another revision, and is read next time.
        let revision = analytics.limit_rules_revision().await?;
        if *seen == Some(revision) {
            return Ok(false);
        }
        let (mut rules, mut alerts) = (Vec::new(), BTreeMap::<String, Amount>::new());
        for record in analytics.limit_rules().await? {
            let id = record.id.clone();
            match read(record) {
                Ok((rule, alert_at)) => {
                    alerts.extend(alert_at.map(|amount| (id, amount)));
                    rules.push(rule);
                }
                Err(error) => {
                    tracing::warn!(
                        target: "tower_tagging::limit", rule = id, %error, "a stored limit is not valid and was skipped"
                    );
                }
            }
        }
        let credits = self.credits(analytics, &rules).await?;
        self.replace_stored(rules, credits).map_err(|error| QueryError::Invalid(error.to_string()))?;
        *lock(&self.shared.stored.alerts) = alerts;
        *seen = Some(revision);
        Ok(true)
    }

    /// Calls [`refresh_from`](Self::refresh_from) again and again, until the future is dropped. Errors of the store are logged.
    pub async fn follow(&self, analytics: &Analytics, interval: Duration) {
        loop {
            if let Err(error) = self.refresh_from(analytics).await {
                tracing::warn!(target: "tower_tagging::limit", %error, "limits could not be read, retrying");
            }
            tokio::time::sleep(interval).await;
        }
    }

    /// Returns the amounts at which alerts are raised, by the names of rules that were created through the API.
    pub(crate) fn stored_alerts(&self) -> BTreeMap<String, Amount> {
        lock(&self.shared.stored.alerts).clone()
    }

    /// Returns the credits of the current windows, of those that ended shortly before, and of later ones.
    async fn credits(
        &self,
        analytics: &Analytics,
        rules: &[LimitRule],
    ) -> Result<HashMap<(String, i64), i64>, QueryError> {
        // Alerts compare what a window has used with the limit that it had, including its credits.
        let earliest = micros_since_1970(self.shared.clock.now()).saturating_sub(micros(LATE));
        let earliest = i64::try_from(earliest).unwrap_or(i64::MAX);
        let slot = |rule: &LimitRule| match rule.kind() {
            LimitKind::Budget { window, .. } => Some(window.period(earliest).from),
            _ => None,
        };
        let Some(first) = rules.iter().filter_map(slot).min() else { return Ok(HashMap::new()) };
        let mut credits: HashMap<(String, i64), i64> = HashMap::new();
        for credit in analytics.limit_credits(first, MAX_CREDITS).await? {
            let sum = credits.entry((credit.series, credit.slot)).or_default();
            *sum = sum.saturating_add(credit.amount);
        }
        Ok(credits)
    }
}

fn read(record: crate::store::LimitRuleRecord) -> Result<(LimitRule, Option<Amount>), String> {
    let policy = Policy::read(record).map_err(|error| error.to_string())?;
    let rule = policy.rule().map_err(|error| error.to_string())?;
    Ok((rule, policy.form.alert_at().ok().flatten()))
}
