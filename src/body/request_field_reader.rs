use http::HeaderMap;

use super::{
    ContentDecoder,
    form_scanner::{FormScanner, boundary},
    json_scan::{JsonScanner, Node, Roots, Want},
    request_fields::{RequestFields, UserNote, json_text},
};
use crate::{
    media::{is_json, media_type},
    text::{cut_name, header_text},
};

/// Maximum length of a value, in bytes.
const MAX_VALUE_BYTES: usize = 16 * 1024;

#[derive(Clone, Copy)]
enum Field {
    User,
    Model,
    Stream,
    ServiceTier,
    MaxTokens,
    Choices,
}

static WANTED: &[Node<Field>] = &[
    Node { key: "user", want: Want::Value(Field::User) },
    Node { key: "model", want: Want::Value(Field::Model) },
    Node { key: "stream", want: Want::Value(Field::Stream) },
    Node { key: "service_tier", want: Want::Value(Field::ServiceTier) },
    Node { key: "max_tokens", want: Want::Value(Field::MaxTokens) },
    Node { key: "max_completion_tokens", want: Want::Value(Field::MaxTokens) },
    Node { key: "max_output_tokens", want: Want::Value(Field::MaxTokens) },
    Node { key: "n", want: Want::Value(Field::Choices) },
    // Google, Bedrock, and Ollama.
    #[cfg(feature = "llm")]
    Node {
        key: "generationConfig",
        want: Want::Object(&[
            Node { key: "maxOutputTokens", want: Want::Value(Field::MaxTokens) },
            Node { key: "candidateCount", want: Want::Value(Field::Choices) },
        ]),
    },
    #[cfg(feature = "llm")]
    Node {
        key: "inferenceConfig",
        want: Want::Object(&[Node { key: "maxTokens", want: Want::Value(Field::MaxTokens) }]),
    },
    #[cfg(feature = "llm")]
    Node { key: "options", want: Want::Object(&[Node { key: "num_predict", want: Want::Value(Field::MaxTokens) }]) },
];

/// Reads [`RequestFields`] from a body in chunks of any size.
pub(crate) struct RequestFieldReader {
    decoder: ContentDecoder,
    scanner: Scanner,
    /// The body could not be decoded.
    is_broken: bool,
    fields: RequestFields,
    reads_user: bool,
}

enum Scanner {
    Json(JsonScanner<Field>),
    /// A multipart form, which clients send with files such as audio to transcribe.
    Form(Box<FormScanner<Field>>),
}

impl RequestFieldReader {
    /// Creates a reader for a body with these headers, or returns `None` if the format or a content coding is not
    /// supported.
    ///
    /// The `user` field is left out unless `reads_user` is set.
    pub(crate) fn for_headers(headers: &HeaderMap, reads_user: bool) -> Option<Self> {
        let scanner = Scanner::for_headers(headers)?;
        let decoder = ContentDecoder::for_headers(headers)?;
        Some(Self { decoder, scanner, is_broken: false, fields: RequestFields::default(), reads_user })
    }

    /// Reads the next chunk. Returns the fields once, when the body is complete.
    pub(crate) fn feed(&mut self, chunk: &[u8]) -> Option<RequestFields> {
        if self.is_broken || self.scanner.is_done() {
            return None;
        }
        let Self { decoder, scanner, fields, .. } = self;
        self.is_broken = !decoder.decode(chunk, |bytes| {
            if !scanner.is_done() {
                scanner.feed(bytes, fields);
            }
        });
        if self.is_broken || !self.scanner.is_done() {
            return None;
        }
        Some(self.found())
    }

    /// Returns the fields that were found so far.
    pub(crate) fn found(&self) -> RequestFields {
        let fields = self.fields.clone();
        if self.reads_user { fields } else { RequestFields { user: None, user_note: None, ..fields } }
    }
}

impl Scanner {
    fn for_headers(headers: &HeaderMap) -> Option<Self> {
        if is_json(media_type(headers)) {
            return Some(Self::Json(JsonScanner::new(WANTED, Roots::One, MAX_VALUE_BYTES)));
        }
        Some(Self::Form(Box::new(FormScanner::new(boundary(headers)?, MAX_VALUE_BYTES))))
    }

