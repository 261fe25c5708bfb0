//! Finds fields in a `multipart/form-data` body while it streams past in chunks of any size ([RFC
//! 7578](https://www.rfc-editor.org/rfc/rfc7578), [RFC 2046, section
//! 5.1](https://www.rfc-editor.org/rfc/rfc2046#section-5.1)).
//!
//! Files are skipped. Only the header of the current part, or the value of a wanted field, is buffered.
//!
//! The crate [`multer`](https://docs.rs/multer) was considered. It owns the stream that it parses, so it cannot observe a
//! body that passes through unchanged.

use http::{HeaderMap, header};
use memchr::memchr;

/// Maximum length of the header of a part, in bytes.
const MAX_HEADER_BYTES: usize = 4096;

/// Finds the values of wanted fields. `F` names the values that are reported.
pub(crate) struct FormScanner<F> {
    /// The bytes before every part except the first, and after the last part.
    delimiter: Vec<u8>,
    /// The number of delimiter bytes that the input ends with so far.
    matched: usize,
    state: State<F>,
    /// The header of the current part, or the value of the current field.
    buffer: Vec<u8>,
    max_value_bytes: usize,
}

#[derive(Clone, Copy, Debug)]
enum State<F> {
    /// Before the first part, or in a part that is not wanted.
    Skipping,
    /// In the header of a part, which ends at an empty line.
    Header,
    /// In the value of a wanted field.
    Value(F),
    /// After the last delimiter.
    Done,
    /// In input that is not a form.
    Broken,
}

impl<F: Copy> FormScanner<F> {
    /// Creates a scanner for a body with this boundary. Values longer than `max_value_bytes` are reported without their
    /// text.
    pub(crate) fn new(boundary: &str, max_value_bytes: usize) -> Self {
        let delimiter = [b"\r\n--", boundary.as_bytes()].concat();
        // The first delimiter is at the start of the body, without a line break before it.
        Self { delimiter, matched: 2, state: State::Skipping, buffer: Vec::new(), max_value_bytes }
    }

    /// Returns `true` after the last delimiter.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Scans the next chunk and reports the values of all fields that `wanted` accepts by name, or `None` if a value is too
    /// long. Files are not reported.
    pub(crate) fn feed(
        &mut self,
        chunk: &[u8],
        wanted: impl Fn(&str) -> Option<F>,
        mut found: impl FnMut(F, Option<&[u8]>),
    ) {
        let mut rest = chunk;
        while let Some((byte, after)) = rest.split_first() {
            match self.state {
                State::Done | State::Broken => return,
                State::Header => {
                    self.buffer.push(*byte);
                    rest = after;
                    self.end_header(&wanted);
                }
                State::Skipping | State::Value(_) if self.matched == 0 => {
                    // A delimiter contains one carriage return, at its start.
                    let (run, from_mark) = rest.split_at(memchr(b'\r', rest).unwrap_or(rest.len()));
                    self.keep(run);
                    self.matched = usize::from(!from_mark.is_empty());
                    rest = from_mark.get(1..).unwrap_or_default();
                }
                State::Skipping | State::Value(_) => {
                    if self.delimiter.get(self.matched) == Some(byte) {
                        self.matched += 1;
                        rest = after;
                        if self.matched == self.delimiter.len() {
                            self.end_part(&mut found);
                        }
                    } else {
                        // The bytes were part of the value. The current byte may start the next delimiter.
                        let delimiter = std::mem::take(&mut self.delimiter);
                        self.keep(delimiter.get(..self.matched).unwrap_or_default());
                        self.delimiter = delimiter;
                        self.matched = 0;
                    }
                }
            }
        }
    }

    /// Buffers bytes of a wanted value. One byte above the maximum marks the value as too long.
    fn keep(&mut self, bytes: &[u8]) {
        if let State::Value(_) = self.state {
            let room = (self.max_value_bytes + 1).saturating_sub(self.buffer.len());
            self.buffer.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        }
    }

    fn end_header(&mut self, wanted: impl Fn(&str) -> Option<F>) {
        if self.buffer == b"--" {
            self.state = State::Done;
        } else if self.buffer.ends_with(b"\r\n\r\n") {
            self.state = field_name(&self.buffer).and_then(wanted).map_or(State::Skipping, State::Value);
            self.buffer.clear();
        } else if self.buffer.len() > MAX_HEADER_BYTES {
            self.state = State::Broken;
        }
    }

    fn end_part(&mut self, found: &mut impl FnMut(F, Option<&[u8]>)) {
        if let State::Value(field) = self.state {
            found(field, Some(&*self.buffer).filter(|value| value.len() <= self.max_value_bytes));
        }
        self.state = State::Header;
        self.matched = 0;
        self.buffer.clear();
    }
}

/// Returns the boundary of a multipart form, or `None` if the headers announce a different format.
///
/// A boundary has 1 to 70 characters (RFC 2046, section 5.1.1).
pub(crate) fn boundary(headers: &HeaderMap) -> Option<&str> {
    let content_type = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let (media_type, parameters) = content_type.split_once(';')?;
    if !media_type.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    parameter(parameters, "boundary").filter(|boundary| (1..=70).contains(&boundary.len()))
}

