use std::{fmt, sync::Arc};

/// The unit of a limit, and of the numbers of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LimitUnit {
    /// US dollars. The ledger counts nano-dollars.
    Cost,
    /// Input and output tokens together.
    Tokens,
    /// Requests that were let through, whatever their outcome.
    Requests,
    /// A quantity that code records with [`ExtraCost::of`](crate::usage::ExtraCost::of). The ledger counts millionths.
    Quantity(Arc<str>),
}

impl LimitUnit {
    /// Returns the name in configuration files and series: `USD`, `tokens`, `requests`, or that of the quantity.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Cost => "USD",
            Self::Tokens => "tokens",
            Self::Requests => "requests",
            Self::Quantity(name) => name,
        }
    }

    /// Returns the unit with a name.
    pub fn from_name(name: &str) -> Self {
        match name {
            "USD" => Self::Cost,
            "tokens" | "token" => Self::Tokens,
            "requests" | "request" => Self::Requests,
            other => Self::Quantity(other.into()),
        }
    }
}

impl fmt::Display for LimitUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
