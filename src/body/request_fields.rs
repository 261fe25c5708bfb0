//! What a request body says of the request, JSON or a multipart form, found while the body streams past.

use http::HeaderMap;

use crate::{
    media::announces_json,
    metadata::DiagnosticCode,
    text::{cut_name, decode_string, header_text},
};

use super::{
    form::{FormScanner, boundary},
    json_scan::{JsonScanner, Node, Roots, Want},
};

/// Longest value that is held back until it is complete, in bytes.
const MAX_VALUE_BYTES: usize = 16 * 1024;

/// The top-level fields of a request body that matter; `None` where a field is missing, `null`, or an object, array or file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RequestFields {
    pub(crate) user: Option<String>,
    /// Why the user was not taken as it stood.
    pub(crate) user_note: Option<DiagnosticCode>,
    pub(crate) model: Option<String>,
    pub(crate) stream: Option<bool>,
    pub(crate) service_tier: Option<String>,
}

impl RequestFields {
    /// About the bytes that it takes in memory beside itself.
    #[cfg(feature = "llm")]
    pub(crate) fn approximate_bytes(&self) -> usize {
        [&self.user, &self.model, &self.service_tier].into_iter().flatten().map(String::capacity).sum()
    }

    /// Takes a value in; `None` is one that is too long. `read` gives the text of one.
    fn set(&mut self, field: Field, value: Option<&[u8]>, read: fn(&str) -> Option<String>) {
        // Of a name that is no UTF-8 nothing is to be expected, but a user is somebody.
        let (text, is_latin1) = header_text(value.unwrap_or_default());
        let text = value.and_then(|_| read(&text));
        match field {
            Field::User => {
                self.user_note = match value {
                    None => Some(DiagnosticCode::TooLarge),
                    Some(_) => is_latin1.then_some(DiagnosticCode::NotUtf8),
                };
                self.user = text;
            }
            _ if is_latin1 => {}
            Field::Model => self.model = text.map(cut_name),
            Field::Stream => self.stream = text.and_then(|text| text.parse().ok()),
            Field::ServiceTier => self.service_tier = text.map(cut_name),
        }
    }
}

#[derive(Clone, Copy)]
enum Field {
    User,
    Model,
    Stream,
    ServiceTier,
}

static WANTED: [Node<Field>; 4] = [
    Node { key: "user", want: Want::Value(Field::User) },
    Node { key: "model", want: Want::Value(Field::Model) },
    Node { key: "stream", want: Want::Value(Field::Stream) },
    Node { key: "service_tier", want: Want::Value(Field::ServiceTier) },
];

/// Reads [`RequestFields`] from chunks cut at any byte. They count only when the body is complete.
pub(crate) struct RequestFieldReader {
    scanner: Scanner,
    fields: RequestFields,
    reads_user: bool,
}

enum Scanner {
    Json(JsonScanner<Field>),
    /// What SDKs send beside files, such as audio that is to be transcribed.
    Form(Box<FormScanner<Field>>),
}

impl RequestFieldReader {
    /// A reader for a body with these headers, if it can be read; it leaves the user out unless it is to be read.
    pub(crate) fn for_headers(headers: &HeaderMap, reads_user: bool) -> Option<Self> {
        let scanner = if announces_json(headers) {
            Scanner::Json(JsonScanner::new(&WANTED, Roots::One, MAX_VALUE_BYTES))
        } else {
            Scanner::Form(Box::new(FormScanner::new(boundary(headers)?, MAX_VALUE_BYTES)))
        };
        Some(Self { scanner, fields: RequestFields::default(), reads_user })
    }

    /// Reads on. Gives the fields once: when the body is complete.
    pub(crate) fn feed(&mut self, chunk: &[u8]) -> Option<RequestFields> {
        if self.is_done() {
            return None;
        }
        let Self { scanner, fields, .. } = self;
        match scanner {
            Scanner::Json(scanner) => {
                scanner.feed(chunk, &mut |field, value| fields.set(field, value, json_text));
            }
            Scanner::Form(scanner) => {
                let wanted = |name: &str| WANTED.iter().find(|node| node.key == name).and_then(Node::value);
                scanner.feed(chunk, wanted, |field, value| fields.set(field, value, |text| Some(text.to_owned())));
            }
        }
        if !self.is_done() {
            return None;
        }
        let fields = std::mem::take(&mut self.fields);
        if self.reads_user {
            return Some(fields);
        }
        Some(RequestFields { user: None, user_note: None, ..fields })
    }

