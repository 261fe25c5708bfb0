use std::borrow::Cow;

#[cfg(any(feature = "postgres", feature = "sqlite"))]
use super::limited_value;
#[cfg(feature = "analytics")]
use super::stored_text;
use super::{Dimension, EventRow, Number};

/// A condition on requests.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Filter {
    /// The value is one of these.
    In(Dimension, Vec<String>),
    /// The value is none of these, or there is no value.
    NotIn(Dimension, Vec<String>),
    /// There is a value.
    Has(Dimension),
    /// There is no value.
    HasNot(Dimension),
    /// The value starts with a text.
    Prefix(Dimension, String),
    /// The number is known and lies between two numbers, both included.
    Between(Number, Option<u64>, Option<u64>),
    /// The W3C trace id or the client's own trace id is one of these.
    Trace(Vec<String>),
    /// The workspace, or `None`, and a trace id are one of these pairs. The trace id is as in [`Trace`](Self::Trace).
    WorkspaceTrace(Vec<(Option<String>, String)>),
    /// The provider and the model are one of these pairs.
    ProviderModel(Vec<(String, String)>),
}

impl Filter {
    /// The value is this one.
    pub fn is(dimension: impl Into<Dimension>, value: impl Into<String>) -> Self {
        Self::In(dimension.into(), vec![value.into()])
    }

    /// The value is another one, or there is no value.
    pub fn is_not(dimension: impl Into<Dimension>, value: impl Into<String>) -> Self {
        Self::NotIn(dimension.into(), vec![value.into()])
    }

    /// Returns the dimension that the condition is on, or `None` if it is on something else.
    pub fn dimension(&self) -> Option<&Dimension> {
        match self {
            Self::In(dimension, _)
            | Self::NotIn(dimension, _)
            | Self::Has(dimension)
            | Self::HasNot(dimension)
            | Self::Prefix(dimension, _) => Some(dimension),
            Self::Between(..) | Self::Trace(_) | Self::WorkspaceTrace(_) | Self::ProviderModel(_) => None,
        }
    }

    /// Returns `true` if a request meets the condition.
    pub fn matches(&self, row: &EventRow) -> bool {
        match self {
            Self::Between(number, min, max) => number
                .value(row)
                .is_some_and(|value| min.is_none_or(|min| value >= min) && max.is_none_or(|max| value <= max)),
            Self::Trace(ids) => ids.iter().any(|id| has_trace(row, id)),
            Self::WorkspaceTrace(pairs) => {
                pairs.iter().any(|(workspace, id)| *workspace == row.workspace && has_trace(row, id))
            }
            Self::ProviderModel(pairs) => {
                let (provider, model) = (row.provider.as_deref(), row.model.as_deref());
                pairs.iter().any(|pair| Some(pair.0.as_str()) == provider && Some(pair.1.as_str()) == model)
            }
            other => other.dimension().is_none_or(|dimension| other.matches_value(dimension.value(row))),
        }
    }

    /// Returns `true` if a value of the condition's dimension meets the condition.
    pub(crate) fn matches_value(&self, value: Option<Cow<'_, str>>) -> bool {
        match self {
            Self::In(_, values) => value.is_some_and(|value| values.iter().any(|other| *other == value)),
            Self::NotIn(_, values) => !value.is_some_and(|value| values.iter().any(|other| *other == value)),
            Self::Has(_) => value.is_some(),
            Self::HasNot(_) => value.is_none(),
            Self::Prefix(_, prefix) => value.is_some_and(|value| value.starts_with(prefix.as_str())),
            Self::Between(..) | Self::Trace(_) | Self::WorkspaceTrace(_) | Self::ProviderModel(_) => true,
        }
    }

