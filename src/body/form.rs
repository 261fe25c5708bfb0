//! Picking fields out of a `multipart/form-data` body that streams past, cut at any byte ([RFC
//! 7578](https://www.rfc-editor.org/rfc/rfc7578), [RFC 2046, section
//! 5.1](https://www.rfc-editor.org/rfc/rfc2046#section-5.1)).
//!
//! Files are passed over: nothing is kept but the head of the part at hand, or the value of a field that is wanted.

use http::{HeaderMap, header};
use memchr::memchr;

/// Longest head of a part, in bytes.
const MAX_HEAD_BYTES: usize = 4096;

/// Finds the values of wanted fields, which go by names of type `F`.
pub(crate) struct FormScanner<F> {
    /// What stands before every part but the first, and behind the last.
    delimiter: Vec<u8>,
    /// How many bytes of it were the last ones.
    matched: usize,
    state: State<F>,
    /// The head or the value at hand.
    kept: Vec<u8>,
    max_value_bytes: usize,
}

#[derive(Clone, Copy, Debug)]
enum State<F> {
    /// Before the first part, or in one that is not wanted.
    Passing,
    /// Behind a delimiter, until the empty line that ends the head of the part.
    Head,
    Value(F),
    Done,
    Broken,
}

impl<F: Copy> FormScanner<F> {
    /// A scanner for a body with this boundary.
    pub(crate) fn new(boundary: &str, max_value_bytes: usize) -> Self {
        let delimiter = [b"\r\n--", boundary.as_bytes()].concat();
        // The first one stands at the beginning, where no line end is.
        Self { delimiter, matched: 2, state: State::Passing, kept: Vec::new(), max_value_bytes }
    }

    /// Whether the last delimiter was read.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Reads on, and hands out the values of fields that `wanted` knows by their names; `None` for one that is too long. Files
    /// are no fields.
    pub(crate) fn feed(
        &mut self,
        chunk: &[u8],
        wanted: impl Fn(&str) -> Option<F>,
        mut found: impl FnMut(F, Option<&[u8]>),
    ) {
        let mut rest = chunk;
        while let Some((byte, behind)) = rest.split_first() {
            match self.state {
                State::Done | State::Broken => return,
                State::Head => {
                    self.kept.push(*byte);
                    rest = behind;
                    self.end_head(&wanted);
                }
                State::Passing | State::Value(_) if self.matched == 0 => {
                    // A delimiter begins with the only carriage return in it.
                    let (run, from_mark) = rest.split_at(memchr(b'\r', rest).unwrap_or(rest.len()));
                    self.keep(run);
                    self.matched = usize::from(!from_mark.is_empty());
                    rest = from_mark.get(1..).unwrap_or_default();
                }
                State::Passing | State::Value(_) => {
                    if self.delimiter.get(self.matched) == Some(byte) {
                        self.matched += 1;
                        rest = behind;
                        if self.matched == self.delimiter.len() {
                            self.end_part(&mut found);
                        }
                    } else {
                        // It was part of the value after all; the byte may begin the next.
                        let delimiter = std::mem::take(&mut self.delimiter);
                        self.keep(delimiter.get(..self.matched).unwrap_or_default());
                        self.delimiter = delimiter;
                        self.matched = 0;
                    }
                }
            }
        }
    }

    /// Keeps bytes of a wanted value. One byte over the limit marks it as too long.
    fn keep(&mut self, bytes: &[u8]) {
        if let State::Value(_) = self.state {
            let room = (self.max_value_bytes + 1).saturating_sub(self.kept.len());
            self.kept.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        }
    }

    fn end_head(&mut self, wanted: impl Fn(&str) -> Option<F>) {
        if self.kept == b"--" {
            self.state = State::Done;
        } else if self.kept.ends_with(b"\r\n\r\n") {
            self.state = field_name(&self.kept).and_then(wanted).map_or(State::Passing, State::Value);
            self.kept.clear();
        } else if self.kept.len() > MAX_HEAD_BYTES {
            self.state = State::Broken;
        }
    }

    fn end_part(&mut self, found: &mut impl FnMut(F, Option<&[u8]>)) {
        if let State::Value(field) = self.state {
            found(field, Some(&*self.kept).filter(|value| value.len() <= self.max_value_bytes));
        }
        self.state = State::Head;
        self.matched = 0;
        self.kept.clear();
    }
}

/// The boundary that the headers announce, of 1 to 70 letters as RFC 2046 has it.
pub(crate) fn boundary(headers: &HeaderMap) -> Option<&str> {
    let content_type = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let (media_type, parameters) = content_type.split_once(';')?;
    if !media_type.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    parameter(parameters, "boundary").filter(|boundary| (1..=70).contains(&boundary.len()))
}

/// The name of the field that a part with this head is, unless that is a file.
fn field_name(head: &[u8]) -> Option<&str> {
    let head = std::str::from_utf8(head).ok()?;
    let (_, disposition) = head
        .split("\r\n")
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("content-disposition"))?;
    let (_, parameters) = disposition.split_once(';')?;
    let is_file = parameter(parameters, "filename").or_else(|| parameter(parameters, "filename*")).is_some();
    parameter(parameters, "name").filter(|_| !is_file)
}

/// The value of a parameter, as it is written within its quotation marks.
fn parameter<'p>(parameters: &'p str, name: &str) -> Option<&'p str> {
    let mut rest = parameters;
    loop {
        let (key, behind) = rest.split_once('=')?;
        let behind = behind.trim_start();
        let (value, behind) = match behind.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => behind.split_at(behind.find(';').unwrap_or(behind.len())),
        };
        if key.trim().eq_ignore_ascii_case(name) {
            return Some(value.trim());
        }
        rest = behind.split_once(';')?.1;
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header};
    use proptest::prelude::*;

    use super::{FormScanner, boundary};

    /// The values of the fields `model` and `user`, limited to 24 bytes, and whether the body is complete.
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
    fn finds_fields_whatever_the_chunks() {
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
    fn boundaries() {
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
        fn finds_the_same_in_anything_however_it_is_cut(
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