    fn is_done(&self) -> bool {
        match &self.scanner {
            Scanner::Json(scanner) => scanner.documents() > 0,
            Scanner::Form(scanner) => scanner.is_done(),
        }
    }
}

/// A string's text, or a number or boolean as it is written.
#[cfg(feature = "llm")]
pub(crate) fn scalar_text(value: &[u8]) -> Option<String> {
    json_text(std::str::from_utf8(value).ok()?)
}

fn json_text(value: &str) -> Option<String> {
    match value {
        "null" => None,
        text if text.starts_with(['{', '[']) => None,
        text if text.starts_with('"') => decode_string(text).map(Into::into),
        text => Some(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header};

    use super::{RequestFieldReader, RequestFields};

    fn read(body: &str, chunk: usize) -> Option<RequestFields> {
        read_as("application/json", body, chunk)
    }

    fn read_as(content_type: &'static str, body: &str, chunk: usize) -> Option<RequestFields> {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(content_type))]);
        let mut reader = RequestFieldReader::for_headers(&headers, true)?;
        let mut found = None;
        for piece in body.as_bytes().chunks(chunk) {
            if let Some(fields) = reader.feed(piece) {
                assert!(found.replace(fields).is_none(), "given once");
            }
        }
        found
    }

    #[test]
    fn finds_the_user_whatever_the_chunks() {
        let nested = r#"{"messages":[{"user":"no","content":"a \" , \"user\": \"no\" }"}],"user":"ada"}"#;
        let cases = [
            (nested, Some("ada")),
            (r#" { "user" : "end-user-9" , "model":"gpt-4o"}"#, Some("end-user-9")),
            (r#"{"\u0075ser":"Zo\u00eb \"q\""}"#, Some("Zoë \"q\"")),
            (r#"{"user":"first","user":"last"}"#, Some("last")),
            (r#"{"user":42}"#, Some("42")),
            (r#"{"user":""}"#, Some("")),
            (r#"{"user":null}"#, None),
            (r#"{"user":{"id":"x"}}"#, None),
            (r#"{"user":["x"],"a":"user"}"#, None),
            (r#"{"user":"cut off"#, None),
            (r#"[{"user":"no"}]"#, None),
            (r#""user""#, None),
            ("", None),
            ("東京", None),
        ];
        for (body, user) in cases {
            for chunk in 1..=body.len().max(1) {
                let found = read(body, chunk).and_then(|fields| fields.user);
                assert_eq!(found.as_deref(), user, "{body} in chunks of {chunk}");
            }
        }
    }

    #[test]
    fn forms_have_fields_too() {
        let field = |name: &str, value: &str| {
            format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let fields = [field("model", "whisper-1"), field("stream", "true"), field("user", "ada"), field("n", "2")];
        let body = format!("{}--x--\r\n", fields.concat());
        let expected = RequestFields {
            user: Some("ada".to_owned()),
            model: Some("whisper-1".to_owned()),
            stream: Some(true),
            service_tier: None,
            user_note: None,
        };
        assert_eq!(read_as("multipart/form-data; boundary=x", &body, 7), Some(expected));
        assert_eq!(read_as("multipart/form-data; boundary=y", &body, 7), None);
        assert_eq!(read_as("application/x-www-form-urlencoded", "model=x", 7), None);
    }

    #[test]
    fn finds_what_an_llm_request_says() {
        let body = r#"{"model":"gpt-4o","stream":true,"service_tier":"flex","messages":[{"model":"no"}]}"#;
        let fields = RequestFields {
            user_note: None,
            user: None,
            model: Some("gpt-4o".to_owned()),
            stream: Some(true),
            service_tier: Some("flex".to_owned()),
        };
        for chunk in 1..=body.len() {
            assert_eq!(read(body, chunk), Some(fields.clone()));
        }
    }
}
