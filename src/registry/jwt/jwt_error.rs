use std::fmt;

/// The reason why [`JwtVerifier`](super::JwtVerifier) refuses a token.
///
/// Its text never contains a part of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum JwtError {
    /// The token is not a signed JSON Web Token in the compact form, or exceeds 16 KiB.
    Malformed,
    /// The algorithm is not allowed, or does not fit the key.
    AlgorithmNotAllowed,
    /// No key has the id of the token, or the token has none and more than one key fits.
    UnknownKey,
    /// The signature does not match.
    BadSignature,
    /// The claim `exp` is missing.
    NoExpiry,
    /// The token has expired.
    Expired,
    /// The token is not valid yet, according to its claim `nbf`.
    NotYetValid,
    /// The claim `iss` is missing, or is not an issuer of the verifier.
    WrongIssuer,
    /// The claim `aud` is missing, or has no audience of the verifier.
    WrongAudience,
}

impl JwtError {
    /// Returns a short code, such as `bad_signature`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::AlgorithmNotAllowed => "algorithm_not_allowed",
            Self::UnknownKey => "unknown_key",
            Self::BadSignature => "bad_signature",
            Self::NoExpiry => "no_expiry",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::WrongIssuer => "wrong_issuer",
            Self::WrongAudience => "wrong_audience",
        }
    }
}

impl fmt::Display for JwtError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "expected a signed JSON Web Token with at most 16 KiB",
            Self::AlgorithmNotAllowed => "the algorithm of the token is not allowed, or does not fit its key",
            Self::UnknownKey => "no key has the id of the token",
            Self::BadSignature => "the signature of the token does not match",
            Self::NoExpiry => "the token does not expire: expected a claim \"exp\"",
            Self::Expired => "the token has expired",
            Self::NotYetValid => "the token is not valid yet",
            Self::WrongIssuer => "the token is from another issuer",
            Self::WrongAudience => "the token is for another audience",
        })
    }
}

impl std::error::Error for JwtError {}
