use std::fmt::Write;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    ConfigError,
    row::{Dimension, Field},
};

use super::{super::rules::LimitRuleBuilder, policy_key::dimension};

/// The largest number of values of a condition.
const MAX_VALUES: usize = 100;
const ANY: &str = "*";

/// A condition on requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PolicyCondition {
    /// `api_key`, `workspace_id`, `virtual_key`, `provider`, `model`, or `metadata.KEY`.
    pub(crate) key: String,
    /// A value, a list of alternatives, or `*` for any value. A model may be `@provider/model` or `@provider/*`.
    pub(crate) value: Values,
    /// `true` to invert the condition, or values that do not meet it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) excludes: Option<Excludes>,
}

/// A value, or a list of alternatives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged, expecting = "expected a text or a list of texts")]
pub(crate) enum Values {
    One(String),
    Many(Vec<String>),
}

/// The requests that a condition excludes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged, expecting = "expected true, false, a text, or a list of texts")]
pub(crate) enum Excludes {
    /// `true` excludes the values of the condition.
    Condition(bool),
    /// These values.
    Values(Values),
}

impl Values {
    pub(crate) fn texts(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts,
        }
    }
}

impl PolicyCondition {
    /// Adds the condition to a rule.
    pub(super) fn add_to(&self, rule: LimitRuleBuilder) -> Result<LimitRuleBuilder, ConfigError> {
        let dimension = dimension(&self.key)?;
        let (included, excluded) = match &self.excludes {
            None | Some(Excludes::Condition(false)) => (self.value.texts(), [].as_slice()),
            // A request without the property does not meet the condition.
            Some(Excludes::Condition(true)) => ([].as_slice(), self.value.texts()),
            Some(Excludes::Values(values)) => (self.value.texts(), values.texts()),
        };
        self.check(included.len() + excluded.len())?;
        let is_model = dimension == Dimension::Field(Field::RequestModel);
        let (property, any) = (dimension.to_string(), [ANY.to_owned()]);
        let included = if included.is_empty() { &any } else { included };
        let rule = if is_model && included.iter().any(|text| text.starts_with('@')) {
            with_models(rule, included)?
        } else {
            rule.when(&property, included.iter().map(|text| pattern(text)))
        };
        if excluded.is_empty() {
            return Ok(rule);
        }
        if is_model && excluded.iter().any(|text| text.starts_with('@')) {
            return without_providers(rule, excluded);
        }
        Ok(rule.exclude(&property, excluded.iter().map(|text| pattern(text))))
    }

    fn check(&self, count: usize) -> Result<(), ConfigError> {
        if count == 0 || count > MAX_VALUES {
            let key = &self.key;
            return Err(ConfigError::new(format!(
                "condition {key:?}: expected 1 to {MAX_VALUES} values, found {count}"
            )));
        }
        let texts = self.value.texts().iter().chain(match &self.excludes {
            Some(Excludes::Values(values)) => values.texts(),
            _ => &[],
        });
        if texts.clone().any(String::is_empty) {
            return Err(ConfigError::new(format!("condition {:?}: expected a value, found an empty text", self.key)));
        }
        Ok(())
    }
}

/// Adds models with their providers. A rule has one condition on the provider and one on the model, and both must hold, so the
/// models need the same provider.
fn with_models(rule: LimitRuleBuilder, texts: &[String]) -> Result<LimitRuleBuilder, ConfigError> {
    let mut pairs = Vec::new();
    for text in texts {
        pairs.push(pair(text)?);
    }
    let mut providers: Vec<&str> = pairs.iter().map(|(provider, _)| *provider).collect();
    providers.dedup();
    let has_all_models = pairs.iter().all(|(_, model)| *model == ANY);
    if providers.len() > 1 && !has_all_models {
        return Err(ConfigError::new(
            "condition \"model\": expected models of one provider, or @provider/* of several: create a policy for each provider",
        ));
    }
    let rule = rule.when(Field::Provider.as_str(), providers.into_iter().map(pattern));
    if pairs.iter().any(|(_, model)| *model == ANY) {
        return Ok(rule);
    }
    Ok(rule.when(Field::RequestModel.as_str(), pairs.into_iter().map(|(_, model)| pattern(model))))
}

/// Excludes all models of providers.
fn without_providers(rule: LimitRuleBuilder, texts: &[String]) -> Result<LimitRuleBuilder, ConfigError> {
    let mut providers = Vec::new();
    for text in texts {
        let (provider, model) = pair(text)?;
        if model != ANY {
            return Err(ConfigError::new(format!(
                "condition \"model\": {text:?} cannot be excluded: expected @provider/*, or a model without a provider"
            )));
        }
        providers.push(pattern(provider));
    }
    Ok(rule.exclude(Field::Provider.as_str(), providers))
}

/// Splits `@provider/model`.
fn pair(text: &str) -> Result<(&str, &str), ConfigError> {
    let pair = text.strip_prefix('@').and_then(|text| text.split_once('/'));
    pair.filter(|(provider, model)| !provider.is_empty() && !model.is_empty()).ok_or_else(|| {
        ConfigError::new(format!(
            "condition \"model\": expected @provider/model or @provider/* in all values, found {text:?}"
        ))
    })
}

/// Returns the pattern that matches a text, in which only a `*` alone is special.
pub(super) fn pattern(text: &str) -> String {
    if text == ANY {
        return ANY.to_owned();
    }
    text.chars().fold(String::new(), |mut pattern, letter| {
        let escape = if matches!(letter, '*' | '?' | '\\') { "\\" } else { "" };
        let _ = write!(pattern, "{escape}{letter}");
        pattern
    })
}
