/// The form of the keys of tags that clients send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyStyle {
    /// Keys stay as they are.
    #[default]
    Keep,
    /// Keys become lowercase: `User-Id` becomes `user-id`.
    Lower,
    /// Keys become lowercase words with underscores: `User-Id` and `userId` become `user_id`.
    Snake,
}