    fn feed(&mut self, chunk: &[u8], fields: &mut RequestFields) {
        match self {
            Self::Json(scanner) => {
                scanner.feed(chunk, &mut |field, value| set(fields, field, value, json_text));
            }
            Self::Form(scanner) => {
                let wanted = |name: &str| match WANTED.iter().find(|node| node.key == name)?.want {
                    Want::Value(field) => Some(field),
                    #[cfg(feature = "llm")]
                    Want::Object(_) | Want::Array(..) => None,
                };
                scanner.feed(chunk, wanted, |field, value| set(fields, field, value, |text| Some(text.to_owned())));
            }
        }
    }

    fn is_done(&self) -> bool {
        match self {
            Self::Json(scanner) => scanner.documents() > 0,
            Self::Form(scanner) => scanner.is_done(),
        }
    }
}

/// Sets a field to a value as it is written, or to `None` if the value is too long. `decode` returns the text of a value.
fn set(fields: &mut RequestFields, field: Field, value: Option<&[u8]>, decode: fn(&str) -> Option<String>) {
    let (text, is_latin1) = header_text(value.unwrap_or_default());
    let text = value.and_then(|_| decode(&text));
    match field {
        // A user id in Latin-1 still identifies a user. Other names in Latin-1 would match nothing.
        Field::User => {
            fields.user_note = match value {
                None => Some(UserNote::TooLarge),
                Some(_) => is_latin1.then_some(UserNote::NotUtf8),
            };
            fields.user = text;
        }
        _ if is_latin1 => {}
        Field::Model => fields.model = text.map(cut_name),
        Field::Stream => fields.stream = text.and_then(|text| text.parse().ok()),
        Field::ServiceTier => fields.service_tier = text.map(cut_name),
        // A server ignores the fields of other formats, so the largest number counts.
        Field::MaxTokens => fields.max_tokens = fields.max_tokens.max(text.and_then(|text| text.parse().ok())),
        Field::Choices => fields.choices = fields.choices.max(text.and_then(|text| text.parse().ok())),
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
                assert!(found.replace(fields).is_none(), "fields are returned once");
            }
        }
        found
    }

    #[cfg(feature = "llm")]
    #[test]
    fn reads_the_maximum_of_output_tokens_of_all_formats() {
        for body in [
            r#"{"max_tokens": 64, "n": 3}"#,
            r#"{"n": 3, "max_completion_tokens": 64, "max_tokens": null}"#,
            r#"{"max_output_tokens": 64, "n": 3}"#,
            r#"{"generationConfig": {"candidateCount": 3, "maxOutputTokens": 64}}"#,
            r#"{"inferenceConfig": {"maxTokens": 64}, "n": 3}"#,
            r#"{"options": {"num_predict": 64}, "n": 3}"#,
        ] {
            for chunk in [1, 7, body.len()] {
                let fields = read(body, chunk).unwrap();
                assert_eq!((fields.max_tokens, fields.choices), (Some(64), Some(3)), "{body}");
            }
        }
        let fields = read(r#"{"max_tokens": -1, "n": "many"}"#, 100).unwrap();
        assert_eq!((fields.max_tokens, fields.choices), (None, None));
    }

    #[test]
    fn finds_the_user_for_any_chunk_size() {
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
    fn reads_fields_of_multipart_forms() {
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
            max_tokens: None,
            choices: Some(2),
        };
        assert_eq!(read_as("multipart/form-data; boundary=x", &body, 7), Some(expected));
        assert_eq!(read_as("multipart/form-data; boundary=y", &body, 7), None);
        assert_eq!(read_as("application/x-www-form-urlencoded", "model=x", 7), None);
    }

    #[test]
    fn finds_the_fields_of_an_llm_request() {
        let body = r#"{"model":"gpt-4o","stream":true,"service_tier":"flex","messages":[{"model":"no"}]}"#;
        let fields = RequestFields {
            user_note: None,
            user: None,
            model: Some("gpt-4o".to_owned()),
            stream: Some(true),
            service_tier: Some("flex".to_owned()),
            max_tokens: None,
            choices: None,
        };
        for chunk in 1..=body.len() {
            assert_eq!(read(body, chunk), Some(fields.clone()));
        }
    }
}
