/// The form of the answers to requests that are rejected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ErrorStyle {
    /// Problem details ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)).
    #[default]
    Problem,
    /// The statuses and bodies of Portkey, such as 446 and 412.
    Portkey,
}