/// Returns the field name of a part with this header, or `None` if the part is a file.
fn field_name(header: &[u8]) -> Option<&str> {
    let header = std::str::from_utf8(header).ok()?;
    let (_, disposition) = header
        .split("\r\n")
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("content-disposition"))?;
    let (_, parameters) = disposition.split_once(';')?;
    let is_file = parameter(parameters, "filename").or_else(|| parameter(parameters, "filename*")).is_some();
    parameter(parameters, "name").filter(|_| !is_file)
}

/// Returns the value of a parameter without its quotation marks.
fn parameter<'p>(parameters: &'p str, name: &str) -> Option<&'p str> {
    let mut rest = parameters;
    loop {
        let (key, after) = rest.split_once('=')?;
        let after = after.trim_start();
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_at(after.find(';').unwrap_or(after.len())),
        };
        if key.trim().eq_ignore_ascii_case(name) {
            return Some(value.trim());
        }
        rest = after.split_once(';')?.1;
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header};
    use proptest::prelude::*;

    use super::{FormScanner, boundary};

    /// Returns the values of the fields `model` and `user`, limited to 24 bytes, and whether the body is complete.
    fn scan(body: &[u8], chunk: usize) -> (Vec<(char, Option<String>)>, bool) {
        let mut scanner = FormScanner::new("b0und", 24);
        let mut values = Vec::new();
        for piece in body.chunks(chunk) {
            let wanted = |name: &str| match name {
                "model" => Some('m'),
                "user" => Some('u'),
                _ => None,
            };
            scanner.feed(piece, wanted, |name, value| {
                values.push((name, value.map(|value| String::from_utf8_lossy(value).into_owned())));
            });
        }
        (values, scanner.is_done())
    }

    #[test]
    fn finds_fields_for_any_chunk_size() {
        let file = "--b0und\r\nContent-Disposition: form-data; name=\"file\"; filename=\"model\"\r\nContent-Type: audio/mpeg\r\n\r\n\
            \r\n--b0un\r\r\n--b0uxd name=\"model\"\r\n";
        let field = "\r\n--b0und\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nwhisper-1";
        let cases = [
            (format!("{file}{field}\r\n--b0und--\r\n"), vec![('m', "whisper-1")], true),
            (format!("preamble{field}\r\n--b0und--"), vec![('m', "whisper-1")], true),
            (format!("{file}{field}"), vec![], false),
            (format!("{file}{field}\r\n--b0und--{field}\r\n--b0und--"), vec![('m', "whisper-1")], true),
            (
                format!("{field}\r\n--b0und\r\nX: y\r\nContent-Disposition:form-data;name=user\r\n\r\n\r\n--b0und--"),
                vec![('m', "whisper-1"), ('u', "")],
                true,
            ),
            (format!("{field}\r\n\r\r\n--b0un\r\n--b0und--"), vec![('m', "whisper-1\r\n\r\r\n--b0un")], true),
            (format!("{field} and more than twenty-four bytes\r\n--b0und--"), vec![('m', "too long")], true),
            ("--b0und\r\n\r\nno head\r\n--b0und--".to_owned(), vec![], true),
            (format!("--b0und{}{field}\r\n--b0und--", "x".repeat(5000)), vec![], false),
            (String::new(), vec![], false),
        ];
        for (body, values, is_complete) in cases {
            let text = |value: &str| (value != "too long").then(|| value.to_owned());
            let values: Vec<_> = values.into_iter().map(|(name, value)| (name, text(value))).collect();
            for chunk in [1, 2, 3, 5, 7, 11, 64, 10_000] {
                let found = scan(body.as_bytes(), chunk);
                assert_eq!(found, (values.clone(), is_complete), "{body} in chunks of {chunk}");
            }
        }
    }

    #[test]
    fn reads_the_boundary_of_multipart_forms_only() {
        for (content_type, expected) in [
            ("multipart/form-data; boundary=x-y", Some("x-y")),
            ("Multipart/Form-Data; charset=utf-8; Boundary=\"a b;c\"", Some("a b;c")),
            ("multipart/form-data", None),
            ("multipart/form-data; boundary=", None),
            ("multipart/mixed; boundary=x", None),
            ("application/json; boundary=x", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
            assert_eq!(boundary(&headers), expected, "{content_type}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1024) })]

        #[test]
        fn chunk_boundaries_never_change_the_result(
            parts in prop::collection::vec(
                prop_oneof![
                    Just("\r\n--b0und"), Just("--b0und"), Just("\r\n"), Just("\r"), Just("\n"), Just("--"), Just("-"),
                    Just("Content-Disposition: form-data; name=\"model\""), Just("; filename=\"x\""), Just("é"),
                    Just("\r\n\r\n"), Just("value"),
                ],
                0..30,
            ),
            chunk in 1..9_usize,
        ) {
            let body = parts.concat();
            prop_assert_eq!(scan(body.as_bytes(), chunk), scan(body.as_bytes(), body.len().max(1)), "{}", body);
        }
    }
}
