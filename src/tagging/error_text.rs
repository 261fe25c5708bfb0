//! The texts of errors and panics, as far as their types are known, within bounds.

use std::{
    any::{Any, type_name},
    error::Error,
    fmt::Display,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
};

use crate::text::bounded;

/// Maximum length of a text, in characters.
const MAX_CHARS: usize = 1024;
/// Maximum number of causes that are followed. A chain may be a circle.
const MAX_CAUSES: usize = 64;

/// Describes an error whose type has no bounds: by its origin and the name of the type.
pub(super) fn error_kind<E>(origin: &str) -> String {
    format!("{origin} error: {}", type_name::<E>())
}

/// Describes an error by its origin and its message, or by the name of its type if the message is not accessible.
///
/// The message is that of the innermost cause, because wrappers such as `axum::Error` say nothing.
pub(super) fn error_text<E: 'static>(origin: &str, error: &E) -> String {
    // Messages are formatted by user code.
    let message = catch_unwind(AssertUnwindSafe(|| message(error))).ok().flatten();
    match message {
        Some(message) => format!("{origin} error: {message}"),
        None => error_kind::<E>(origin),
    }
}

/// Describes an error by its text, or by the name of its type if it has none, or panics while it is formatted.
pub(super) fn display_text<E: Display>(origin: &str, error: &E) -> String {
    let text = catch_unwind(AssertUnwindSafe(|| text_of(error))).ok().flatten();
    text.unwrap_or_else(|| error_kind::<E>(origin))
}

/// Describes a panic by its message, or returns `None` if it has none.
pub(super) fn panic_text(payload: &(dyn Any + Send)) -> Option<String> {
    let message = match payload.downcast_ref::<&'static str>() {
        Some(message) => message,
        None => payload.downcast_ref::<String>()?.as_str(),
    };
    Some(format!("panic: {}", bounded(&message, MAX_CHARS)))
}

/// Returns the message of an error of a known type.
fn message(error: &dyn Any) -> Option<String> {
    let error: &(dyn Error + 'static) = if let Some(error) = error.downcast_ref::<Box<dyn Error + Send + Sync>>() {
        &**error
    } else if let Some(error) = error.downcast_ref::<Box<dyn Error + Send>>() {
        &**error
    } else if let Some(error) = error.downcast_ref::<Box<dyn Error>>() {
        &**error
    } else if let Some(error) = error.downcast_ref::<io::Error>() {
        error
    } else if let Some(text) = error.downcast_ref::<String>() {
        return text_of(text);
    } else if let Some(text) = error.downcast_ref::<&'static str>() {
        return text_of(text);
    } else {
        known_to_axum(error)?
    };
    innermost(error)
}

#[cfg(feature = "axum")]
fn known_to_axum(error: &dyn Any) -> Option<&(dyn Error + 'static)> {
    error.downcast_ref::<axum::Error>().map(|error| error as &(dyn Error + 'static))
}

#[cfg(not(feature = "axum"))]
fn known_to_axum(_: &dyn Any) -> Option<&(dyn Error + 'static)> {
    None
}

/// Returns the last message in a chain of causes that is not empty.
fn innermost(error: &(dyn Error + 'static)) -> Option<String> {
    let mut causes = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next.filter(|_| causes.len() < MAX_CAUSES) {
        causes.push(error);
        next = error.source();
    }
    causes.iter().rev().find_map(text_of)
}

/// Returns a text without control characters, up to the maximum length, or `None` if it is empty.
pub(super) fn text_of(error: impl Display) -> Option<String> {
    Some(bounded(&error, MAX_CHARS)).filter(|text| !text.is_empty())
}
