mod contract;
mod contract_mode;
mod schema_error;
mod violation;
mod violation_kind;

pub use self::{
    contract::Contract, contract_mode::ContractMode, schema_error::SchemaError, violation::Violation,
    violation_kind::ViolationKind,
};
