use std::{borrow::Cow, fmt};

use serde::{Serialize, Serializer, ser::SerializeStruct};
use serde_json::Value;

use crate::text::truncated;

use super::diagnostic_code::DiagnosticCode;

/// A note that something was truncated, coerced, dropped, or shadowed, and why.
///
/// Diagnostics are data on the [event](crate::event::Event). Clients never receive them as errors, unless a strict mode is
/// on. A diagnostic serializes as `{"code": …, "key": …, "detail": …}`.
#[derive(Clone, Debug)]
pub struct Diagnostic<'a> {
    code: Code,
    key: Option<Cow<'a, str>>,
    detail: Option<Cow<'a, str>>,
}

#[derive(Clone, Debug)]
enum Code {
    Defined(DiagnosticCode),
    /// The text of a code that this version does not define.
    Unrecognized(Box<str>),
}

/// Maximum length of a key or detail, and of a code that was read from JSON, in characters.
const MAX_TEXT_CHARS: usize = 128;

impl<'a> Diagnostic<'a> {
    /// Creates a diagnostic without a key and detail.
    pub const fn new(code: DiagnosticCode) -> Self {
        Self { code: Code::Defined(code), key: None, detail: None }
    }

    /// Sets the affected tag or header, truncated to 128 characters.
    #[must_use]
    pub fn with_key(mut self, key: impl Into<Cow<'a, str>>) -> Self {
        self.key = Some(limited(key.into()));
        self
    }

    /// Sets further information, truncated to 128 characters.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<Cow<'a, str>>) -> Self {
        self.detail = Some(limited(detail.into()));
        self
    }

    /// Returns the reason code.
    pub fn code(&self) -> DiagnosticCode {
        match self.code {
            Code::Defined(code) => code,
            Code::Unrecognized(_) => DiagnosticCode::Unrecognized,
        }
    }

    /// Returns the reason code as text.
    ///
    /// Unlike [`code`](Self::code), it preserves codes that this version does not define.
    pub fn code_str(&self) -> &str {
        match &self.code {
            Code::Defined(code) => code.as_str(),
            Code::Unrecognized(text) => text,
        }
    }

    /// Returns the affected tag or header.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// Returns further information, such as the value that a trusted scope shadows.
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// Converts into a diagnostic that owns its text.
    pub fn into_owned(self) -> Diagnostic<'static> {
        Diagnostic {
            code: self.code,
            key: self.key.map(|text| Cow::Owned(text.into_owned())),
            detail: self.detail.map(|text| Cow::Owned(text.into_owned())),
        }
    }

    /// Converts into a diagnostic whose texts a filter has screened.
    pub(crate) fn screened_by(self, screen: impl Fn(&str) -> String) -> Diagnostic<'static> {
        // Control characters would hide what is screened.
        let screened = |text: Cow<'_, str>| {
            let screened = if text.contains(char::is_control) {
                screen(&text.replace(char::is_control, ""))
            } else {
                screen(&text)
            };
            limited(Cow::Owned(screened))
        };
        Diagnostic { code: self.code, key: self.key.map(&screened), detail: self.detail.map(screened) }
    }

    /// Returns a copy that borrows the text.
    pub(crate) fn borrowed(&self) -> Diagnostic<'_> {
        Diagnostic {
            code: self.code.clone(),
            key: self.key.as_deref().map(Cow::Borrowed),
            detail: self.detail.as_deref().map(Cow::Borrowed),
        }
    }

    /// Returns the approximate size in memory, in bytes.
    pub(super) fn approximate_bytes(&self) -> usize {
        let text = |text: &Option<Cow<'_, str>>| text.as_ref().map_or(0, |text| text.len());
        size_of::<Self>() + text(&self.key) + text(&self.detail)
    }

    /// Reads a serialized diagnostic. Keeps codes that this version does not define.
    pub(crate) fn from_json(value: &Value) -> Option<Diagnostic<'static>> {
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        let owned = |name: &str| text(name).map(|text| Cow::Owned(truncated(text, MAX_TEXT_CHARS).to_owned()));
        let code = text("code")?;
        let code = match DiagnosticCode::ALL.iter().find(|defined| defined.as_str() == code) {
            Some(defined) => Code::Defined(*defined),
            None => Code::Unrecognized(truncated(code, MAX_TEXT_CHARS).into()),
        };
        Some(Diagnostic { code, key: owned("key"), detail: owned("detail") })
    }
}

fn limited(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(truncated(text, MAX_TEXT_CHARS)),
        Cow::Owned(mut text) => {
            text.truncate(truncated(&text, MAX_TEXT_CHARS).len());
            Cow::Owned(text)
        }
    }
}

impl PartialEq for Diagnostic<'_> {
    /// Compares codes by their text, so that a diagnostic equals itself after a round trip through JSON.
    fn eq(&self, other: &Self) -> bool {
        self.code_str() == other.code_str() && self.key == other.key && self.detail == other.detail
    }
}

impl Eq for Diagnostic<'_> {}

impl fmt::Display for Diagnostic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code_str())?;
        if let Some(key) = &self.key {
            write!(f, " {key:?}")?;
        }
        if let Some(detail) = &self.detail {
            write!(f, ": {detail}")?;
        }
        Ok(())
    }
}

impl Serialize for Diagnostic<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Diagnostic", 3)?;
        object.serialize_field("code", self.code_str())?;
        object.serialize_field("key", &self.key)?;
        object.serialize_field("detail", &self.detail)?;
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use super::{Diagnostic, DiagnosticCode};

    #[test]
    fn survives_a_round_trip_through_json() {
        for code in [DiagnosticCode::Shadowed, DiagnosticCode::Custom("budget_exceeded")] {
            let diagnostic = Diagnostic::new(code).with_key("team").with_detail(String::from("growth"));
            let json = serde_json::to_value(&diagnostic).unwrap();
            let read = Diagnostic::from_json(&json).unwrap();
            assert_eq!(read, diagnostic);
            assert_eq!(serde_json::to_value(&read).unwrap(), json);
        }
        let unknown = Diagnostic::from_json(&serde_json::json!({"code": "from_the_future"})).unwrap();
        assert_eq!((unknown.code(), unknown.code_str()), (DiagnosticCode::Unrecognized, "from_the_future"));
        assert_eq!(Diagnostic::from_json(&serde_json::json!({"key": "team"})), None);
    }

    #[test]
    fn truncates_its_text() {
        let long = "ü".repeat(129);
        let diagnostic = Diagnostic::new(DiagnosticCode::TooLarge).with_key(&long).with_detail(long.clone());
        assert_eq!(diagnostic.key(), Some("ü".repeat(128).as_str()));
        assert_eq!(diagnostic.detail(), diagnostic.key());
    }
}
