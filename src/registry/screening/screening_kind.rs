/// The kinds of secrets and personal data that [`Screening`](super::Screening) recognizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ScreeningKind {
    /// Provider keys, API keys of this crate, JSON Web Tokens, bearer tokens, passwords, and private keys.
    Secrets,
    /// Email addresses.
    Emails,
    /// Numbers of payment cards with a valid check digit.
    Cards,
    /// International bank account numbers with valid check digits.
    Ibans,
    /// Phone numbers with a country code or separators.
    Phones,
    /// Text with a high entropy, such as unknown secrets. Random ids are recognized too.
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

    /// Returns the kind with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == name)
    }

    /// Returns the word that replaces a recognized part: `email` in `[email]` and `email:0123456789abcdef`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Secrets => "secret",
            Self::Emails => "email",
            Self::Cards => "card",
            Self::Ibans => "iban",
            Self::Phones => "phone",
            Self::HighEntropy => "entropy",
        }
    }

    /// Returns the position in [`ALL`](Self::ALL).
    pub(super) const fn index(self) -> usize {
        self as usize
    }
}
