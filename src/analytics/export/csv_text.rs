use std::borrow::Cow;

#[cfg(feature = "dashboard")]
use crate::analytics::QueryError;

#[cfg(feature = "dashboard")]
use super::output::failed;

/// Creates a writer of CSV as RFC 4180 describes it.
pub(crate) fn csv_writer(buffer: Vec<u8>) -> csv::Writer<Vec<u8>> {
    csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(buffer)
}

/// Returns lines of text as CSV.
#[cfg(feature = "dashboard")]
pub(crate) fn csv_lines(lines: &[Vec<String>]) -> Result<String, QueryError> {
    let mut writer = csv_writer(Vec::new());
    for line in lines {
        writer.write_record(line.iter().map(|text| csv_text(text).into_owned())).map_err(failed)?;
    }
    let bytes = writer.into_inner().map_err(|error| failed(error.into_error()))?;
    String::from_utf8(bytes).map_err(failed)
}

/// Inserts `'` before text that spreadsheets take for a formula.
///
/// Applies to text that begins with `=`, `+`, `-`, `@`, a tab, or a line break, except for plain numbers such as
/// `-1.5`. See [OWASP](https://owasp.org/www-community/attacks/CSV_Injection).
pub(crate) fn csv_text(text: &str) -> Cow<'_, str> {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    if is_formula && !is_number(text) { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) }
}

/// Returns `true` for an optional sign, digits, and optionally a point and digits.
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, "0"));
    [whole, decimals].iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}
