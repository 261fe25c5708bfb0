use crate::{
    analytics::{Analytics, Grant, Page, QueryError, RowQuery},
    registry::Permission,
};

/// A source of the rows of an export.
pub(super) trait RowSource: Send + 'static {
    /// Returns a page of rows.
    fn page(&self, query: &RowQuery) -> impl Future<Output = Result<Page, QueryError>> + Send;
}

/// The rows of a store that a grant covers.
pub(super) struct GrantedRows {
    pub(super) analytics: Analytics,
    pub(super) grant: Grant,
}

impl RowSource for GrantedRows {
    async fn page(&self, query: &RowQuery) -> Result<Page, QueryError> {
        self.analytics.rows_with(Permission::LogsExport, query, &self.grant).await
    }
}
