use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::rules::{LimitDecision, LimitMode, OnMissing};

/// The handling of requests without a property.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MissingOption {
    #[default]
    Skip,
    Deny,
    Bucket,
}

/// The decision about requests that cannot be checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DecisionOption {
    #[default]
    Allow,
    Deny,
}

/// The effect of a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ModeOption {
    #[default]
    Enforce,
    Shadow,
    Off,
}

impl From<MissingOption> for OnMissing {
    fn from(option: MissingOption) -> Self {
        match option {
            MissingOption::Skip => Self::Skip,
            MissingOption::Deny => Self::Deny,
            MissingOption::Bucket => Self::Bucket,
        }
    }
}

impl From<DecisionOption> for LimitDecision {
    fn from(option: DecisionOption) -> Self {
        match option {
            DecisionOption::Allow => Self::Allow,
            DecisionOption::Deny => Self::Deny,
        }
    }
}

impl From<ModeOption> for LimitMode {
    fn from(option: ModeOption) -> Self {
        match option {
            ModeOption::Enforce => Self::Enforce,
            ModeOption::Shadow => Self::Shadow,
            ModeOption::Off => Self::Off,
        }
    }
}

/// The settings of a limit in addition to those of Portkey. What is left out has Portkey's behavior.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct PolicyOptions {
    pub(crate) on_missing: MissingOption,
    pub(crate) on_unpriced: DecisionOption,
    pub(crate) on_store_error: DecisionOption,
    pub(crate) mode: ModeOption,
    pub(crate) rejection_status: Option<u16>,
}
