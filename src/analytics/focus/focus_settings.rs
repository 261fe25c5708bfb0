use super::FocusVersion;

/// The content of a FOCUS file, except for the requests.
#[derive(Clone, Debug)]
pub(super) struct FocusSettings {
    pub(super) version: FocusVersion,
    pub(super) billing_account_id: String,
    /// The keys of the tags that rows distinguish.
    pub(super) tag_keys: Vec<String>,
}
