/// The reason why a tag was [left out](super::LeftOut) of a dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LeftOutReason {
    /// The dialect cannot represent the key, or reserves it.
    Key,
    /// The dialect cannot represent the value.
    Value,
    /// An earlier tag already uses the same name.
    Taken,
    /// The dialect's limit on the number of tags is reached.
    TooMany,
    /// The value is longer than the dialect allows, or the dialect's limit in bytes is reached.
    TooLong,
}
