use std::{borrow::Cow, fmt};

#[cfg(feature = "analytics")]
use super::stored_text;
use super::{EventRow, Field};

/// The prefix of the names of tags in queries.
const TAG_PREFIX: &str = "metadata.";

/// What requests are grouped and filtered by: a field of the event, or any tag.
///
/// ```
/// use tower_tagging::store::{Dimension, Field};
///
/// assert_eq!(Dimension::from_name("model"), Some(Dimension::Field(Field::Model)));
/// assert_eq!(Dimension::from_name("metadata.team"), Some(Dimension::tag("team")));
/// assert_eq!(Dimension::tag("team").to_string(), "metadata.team");
/// assert_eq!(Dimension::from_name("team"), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Dimension {
    /// A field of the event.
    Field(Field),
    /// The tag with this key.
    Tag(String),
}

impl Dimension {
    /// Creates the dimension of a tag.
    pub fn tag(key: impl Into<String>) -> Self {
        Self::Tag(key.into())
    }

    /// Returns the dimension with a name: the name of a field, or `metadata.` and the key of a tag.
    ///
    /// Returns `None` if there is no such field, or if the key is empty.
    pub fn from_name(name: &str) -> Option<Self> {
        match name.strip_prefix(TAG_PREFIX) {
            Some("") => None,
            Some(key) => Some(Self::tag(key)),
            None => Field::from_name(name).map(Self::Field),
        }
    }

    /// Returns the dimension with a key as it is stored: NUL is replaced by `U+FFFD`.
    #[cfg(feature = "analytics")]
    pub(crate) fn stored(&self) -> Self {
        match self {
            Self::Field(field) => Self::Field(*field),
            Self::Tag(key) => Self::Tag(stored_text(key).into_owned()),
        }
    }

    /// Returns the value of a row, or `None` if the row has none.
    pub fn value<'a>(&self, row: &'a EventRow) -> Option<Cow<'a, str>> {
        match self {
            Self::Field(field) => field.value(row),
            Self::Tag(key) => row.raw_metadata.get(key).map(Cow::Borrowed),
        }
    }
}

impl From<Field> for Dimension {
    fn from(field: Field) -> Self {
        Self::Field(field)
    }
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(field) => field.fmt(f),
            Self::Tag(key) => write!(f, "{TAG_PREFIX}{key}"),
        }
    }
}
