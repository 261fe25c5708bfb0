use serde_json::Value;

use super::{
    ReportError,
    report_json::{parse, text},
};

/// Returns the cursor of the page after a page of a report, for the parameter `page` of the next request.
///
/// Both providers split long ranges. Pass the lines of all pages to [`reconcile`](super::reconcile). Otherwise, the rest
/// seems to be missing in the report.
///
/// ```
/// use tower_tagging::analytics::reconcile::next_page;
///
/// assert_eq!(next_page(r#"{"data":[],"has_more":true,"next_page":"page_2"}"#)?.as_deref(), Some("page_2"));
/// assert_eq!(next_page(r#"{"data":[],"has_more":false,"next_page":null}"#)?, None);
/// # Ok::<(), tower_tagging::analytics::reconcile::ReportError>(())
/// ```
///
/// # Errors
/// Returns an error if the text is not JSON, or if there is a next page without a cursor.
pub fn next_page(page: &str) -> Result<Option<String>, ReportError> {
    let page = parse(page)?;
    if page.get("has_more").and_then(Value::as_bool) != Some(true) {
        return Ok(None);
    }
    let cursor = text(&page, "next_page").ok_or_else(|| ReportError::new("expected the cursor `next_page`"))?;
    Ok(Some(cursor.to_owned()))
}
