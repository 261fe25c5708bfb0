/// The kind of values that a [`Column`](super::Column) holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ColumnKind {
    /// A UUID. SQLite stores it as lowercase text with hyphens.
    Uuid,
    /// A UTC time with microseconds. SQLite stores it as RFC 3339 text, which sorts by time.
    Time,
    /// `true` or `false`. SQLite stores 1 or 0.
    Boolean,
    /// A whole number of 32 bits.
    Integer,
    /// A whole number of 64 bits.
    BigInt,
    /// Text.
    Text,
    /// A JSON value. SQLite stores it as text.
    Json,
    /// US dollars that the database computes from the column of the same name with the suffix `_nanos`.
    Dollars,
}

impl ColumnKind {
    /// Returns the type of the column in Postgres, such as `timestamptz`.
    pub const fn postgres_type(self) -> &'static str {
        match self {
            Self::Uuid => "uuid",
            Self::Time => "timestamptz",
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::BigInt => "bigint",
            Self::Text => "text",
            Self::Json => "jsonb",
            Self::Dollars => "numeric",
        }
    }

    /// Returns the type of the column in SQLite, such as `INTEGER`.
    pub const fn sqlite_type(self) -> &'static str {
        match self {
            Self::Uuid | Self::Time | Self::Text | Self::Json => "TEXT",
            Self::Boolean | Self::Integer | Self::BigInt => "INTEGER",
            Self::Dollars => "REAL",
        }
    }
}
