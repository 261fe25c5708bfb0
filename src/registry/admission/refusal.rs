use http::StatusCode;

/// The reason that the registry refuses a request.
#[derive(Clone, Debug)]
pub(crate) enum Refusal {
    UnknownKey,
    ExpiredKey,
    DisabledKey,
    #[cfg_attr(not(feature = "jwt"), allow(dead_code, reason = "only tokens are invalid"))]
    InvalidToken(String),
    /// The tag that the caller may not set.
    Claim(String),
    #[cfg_attr(not(feature = "schema"), allow(dead_code, reason = "only contracts are violated"))]
    Contract(Vec<BrokenRule>),
    /// A tag exceeds a limit, or the JSON header is not an object. The code of the diagnostic, and the key.
    Tag(&'static str, String),
    UnknownVirtualKey(String),
    ForbiddenVirtualKey(String),
    ExpiredVirtualKey(String),
    ExhaustedVirtualKey(String),
}

/// A tag that violates a contract.
#[derive(Clone, Debug)]
pub(crate) struct BrokenRule {
    pub(crate) key: String,
    pub(crate) is_missing: bool,
    /// The rule in words, without the value.
    pub(crate) expected: String,
}

impl Refusal {
    /// Returns the reason on the event, and `code` of the answer.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::UnknownKey => "unknown_key",
            Self::ExpiredKey => "expired_key",
            Self::DisabledKey => "disabled_key",
            Self::InvalidToken(_) => "invalid_token",
            Self::Claim(_) => "claim",
            Self::Contract(_) => "contract",
            Self::Tag(code, _) => code,
            Self::UnknownVirtualKey(_) => "unknown_virtual_key",
            Self::ForbiddenVirtualKey(_) => "forbidden_virtual_key",
            Self::ExpiredVirtualKey(_) => "expired_virtual_key",
            Self::ExhaustedVirtualKey(_) => "exhausted_virtual_key",
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::UnknownKey | Self::ExpiredKey | Self::DisabledKey | Self::InvalidToken(_) => StatusCode::UNAUTHORIZED,
            Self::Claim(_) | Self::ForbiddenVirtualKey(_) | Self::ExpiredVirtualKey(_) => StatusCode::FORBIDDEN,
            Self::Contract(_) | Self::Tag(..) | Self::UnknownVirtualKey(_) => StatusCode::BAD_REQUEST,
            Self::ExhaustedVirtualKey(_) => StatusCode::TOO_MANY_REQUESTS,
        }
    }

    /// Returns the text for clients. It names keys of tags and slugs, but no values.
    pub(crate) fn detail(&self) -> String {
        match self {
            Self::UnknownKey => "the request has no known API key".to_owned(),
            Self::ExpiredKey => "the API key has expired".to_owned(),
            Self::DisabledKey => "the API key is disabled".to_owned(),
            Self::InvalidToken(problem) => format!("the token is not valid: {problem}"),
            Self::Claim(key) => format!("the API key may not set the tag {key:?} to this value"),
            Self::Contract(rules) => rules.iter().map(BrokenRule::text).collect::<Vec<_>>().join("; "),
            Self::Tag(code, key) => format!("{key:?} was refused: {code}"),
            Self::UnknownVirtualKey(slug) => format!("unknown virtual key {slug:?}"),
            Self::ForbiddenVirtualKey(slug) => format!("the API key may not use the virtual key {slug:?}"),
            Self::ExpiredVirtualKey(slug) => format!("the virtual key {slug:?} has expired"),
            Self::ExhaustedVirtualKey(slug) => format!("the virtual key {slug:?} is exhausted"),
        }
    }
}

impl BrokenRule {
    fn text(&self) -> String {
        let Self { key, is_missing, expected } = self;
        if *is_missing {
            format!("the tag {key:?} is missing")
        } else {
            format!("the tag {key:?} is invalid: {expected}")
        }
    }
}
