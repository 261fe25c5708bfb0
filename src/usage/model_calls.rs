use serde::{Serialize, Serializer, ser::SerializeStruct};
use serde_json::Value;

use super::{money::Money, operation::Operation};

/// The rolled-up calls of a request that had the same provider, operation, and model; see
/// [`LlmCall::models`](super::LlmCall::models).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ModelCalls {
    /// The provider, by its id in the price catalog.
    pub provider: Option<String>,
    /// The requested operation.
    pub operation: Option<Operation>,
    /// The model that answered, or else the requested one.
    pub model: Option<String>,
    /// The number of calls.
    pub calls: u64,
    /// The input tokens of all calls, as far as they are known.
    pub input_tokens: Option<u64>,
    /// The output tokens of all calls, as far as they are known.
    pub output_tokens: Option<u64>,
    /// The cost of all calls, as far as it is known.
    pub cost: Option<Money>,
}

impl Serialize for ModelCalls {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("ModelCalls", 7)?;
        object.serialize_field("provider", &self.provider)?;
        object.serialize_field("operation", &self.operation.as_ref().map(Operation::as_str))?;
        object.serialize_field("model", &self.model)?;
        object.serialize_field("calls", &self.calls)?;
        object.serialize_field("input_tokens", &self.input_tokens)?;
        object.serialize_field("output_tokens", &self.output_tokens)?;
        object.serialize_field("cost_usd", &self.cost)?;
        object.end()
    }
}

impl ModelCalls {
    /// Reads the JSON that `Serialize` writes.
    pub(super) fn from_json(value: &Value) -> Option<Self> {
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        let number = |name: &str| value.get(name).and_then(Value::as_u64);
        Some(Self {
            provider: text("provider").map(str::to_owned),
            operation: text("operation").map(Operation::of_name),
            model: text("model").map(str::to_owned),
            calls: number("calls")?,
            input_tokens: number("input_tokens"),
            output_tokens: number("output_tokens"),
            cost: value.get("cost_usd").and_then(Value::as_f64).and_then(Money::from_usd),
        })
    }

    /// Returns the approximate heap memory, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        [&self.provider, &self.model].into_iter().flatten().map(String::capacity).sum()
    }
}
