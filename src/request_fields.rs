//! What a JSON request body says of the request, found while the body streams past.

use crate::{
    json_scan::{JsonScanner, Node, Roots, Want},
    metadata::{intake::json::decode_string, limits::truncated},
};

/// Longest name of a model or a tier, in characters.
pub(crate) const MAX_NAME_CHARS: usize = 256;

/// Longest value that is held back until it is complete, in bytes.
const MAX_VALUE_BYTES: usize = 16 * 1024;

/// The top-level fields of a request body that matter; `None` where a field is missing, `null`, or an object or array.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RequestFields {
    pub(crate) user: Option<String>,
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

/// Reads [`RequestFields`] from chunks cut at any byte. They count only when the object is complete.
pub(crate) struct RequestFieldReader {
    scanner: JsonScanner<Field>,
    fields: RequestFields,
    reads_user: bool,
}

impl RequestFieldReader {
    /// A reader that leaves the user out unless it is to be read.
    pub(crate) fn new(reads_user: bool) -> Self {
        let scanner = JsonScanner::new(&WANTED, Roots::One, MAX_VALUE_BYTES);
        Self { scanner, fields: RequestFields::default(), reads_user }
    }

    /// Reads on. Gives the fields once: when the object is complete.
    pub(crate) fn feed(&mut self, chunk: &[u8]) -> Option<RequestFields> {
        if self.scanner.documents() > 0 {
            return None;
        }
        let Self { scanner, fields, reads_user } = self;
        scanner.feed(chunk, &mut |field, value| {
            let text = value.and_then(scalar_text);
            match field {
                Field::User => fields.user = text.filter(|_| *reads_user),
                Field::Model => fields.model = text.map(cut_name),
                Field::Stream => fields.stream = text.and_then(|text| text.parse().ok()),
                Field::ServiceTier => fields.service_tier = text.map(cut_name),
            }
        });
        (scanner.documents() > 0).then(|| std::mem::take(fields))
    }
}

/// A name of a model or a tier, cut to what is still one, with no more memory than that takes.
pub(crate) fn cut_name(mut name: String) -> String {
    name.truncate(truncated(&name, MAX_NAME_CHARS).len());
    name.shrink_to_fit();
    name
}

/// A string's text, or a number or boolean as it is written.
pub(crate) fn scalar_text(value: &[u8]) -> Option<String> {
    match std::str::from_utf8(value).ok()? {
        "null" => None,
        text if text.starts_with(['{', '[']) => None,
        text if text.starts_with('"') => decode_string(text).map(Into::into),
        text => Some(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_NAME_CHARS, RequestFieldReader, RequestFields, cut_name};

    fn read(body: &str, chunk: usize) -> Option<RequestFields> {
        let mut reader = RequestFieldReader::new(true);
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
    fn a_long_name_is_cut_with_its_memory() {
        let cut = cut_name("ü".repeat(10_000));
        assert_eq!(cut, "ü".repeat(MAX_NAME_CHARS));
        assert!(cut.capacity() < 2 * cut.len(), "{} bytes", cut.capacity());
    }

    #[test]
    fn finds_what_an_llm_request_says() {
        let body = r#"{"model":"gpt-4o","stream":true,"service_tier":"flex","messages":[{"model":"no"}]}"#;
        let fields = RequestFields {
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
