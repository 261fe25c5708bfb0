use crate::metadata::Scope;

/// A header that the operator's own proxy sets, and that becomes a tag of a trusted scope.
#[derive(Clone, Debug)]
pub(crate) struct TrustedHeader {
    pub(crate) header: String,
    pub(crate) key: String,
    pub(crate) scope: Scope,
}
