use std::{borrow::Cow, fmt};

use serde::{Serialize, Serializer};

use crate::text::truncated;

/// A note on something that was cut, coerced, dropped or shadowed on the way in, and why.
///
/// Diagnostics are data on the [event](crate::event::Event); a client never sees one as an error unless a strict
/// mode is on. They serialize as `{"code": …, "key": …, "detail": …}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic<'a> {
    code: DiagnosticCode,
    key: Option<Cow<'a, str>>,
    detail: Option<Cow<'a, str>>,
}

/// Longest key or detail kept in a diagnostic, in characters.
const MAX_TEXT_CHARS: usize = 128;

impl<'a> Diagnostic<'a> {
    pub(crate) const fn new(code: DiagnosticCode) -> Self {
        Self { code, key: None, detail: None }
    }

    pub(crate) fn with_key(mut self, key: &'a str) -> Self {
        self.key = Some(Cow::Borrowed(truncated(key, MAX_TEXT_CHARS)));
        self
    }

    pub(crate) fn with_detail(mut self, detail: &'a str) -> Self {
        self.detail = Some(Cow::Borrowed(truncated(detail, MAX_TEXT_CHARS)));
        self
    }

    /// What happened.
    pub fn code(&self) -> DiagnosticCode {
        self.code
    }

    /// The tag or header it happened to, at most 128 characters of it.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// More about it, for example the value that a trusted scope shadowed; at most 128 characters.
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// The same diagnostic, owning its text.
    pub fn into_owned(self) -> Diagnostic<'static> {
        Diagnostic {
            code: self.code,
            key: self.key.map(|text| Cow::Owned(text.into_owned())),
            detail: self.detail.map(|text| Cow::Owned(text.into_owned())),
        }
    }

    /// The same diagnostic, borrowing this one's text.
    pub(crate) fn borrowed(&self) -> Diagnostic<'_> {
        Diagnostic {
            code: self.code,
            key: self.key.as_deref().map(Cow::Borrowed),
            detail: self.detail.as_deref().map(Cow::Borrowed),
        }
    }
}

impl fmt::Display for Diagnostic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
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
        use serde::ser::SerializeStruct;
        let mut object = serializer.serialize_struct("Diagnostic", 3)?;
        object.serialize_field("code", self.code.as_str())?;
        object.serialize_field("key", &self.key)?;
        object.serialize_field("detail", &self.detail)?;
        object.end()
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])+ $name:ident = $text:literal,)+) => {
        /// What a [`Diagnostic`] is about.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum DiagnosticCode {
            $($(#[$doc])+ $name,)+
        }

        impl DiagnosticCode {
            /// Every code there is.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The code of this name.
            pub(crate) fn of_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|code| code.as_str() == name)
            }

            /// The code as it stands in a serialized event.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

codes! {
    /// A JSON array or object became compact JSON text.
    Coerced = "coerced",
    /// A JSON `null` is no tag.
    NullValue = "null_value",
    /// The JSON header holds text that is no JSON; none of it was read.
    InvalidJson = "invalid_json",
    /// The JSON header holds JSON that is no object; none of it was read.
    NotAnObject = "not_an_object",
    /// Text that is no UTF-8 was read as Latin-1, or a lone surrogate became `U+FFFD`.
    NotUtf8 = "not_utf8",
    /// A value was cut to the limit.
    ValueTruncated = "value_truncated",
    /// A key was cut to the limit.
    KeyTruncated = "key_truncated",
    /// A tag was dropped, or the request rejected, for the length of its value.
    ValueTooLong = "value_too_long",
    /// A tag was dropped, or the request rejected, for the length of its key.
    KeyTooLong = "key_too_long",
    /// A tag was dropped because the request's tags are at their limit in bytes.
    TooLarge = "too_large",
    /// A tag was dropped because the request's tags are at their limit in number.
    TooManyTags = "too_many_tags",
    /// NUL or other control characters were removed.
    ControlRemoved = "control_removed",
    /// A tag with an empty key was dropped.
    EmptyKey = "empty_key",
    /// A client's tag lies under one of the same key from a trusted scope; the detail is the client's value.
    Shadowed = "shadowed",
    /// A header that is marked sensitive is no tag.
    SensitiveHeader = "sensitive_header",
    /// An explicit trace or span header was not usable (not visible ASCII, too long, or empty) and was ignored.
    InvalidTraceId = "invalid_trace_id",
    /// `traceparent` was not valid by W3C Trace Context and was ignored, `tracestate` with it.
    InvalidTraceparent = "invalid_traceparent",
    /// `tracestate` was not valid by W3C Trace Context and was dropped.
    InvalidTracestate = "invalid_tracestate",
    /// The provider's token counts do not add up; the detail says which. They stand on the event as they were reported, and
    /// are priced with every part cut to its whole.
    UsageInconsistent = "usage_inconsistent",
    /// The cost of an LLM call exceeded one million US dollars and was clamped; the detail is the original amount.
    CostClamped = "cost_clamped",
    /// More diagnostics than are kept; the detail is how many were left out.
    MoreDiagnostics = "more_diagnostics",
}

impl fmt::Display for DiagnosticCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The diagnostics of one request, bounded in number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Diagnostics {
    list: Vec<Diagnostic<'static>>,
    left_out: usize,
}

impl Diagnostics {
    /// Most diagnostics kept for one request.
    pub(crate) const MAX: usize = 64;

    pub(crate) fn push(&mut self, diagnostic: Diagnostic<'_>) {
        if self.list.len() < Self::MAX {
            self.list.push(diagnostic.into_owned());
        } else {
            self.left_out += 1;
        }
    }

    /// Adds one that was counted before.
    pub(crate) fn keep(&mut self, diagnostic: Diagnostic<'_>) {
        self.list.push(diagnostic.into_owned());
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Diagnostic<'_>> {
        self.list.iter().map(Diagnostic::borrowed)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// About the bytes that they take in memory.
    pub(crate) fn approximate_bytes(&self) -> usize {
        let text = |text: &Option<Cow<'_, str>>| text.as_ref().map_or(0, |text| text.len());
        let bytes = |note: &Diagnostic<'_>| size_of::<Diagnostic<'_>>() + text(&note.key) + text(&note.detail);
        self.list.iter().map(bytes).sum()
    }

    pub(crate) fn left_out(&self) -> usize {
        self.left_out
    }

    pub(crate) fn clear(&mut self) {
        self.list.clear();
        self.left_out = 0;
    }
}
