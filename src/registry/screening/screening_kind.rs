/// The kinds of secrets and personal data that [`Screening`](super::Screening) recognizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ScreeningKind {
    /// Provider keys, API keys of this crate, JSON Web Tokens, bearer tokens, and private keys.
    Secrets,
    /// Email addresses.
    Emails,
    /// Numbers of payment cards with a valid check digit.
    Cards,
    /// International bank account numbers with a valid check digit.
    Ibans,
    /// Phone numbers.
    Phones,
    /// Text with a high entropy, such as unknown secrets.
    HighEntropy,
}

impl ScreeningKind {
    /// All kinds.
    pub const ALL: &'static [Self] =
        &[Self::Secrets, Self::Emails, Self::Cards, Self::Ibans, Self::Phones, Self::HighEntropy];

    /// Returns the name in configuration files, such as `emails`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Secrets => "secrets",
            Self::Emails => "emails",
            Self::Cards => "cards",
            Self::Ibans => "ibans",
            Self::Phones => "phones",
            Self::HighEntropy => "high_entropy",
        }
    }
}
