/// The treatment of requests without a known API key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownKeys {
    /// They are served without trusted tags of a key.
    #[default]
    Anonymous,
    /// They are rejected with status 401.
    Reject,
}
