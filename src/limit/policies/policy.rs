use http::StatusCode;
use jiff::Timestamp;

use crate::{
    ConfigError,
    row::Field,
    store::LimitRuleRecord,
    time::{micros_since_1970, time_of_micros, whole_micros},
};

use super::{
    super::rules::{Amount, LimitRule},
    PolicyCondition, RateLimitForm, UsageLimitForm,
    policy_condition::pattern,
    policy_key::{PolicyKey, dimension},
    policy_options::PolicyOptions,
};

const MAX_NAME: usize = 255;
const MAX_DESCRIPTION: usize = 500;
const MAX_CONDITIONS: usize = 20;
const MAX_GROUPS: usize = 5;

/// A limit that was created through the API.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) record: LimitRuleRecord,
    pub(crate) form: PolicyForm,
}

/// The body of a request that creates a limit.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum PolicyForm {
    Usage(UsageLimitForm),
    Rate(RateLimitForm),
}

impl PolicyForm {
    pub(crate) const USAGE: &str = "usage";
    pub(crate) const RATE: &str = "rate";

    /// Reads the form of a kind.
    ///
    /// # Errors
    /// Returns an error if a member is missing, unknown, or not valid.
    pub(crate) fn read(kind: &str, body: serde_json::Value) -> Result<Self, serde_json::Error> {
        match kind {
            Self::USAGE => serde_json::from_value(body).map(Self::Usage),
            _ => serde_json::from_value(body).map(Self::Rate),
        }
    }

    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Usage(_) => Self::USAGE,
            Self::Rate(_) => Self::RATE,
        }
    }

    /// Returns the JSON that is stored.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        let body = match self {
            Self::Usage(form) => serde_json::to_value(form),
            Self::Rate(form) => serde_json::to_value(form),
        };
        // Forms have only texts, numbers, and lists.
        body.unwrap_or_default()
    }

    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Self::Usage(form) => form.name.as_deref(),
            Self::Rate(form) => form.name.as_deref(),
        }
    }

    pub(crate) fn description(&self) -> Option<&str> {
        match self {
            Self::Usage(form) => form.description.as_deref(),
            Self::Rate(form) => form.description.as_deref(),
        }
    }

    pub(crate) fn workspace(&self) -> Option<&str> {
        match self {
            Self::Usage(form) => form.workspace_id.as_deref(),
            Self::Rate(form) => form.workspace_id.as_deref(),
        }
    }

    pub(crate) fn set_workspace(&mut self, slug: Option<&str>) {
        let workspace = match self {
            Self::Usage(form) => &mut form.workspace_id,
            Self::Rate(form) => &mut form.workspace_id,
        };
        *workspace = slug.map(ToOwned::to_owned);
    }

    pub(crate) fn conditions(&self) -> &[PolicyCondition] {
        match self {
            Self::Usage(form) => &form.conditions,
            Self::Rate(form) => &form.conditions,
        }
    }

    pub(crate) fn group_by(&self) -> &[PolicyKey] {
        match self {
            Self::Usage(form) => &form.group_by,
            Self::Rate(form) => &form.group_by,
        }
    }

    fn options(&self) -> PolicyOptions {
        match self {
            Self::Usage(form) => PolicyOptions {
                on_missing: form.on_missing.unwrap_or_default(),
                on_unpriced: form.on_unpriced.unwrap_or_default(),
                on_store_error: form.on_store_error.unwrap_or_default(),
                mode: form.mode.unwrap_or_default(),
                rejection_status: form.rejection_status,
            },
            Self::Rate(form) => PolicyOptions {
                on_missing: form.on_missing.unwrap_or_default(),
                on_store_error: form.on_store_error.unwrap_or_default(),
                mode: form.mode.unwrap_or_default(),
                rejection_status: form.rejection_status,
                ..PolicyOptions::default()
            },
        }
    }

    /// Returns the amount at which an alert is raised.
    pub(crate) fn alert_at(&self) -> Result<Option<Amount>, ConfigError> {
        match self {
            Self::Usage(form) => form.alert_at(),
            Self::Rate(_) => Ok(None),
        }
    }

    /// Returns the rule.
    ///
    /// # Errors
    /// Returns an error that names a member, and what was expected.
    pub(crate) fn rule(&self, id: &str, created_at: Timestamp) -> Result<LimitRule, ConfigError> {
        self.check_texts()?;
        self.alert_at()?;
        let options = self.options();
        let rule = match self {
            Self::Usage(form) => form.rule(id, created_at)?,
            Self::Rate(form) => form.rule(id)?,
        };
        let mut rule = rule
            .on_missing(options.on_missing.into())
            .on_unpriced(options.on_unpriced.into())
            .on_store_error(options.on_store_error.into())
            .mode(options.mode.into());
        if let Some(name) = self.name() {
            rule = rule.title(name);
        }
        if let Some(status) = options.rejection_status {
            let status = StatusCode::from_u16(status).map_err(|_| {
                ConfigError::new(format!("rejection_status: expected a status from 400 to 499, found {status}"))
            })?;
            rule = rule.status(status);
        }
        if let Some(slug) = self.workspace() {
            rule = rule.when(Field::Workspace.as_str(), [pattern(slug)]);
        }
        for condition in self.conditions() {
            rule = condition.add_to(rule)?;
        }
        for group in self.group_by() {
            rule = rule.group_by(&dimension(&group.key)?.to_string());
        }
        Ok(LimitRule { created_at: Some(time_of_micros(created_at.as_microsecond())), ..rule.build()? })
    }

    fn check_texts(&self) -> Result<(), ConfigError> {
        let texts = [("name", self.name(), MAX_NAME), ("description", self.description(), MAX_DESCRIPTION)];
        for (member, text, max) in texts {
            let count = text.map_or(0, |text| text.chars().count());
            if count > max {
                return Err(ConfigError::new(format!("{member}: expected at most {max} characters, found {count}")));
            }
        }
        if self.name().is_some_and(|name| name.chars().any(char::is_control)) {
            return Err(ConfigError::new("name: control characters are not allowed"));
        }
        if self.workspace().is_some_and(str::is_empty) {
            return Err(ConfigError::new("workspace_id: expected the slug of a workspace, found an empty text"));
        }
        let lists =
            [("conditions", self.conditions().len(), MAX_CONDITIONS), ("group_by", self.group_by().len(), MAX_GROUPS)];
        for (member, count, max) in lists {
            if count > max {
                return Err(ConfigError::new(format!("{member}: expected at most {max} entries, found {count}")));
            }
        }
        let keys: std::collections::BTreeSet<&str> = self.group_by().iter().map(|group| group.key.as_str()).collect();
        if keys.len() < self.group_by().len() {
            return Err(ConfigError::new("group_by: expected different keys, found one twice"));
        }
        Ok(())
    }
}

impl Policy {
    /// Creates a policy from the form of a caller.
    pub(crate) fn new(form: PolicyForm) -> Self {
        let now = whole_micros(std::time::SystemTime::now());
        let record = LimitRuleRecord {
            id: uuid::Uuid::now_v7().to_string(),
            kind: form.kind().to_owned(),
            body: form.to_json().to_string(),
            workspace: form.workspace().map(ToOwned::to_owned),
            created_at: now,
            updated_at: now,
            created_by: None,
            revision: micros_since_1970(now),
        };
        Self { record, form }
    }

    /// Reads a stored policy.
    ///
    /// # Errors
    /// Returns an error if another version of this crate stored what this one does not know.
    pub(crate) fn read(record: LimitRuleRecord) -> Result<Self, serde_json::Error> {
        let form = PolicyForm::read(&record.kind, serde_json::from_str(&record.body)?)?;
        Ok(Self { record, form })
    }

    /// Returns the rule.
    ///
    /// # Errors
    /// As [`PolicyForm::rule`].
    pub(crate) fn rule(&self) -> Result<LimitRule, ConfigError> {
        self.form.rule(&self.record.id, Timestamp::try_from(self.record.created_at).unwrap_or_default())
    }
}
