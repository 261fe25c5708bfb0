use std::fmt;

macro_rules! codes {
    ($($(#[$doc:meta])+ $name:ident = $text:literal,)+) => {
        /// The reason code of a [`Diagnostic`](super::Diagnostic).
        ///
        /// Code outside this crate uses [`Custom`](Self::Custom) for its own reasons:
        ///
        /// ```
        /// use tower_tagging::metadata::{Diagnostic, DiagnosticCode};
        ///
        /// const BUDGET_EXCEEDED: DiagnosticCode = DiagnosticCode::Custom("budget_exceeded");
        /// let diagnostic = Diagnostic::new(BUDGET_EXCEEDED).with_key("tenant").with_detail("acme");
        /// assert_eq!(diagnostic.to_string(), r#"budget_exceeded "tenant": acme"#);
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum DiagnosticCode {
            $($(#[$doc])+ $name,)+
            /// A code that another crate defines, in `snake_case` like those of this crate.
            Custom(&'static str),
            /// A code from a serialized event that this version does not define.
            ///
            /// [`Diagnostic::code_str`](super::Diagnostic::code_str) returns its text.
            Unrecognized,
        }

        impl DiagnosticCode {
            /// All codes that this crate records.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// Returns the code in serialized events, such as `value_truncated`.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                    Self::Custom(text) => text,
                    Self::Unrecognized => "unrecognized",
                }
            }
        }
    };
}

codes! {
    /// A JSON array or object was converted to compact JSON text.
    Coerced = "coerced",
    /// A JSON `null` was ignored.
    NullValue = "null_value",
    /// The JSON header is not valid JSON. None of it was read.
    InvalidJson = "invalid_json",
    /// The JSON header is not a JSON object. None of it was read.
    NotAnObject = "not_an_object",
    /// Text was not valid UTF-8.
    ///
    /// It was read as Latin-1, or a lone surrogate was replaced by `U+FFFD`.
    NotUtf8 = "not_utf8",
    /// A value was truncated to its limit.
    ValueTruncated = "value_truncated",
    /// A key was truncated to its limit.
    KeyTruncated = "key_truncated",
    /// A value exceeds its limit. The tag was dropped, or the request rejected.
    ValueTooLong = "value_too_long",
    /// A key exceeds its limit. The tag was dropped, or the request rejected.
    KeyTooLong = "key_too_long",
    /// The tags exceed their limit in bytes.
    ///
    /// A tag was dropped, or the request rejected.
    TooLarge = "too_large",
    /// The tags exceed their limit in number.
    ///
    /// A tag was dropped, or the request rejected.
    TooManyTags = "too_many_tags",
    /// NUL or other control characters were removed.
    ControlRemoved = "control_removed",
    /// A tag with an empty key was dropped.
    EmptyKey = "empty_key",
    /// A trusted scope overrides a tag that the client sent or the handler set.
    ///
    /// The detail is the client's value, or else the handler's. There is one note per key.
    Shadowed = "shadowed",
    /// A value was ignored, because the client sets the tag to another one elsewhere: the JSON header is stronger than a header on
    /// the allow-list, and the own name of a key is stronger than its aliases.
    ///
    /// The detail is the ignored value.
    Conflict = "conflict",
    /// The API key of the caller may not set this tag. It was dropped, or the request rejected.
    ClaimDenied = "claim_denied",
    /// A secret or personal data was masked, hashed, or dropped. The detail names the kinds.
    Screened = "screened",
    /// A required tag is missing.
    ContractMissing = "contract_missing",
    /// The value of a tag violates a contract. The detail is the rule.
    ContractInvalid = "contract_invalid",
    /// No contract has a tag with this key, but one that differs in a single letter, which is the detail.
    PossibleTypo = "possible_typo",
    /// The request has an API key that is not known. It was served as that of an anonymous caller.
    UnknownKey = "unknown_key",
    /// A header that only the operator's proxy sets was ignored, because the request has different values of it.
    AmbiguousHeader = "ambiguous_header",
    /// A header chose a value that the caller's claim does not contain. The detail is that value.
    ///
    /// The first value of the claim was used.
    NotInClaim = "not_in_claim",
    /// A header that is marked sensitive was ignored.
    SensitiveHeader = "sensitive_header",
    /// A header with a trace or span id was ignored.
    ///
    /// It is empty, too long, or not visible ASCII, or a span id is not 16 hex digits.
    InvalidTraceId = "invalid_trace_id",
    /// A `traceparent` that violates W3C Trace Context was ignored.
    ///
    /// The `tracestate` was dropped with it.
    InvalidTraceparent = "invalid_traceparent",
    /// A `tracestate` that violates W3C Trace Context was dropped.
    InvalidTracestate = "invalid_tracestate",
    /// A limit in shadow mode would have rejected the request. The key is the name of its rule.
    LimitShadow = "limit_shadow",
    /// The ledger of limits was not available, and the request passed unchecked.
    LimitUnchecked = "limit_unchecked",
    /// The usage of an LLM call is unknown, and a limit counts what the call reserved.
    ///
    /// The key is the name of the rule. The detail is the amount, in the units of the ledger.
    LimitReserved = "limit_reserved",
    /// The provider reported token counts that do not add up. The detail names them.
    ///
    /// The event has the counts as they were reported. For pricing, every part is limited to its total.
    UsageInconsistent = "usage_inconsistent",
    /// A count of usage exceeds 10¹². The detail names it.
    ///
    /// The event has the count as it was reported. The rows of stores, and the sums over them, have 10¹².
    UsageClamped = "usage_clamped",
    /// The cost of an LLM call exceeded one million US dollars and was clamped. The detail is the original amount.
    CostClamped = "cost_clamped",
    /// A request recorded too many quantities with different names. The detail is the number of dropped ones.
    TooManyQuantities = "too_many_quantities",
    /// Further diagnostics were dropped. The detail is their number.
    MoreDiagnostics = "more_diagnostics",
}

impl fmt::Display for DiagnosticCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
