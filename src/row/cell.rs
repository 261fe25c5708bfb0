use std::{collections::BTreeMap, time::SystemTime};

use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::{metadata::Metadata, usage::CostLine};

use super::{ColumnKind, cost_line_json, value::Value};

/// The type of a field of [`EventRow`](super::EventRow), and how a column stores it.
pub(super) trait Cell: Sized {
    const KIND: ColumnKind;
    const NULLABLE: bool = false;

    /// The value of a row that describes nothing yet.
    fn blank() -> Self;

    fn encode(&self) -> Value<'_>;

    /// Returns `None` if the value is not one that [`encode`](Self::encode) returns.
    #[cfg_attr(not(any(feature = "postgres", feature = "sqlite")), allow(dead_code, reason = "only databases decode"))]
    fn decode(value: Value<'_>) -> Option<Self>;
}

/// Implements [`Cell`] for a type that has its own variant of [`Value`].
macro_rules! plain_cell {
    ($type:ty, $variant:ident, $blank:expr) => {
        impl Cell for $type {
            const KIND: ColumnKind = ColumnKind::$variant;

            fn blank() -> Self {
                $blank
            }

            fn encode(&self) -> Value<'_> {
                Value::$variant(*self)
            }

            fn decode(value: Value<'_>) -> Option<Self> {
                match value {
                    Value::$variant(value) => Some(value),
                    _ => None,
                }
            }
        }
    };
}

plain_cell!(Uuid, Uuid, Uuid::nil());
plain_cell!(SystemTime, Time, SystemTime::UNIX_EPOCH);
plain_cell!(bool, Boolean, false);
plain_cell!(i64, BigInt, 0);

/// Implements [`Cell`] for an unsigned type that a signed column holds: SQL has no unsigned numbers.
macro_rules! number_cell {
    ($type:ty, $variant:ident, $max:expr) => {
        impl Cell for $type {
            const KIND: ColumnKind = ColumnKind::$variant;

            fn blank() -> Self {
                0
            }

            fn encode(&self) -> Value<'_> {
                Value::$variant((*self).try_into().unwrap_or($max))
            }

            fn decode(value: Value<'_>) -> Option<Self> {
                match value {
                    Value::$variant(value) => value.try_into().ok(),
                    _ => None,
                }
            }
        }
    };
}

number_cell!(u32, Integer, i32::MAX);
number_cell!(u64, BigInt, i64::MAX);

impl Cell for u16 {
    const KIND: ColumnKind = ColumnKind::Integer;

    fn blank() -> Self {
        0
    }

    fn encode(&self) -> Value<'_> {
        Value::Integer((*self).into())
    }

    fn decode(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Integer(value) => value.try_into().ok(),
            _ => None,
        }
    }
}

impl Cell for String {
    const KIND: ColumnKind = ColumnKind::Text;

    fn blank() -> Self {
        Self::new()
    }

    fn encode(&self) -> Value<'_> {
        Value::Text(self.into())
    }

    fn decode(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Text(text) => Some(text.into_owned()),
            _ => None,
        }
    }
}

impl<T: Cell> Cell for Option<T> {
    const KIND: ColumnKind = T::KIND;
    const NULLABLE: bool = true;

    fn blank() -> Self {
        None
    }

    fn encode(&self) -> Value<'_> {
        self.as_ref().map_or(Value::Null, T::encode)
    }

    fn decode(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            value => T::decode(value).map(Some),
        }
    }
}

/// Returns the value as JSON text. What cannot be written as JSON, which applies to none of our types, becomes `null`.
fn json<'a>(value: &impl Serialize) -> Value<'a> {
    Value::Json(serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned()).into())
}

/// Implements [`Cell`] for a type that is stored as JSON.
macro_rules! json_cell {
    ($type:ty, $blank:expr) => {
        impl Cell for $type {
            const KIND: ColumnKind = ColumnKind::Json;

            fn blank() -> Self {
                $blank
            }

            fn encode(&self) -> Value<'_> {
                json(self)
            }

            fn decode(value: Value<'_>) -> Option<Self> {
                match value {
                    Value::Json(text) => serde_json::from_str(&text).ok(),
                    _ => None,
                }
            }
        }
    };
}

json_cell!(Metadata, Self::new());
json_cell!(serde_json::Value, Self::Array(Vec::new()));

/// The lines are stored in nano-dollars, so that sums in SQL are exact.
impl Cell for Vec<CostLine> {
    const KIND: ColumnKind = ColumnKind::Json;

    fn blank() -> Self {
        Self::new()
    }

    fn encode(&self) -> Value<'_> {
        Value::Json(cost_line_json::write(self).into())
    }

    fn decode(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Json(text) => cost_line_json::read(&text),
            _ => None,
        }
    }
}

/// Implements [`Cell`] for amounts by name. An empty map is stored as `NULL`.
macro_rules! amounts_cell {
    ($number:ty) => {
        impl Cell for BTreeMap<String, $number> {
            const KIND: ColumnKind = ColumnKind::Json;
            const NULLABLE: bool = true;

            fn blank() -> Self {
                Self::new()
            }

            fn encode(&self) -> Value<'_> {
                if self.is_empty() { Value::Null } else { json(self) }
            }

            /// Reads numbers with `FromStr`, which is exact. `serde_json` may miss the last bit of a float.
            fn decode(value: Value<'_>) -> Option<Self> {
                match value {
                    Value::Null => Some(Self::new()),
                    Value::Json(text) => {
                        let amounts: BTreeMap<String, Box<RawValue>> = serde_json::from_str(&text).ok()?;
                        amounts.into_iter().map(|(name, amount)| Some((name, amount.get().parse().ok()?))).collect()
                    }
                    _ => None,
                }
            }
        }
    };
}

amounts_cell!(u64);
amounts_cell!(f64);
