mod scopes;
mod screening;
mod screening_action;
mod screening_builder;
mod screening_kind;

pub use self::{
    screening::Screening, screening_action::ScreeningAction, screening_builder::ScreeningBuilder,
    screening_kind::ScreeningKind,
};
