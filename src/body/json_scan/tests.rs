use proptest::prelude::*;

use super::{JsonScanner, Node, Roots, Want};

static WANTED: [Node<char>; 5] = [
    Node { key: "usage", want: Want::Value('u') },
    Node { key: "model", want: Want::Value('m') },
    Node {
        key: "message",
        want: Want::Object(&[
            Node { key: "usage", want: Want::Value('U') },
            Node { key: "deep", want: Want::Object(&[Node { key: "n", want: Want::Value('n') }]) },
        ]),
    },
    Node { key: "list", want: Want::Value('l') },
    Node { key: "each", want: Want::Array(&[Node { key: "n", want: Want::Value('N') }], 'E') },
];

fn scan(text: &str, chunk: usize, roots: Roots) -> Vec<(char, Option<String>)> {
    scan_chunks(&text.as_bytes().chunks(chunk).collect::<Vec<_>>(), roots)
}

fn scan_chunks(chunks: &[impl AsRef<[u8]>], roots: Roots) -> Vec<(char, Option<String>)> {
    let mut scanner = JsonScanner::new(&WANTED, roots, 24);
    let mut found = Vec::new();
    for piece in chunks {
        scanner.feed(piece.as_ref(), &mut |field, value| {
            found.push((field, value.map(|value| String::from_utf8(value.to_vec()).unwrap())));
        });
    }
    found
}

#[test]
fn finds_values_for_any_chunk_size() {
    let cases: &[(&str, &[(char, &str)])] = &[
        (r#"{"usage":{"a":[1,{"b":"}"}]},"model":"x"}"#, &[('u', r#"{"a":[1,{"b":"}"}]}"#), ('m', r#""x""#)]),
        (r#" { "\u0075sage" : 12 , "model":null}"#, &[('u', "12"), ('m', "null")]),
        (r#"{"x":{"usage":1},"y":["usage",{"model":2}],"usage":3}"#, &[('u', "3")]),
        (
            r#"{"message":{"usage":{},"deep":{"n":-1.5e3},"model":1},"usage":"\"}"}"#,
            &[('U', "{}"), ('n', "-1.5e3"), ('u', r#""\"}""#)],
        ),
        (r#"{"message":["usage",1],"message":"usage","list":[{"usage":[]},[]]}"#, &[('l', r#"[{"usage":[]},[]]"#)]),
        (r#"{"text":"{\"usage\":1,","usage":true}"#, &[('u', "true")]),
        (
            r#"{"each":[{"n":1,"usage":0},{"m":[{"n":0}]}, {"n":"x"}],"usage":2}"#,
            &[('N', "1"), ('N', "\"x\""), ('u', "2")],
        ),
        (r#"{"each":[ ],"each":{"n":1},"usage":[],"each":["n",1]}"#, &[('E', "[]"), ('u', "[]"), ('E', "[]")]),
        (r#"{"usage":{ "a": 1 2 },"model":[ ]}"#, &[('u', r#"{ "a": 1 2 }"#), ('m', "[ ]")]),
        (r#"{"usage":{"cut""#, &[]),
        (r#"[{"usage":1}]"#, &[]),
        ("\u{feff}{\"usage\":1}", &[('u', "1")]),
        ("東京", &[]),
        ("", &[]),
    ];
    for (text, values) in cases {
        for chunk in 1..=text.len().max(1) {
            let expected: Vec<_> = values.iter().map(|(field, value)| (*field, Some((*value).to_owned()))).collect();
            assert_eq!(scan(text, chunk, Roots::One), expected, "{text} in chunks of {chunk}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1024) })]

    #[test]
    fn chunk_boundaries_never_change_the_result(
        parts in prop::collection::vec(
            prop_oneof![
                Just("{"), Just("}"), Just("["), Just("]"), Just(","), Just(":"), Just(" "), Just("\""), Just("\\"),
                Just("\"usage\":"), Just("\"message\":{"), Just("\"each\":["), Just("\"n\""), Just("\"a b\\\"\""),
                Just("1.5"), Just("null"), Just("\"more than twenty-four bytes\""), Just("é"),
            ],
            0..40,
        ),
        chunk in 1..9_usize,
    ) {
        let text = format!("{{{}", parts.concat());
        for roots in [Roots::One, Roots::Many] {
            let cut = |chunk: usize| {
                let mut chunks = Vec::new();
                let mut rest = text.as_str();
                while !rest.is_empty() {
                    let end = (chunk..=rest.len()).find(|end| rest.is_char_boundary(*end)).unwrap_or(rest.len());
                    chunks.push(&rest[..end]);
                    rest = &rest[end..];
                }
                scan_chunks(&chunks, roots)
            };
            prop_assert_eq!(cut(chunk), cut(text.len()), "{}", text);
        }
    }
}

#[test]
fn reads_several_documents() {
    let values: Vec<_> = [1, 2, 3].map(|n| ('u', Some(n.to_string()))).into();
    for text in ["[{\"usage\":1}\r\n,\r\n{\"usage\":2},{\"usage\":3}]", "{\"usage\":1}\n{\"usage\":2}\n\n{\"usage\":3}"]
    {
        for chunk in 1..text.len() {
            assert_eq!(scan(text, chunk, Roots::Many), values, "{text} in chunks of {chunk}");
        }
    }
}

#[test]
fn reports_values_that_are_too_long_without_their_text() {
    let text = format!(r#"{{"usage":"{}","model":"x"}}"#, "a".repeat(100));
    for chunk in 1..text.len() {
        assert_eq!(scan(&text, chunk, Roots::One), [('u', None), ('m', Some("\"x\"".to_owned()))]);
    }
}