    /// Returns the condition with values as sums have them; see [`limited_value`].
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    pub(crate) fn limited(&self) -> Self {
        let texts = |list: &[String]| list.iter().map(|value| limited_value(value).into_owned()).collect::<Vec<_>>();
        match self {
            Self::In(dimension, values) => Self::In(dimension.clone(), texts(values)),
            Self::NotIn(dimension, values) => Self::NotIn(dimension.clone(), texts(values)),
            other => other.clone(),
        }
    }

    /// Returns the condition with texts as they are stored: NUL is replaced by `U+FFFD`, and W3C trace ids are lowercase and
    /// have no dashes.
    #[cfg(feature = "analytics")]
    pub(crate) fn stored(&self) -> Self {
        let text = |text: &String| stored_text(text).into_owned();
        let texts = |list: &[String]| list.iter().map(text).collect::<Vec<_>>();
        match self {
            Self::In(dimension, values) => Self::In(dimension.stored(), texts(values)),
            Self::NotIn(dimension, values) => Self::NotIn(dimension.stored(), texts(values)),
            Self::Has(dimension) => Self::Has(dimension.stored()),
            Self::HasNot(dimension) => Self::HasNot(dimension.stored()),
            Self::Prefix(dimension, prefix) => Self::Prefix(dimension.stored(), text(prefix)),
            Self::Between(number, min, max) => Self::Between(*number, *min, *max),
            Self::Trace(ids) => {
                let w3c = ids.iter().filter_map(|id| w3c_trace_id(id));
                Self::Trace(texts(ids).into_iter().chain(w3c).collect())
            }
            Self::WorkspaceTrace(pairs) => Self::WorkspaceTrace(
                pairs.iter().map(|(workspace, id)| (workspace.as_ref().map(text), text(id))).collect(),
            ),
            Self::ProviderModel(pairs) => {
                Self::ProviderModel(pairs.iter().map(|(provider, model)| (text(provider), text(model))).collect())
            }
        }
    }
}

#[cfg(feature = "analytics")]
impl Filter {
    /// Returns a text that is equal for equal conditions, in whatever order their values are.
    pub(crate) fn canonical(&self) -> String {
        let sorted = |values: &[String]| {
            let mut values = values.to_vec();
            values.sort_unstable();
            values.dedup();
            values
        };
        let pair = |one: Option<&String>, other: &String| serde_json::json!([one, other]).to_string();
        let (kind, name, values) = match self {
            Self::In(dimension, values) => ("in", dimension.to_string(), sorted(values)),
            Self::NotIn(dimension, values) => ("not-in", dimension.to_string(), sorted(values)),
            Self::Has(dimension) => ("has", dimension.to_string(), Vec::new()),
            Self::HasNot(dimension) => ("has-not", dimension.to_string(), Vec::new()),
            Self::Prefix(dimension, prefix) => ("prefix", dimension.to_string(), vec![prefix.clone()]),
            Self::Between(number, min, max) => ("between", number.to_string(), vec![format!("{min:?} {max:?}")]),
            Self::Trace(ids) => ("trace", String::new(), sorted(ids)),
            Self::WorkspaceTrace(pairs) => {
                let pairs: Vec<String> = pairs.iter().map(|(one, other)| pair(one.as_ref(), other)).collect();
                ("workspace-trace", String::new(), sorted(&pairs))
            }
            Self::ProviderModel(pairs) => {
                let pairs: Vec<String> = pairs.iter().map(|(one, other)| pair(Some(one), other)).collect();
                ("provider-model", String::new(), sorted(&pairs))
            }
        };
        serde_json::json!([kind, name, values]).to_string()
    }
}

fn has_trace(row: &EventRow, id: &str) -> bool {
    row.trace_id == id || row.client_trace_id.as_deref() == Some(id)
}

/// Returns the stored form of a W3C trace id that is written in another way. `None` if the text is something else.
#[cfg(feature = "analytics")]
fn w3c_trace_id(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(|letter| *letter != '-').collect();
    let is_id = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then(|| digits.to_ascii_lowercase()).filter(|id| id != text)
}
