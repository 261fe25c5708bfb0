//! Picking values out of JSON that streams past, cut at any byte.
//!
//! Nothing but the value at hand is kept, so memory is bounded for a document of any size, and a value behind megabytes
//! of others is found all the same. It checks no more of the syntax than it needs to find its way.

use memchr::memchr2;

use crate::text::decode_string;

/// A key whose value, or whose object's values, are wanted.
pub(crate) struct Node<F: 'static> {
    pub(crate) key: &'static str,
    pub(crate) want: Want<F>,
}

impl<F: Copy> Node<F> {
    /// The name of its value, if that is wanted as it is.
    pub(crate) fn value(&self) -> Option<F> {
        match self.want {
            Want::Value(name) => Some(name),
            Want::Within(_) | Want::Each(..) => None,
        }
    }
}

/// What is wanted of a key.
pub(crate) enum Want<F: 'static> {
    /// Its value, under this name.
    Value(F),
    /// Values within its object.
    #[cfg_attr(not(feature = "llm"), allow(dead_code, reason = "request bodies are flat"))]
    Within(&'static [Node<F>]),
    /// Values within each object of its array; the name says that the array is empty.
    #[cfg_attr(not(feature = "llm"), allow(dead_code, reason = "request bodies are flat"))]
    Each(&'static [Node<F>], F),
}

/// Deepest object that values are wanted of, the document itself being 1.
const MAX_LEVELS: usize = 5;
/// Longest key that can be a wanted one, in bytes as it is written.
const MAX_KEY_BYTES: usize = 256;

/// Finds wanted values in a document, or in several that follow each other.
pub(crate) struct JsonScanner<F: 'static> {
    roots: Roots,
    state: State,
    /// What is wanted of each open object or array down to the one at hand.
    levels: [Level<F>; MAX_LEVELS],
    level: usize,
    /// Objects and arrays that are open within one that nothing is wanted of.
    beyond: usize,
    awaiting_key: bool,
    /// What is wanted of the key at hand.
    wanted: Option<&'static Want<F>>,
    /// The value or key at hand, when it may matter.
    token: Vec<u8>,
    max_value_bytes: usize,
    capturing: Option<F>,
    documents: usize,
    end: Option<F>,
}

#[derive(Clone, Copy)]
enum Level<F: 'static> {
    Object(&'static [Node<F>]),
    /// An array, whether it is still empty, and what to hand out if it stays so.
    Array(&'static [Node<F>], bool, F),
}

/// How many documents there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Roots {
    /// One object; what comes behind it is not looked at.
    One,
    /// Objects behind each other, or in an array: line feeds, commas and brackets between them are passed over.
    Many,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Outside,
    Between,
    Text { escaped: bool },
    Scalar,
    Done,
    Broken,
}

impl<F: Copy> JsonScanner<F> {
    pub(crate) fn new(wanted: &'static [Node<F>], roots: Roots, max_value_bytes: usize) -> Self {
        Self {
            roots,
            state: State::Outside,
            levels: [Level::Object(wanted); MAX_LEVELS],
            level: 0,
            beyond: 0,
            awaiting_key: false,
            wanted: None,
            token: Vec::new(),
            max_value_bytes,
            capturing: None,
            documents: 0,
            end: None,
        }
    }

    /// Hands out the end of each document too, under this name.
    #[cfg_attr(not(feature = "llm"), allow(dead_code, reason = "a request body is one document"))]
    pub(crate) fn names_end(mut self, name: F) -> Self {
        self.end = Some(name);
        self
    }

    /// Begins anew with the next document, keeping the buffer.
    #[cfg_attr(not(feature = "llm"), allow(dead_code, reason = "a request body is one document"))]
    pub(crate) fn restart(&mut self) {
        self.state = State::Outside;
        self.level = 0;
        self.beyond = 0;
        self.capturing = None;
    }

    /// How many documents are complete.
    pub(crate) fn documents(&self) -> usize {
        self.documents
    }

    /// Whether the scanner is between documents.
    #[cfg_attr(not(feature = "llm"), allow(dead_code, reason = "a request body is one document"))]
    pub(crate) fn is_between_documents(&self) -> bool {
        matches!(self.state, State::Outside | State::Done)
    }

    /// Whether this can't be JSON.
    #[cfg_attr(not(feature = "llm"), allow(dead_code, reason = "a request body is one document"))]
    pub(crate) fn is_broken(&self) -> bool {
        self.state == State::Broken
    }

    /// Reads on and hands out every wanted value once it is complete, as it is written; `None` for one that is too long.
    pub(crate) fn feed(&mut self, chunk: &[u8], found: &mut impl FnMut(F, Option<&[u8]>)) {
        let mut rest = chunk;
        while let Some((byte, behind)) = rest.split_first() {
            rest = match self.state {
                State::Between if self.beyond == 0 => {
                    if let Some(len) = self.take_whole(*byte, rest, found) {
                        rest.get(len..).unwrap_or_default()
                    } else {
                        self.between(*byte, found);
                        behind
                    }
                }
                State::Between if self.capturing.is_none() => self.pass_over(rest),
                State::Done | State::Broken => return,
                _ => {
                    let (run, from_mark) = rest.split_at(self.run_len(rest));
                    if run.is_empty() {
                        self.step(*byte, found);
                        behind
                    } else {
                        self.keep(run);
                        from_mark
                    }
                }
            };
        }
    }

    /// Takes a key, with the colon right behind it, or a value that lies in the chunk as a whole, as most do: nothing of it
    /// has to be kept. Gives the length of what was taken, or `None` for anything else, of which nothing is.
    fn take_whole(&mut self, byte: u8, rest: &[u8], found: &mut impl FnMut(F, Option<&[u8]>)) -> Option<usize> {
        if self.awaiting_key {
            if byte != b'"' {
                return None;
            }
            let (_, text) = rest.split_first()?;
            let (key, behind) = text.split_at_checked(text_mark(text)?)?;
            if behind.first() != Some(&b'"') {
                // It has escapes.
                return None;
            }
            let len = key.len() + 2;
            let Level::Object(nodes) = self.at_hand() else { return None };
            self.wanted = nodes.iter().find(|node| node.key.as_bytes() == key).map(|node| &node.want);
            if rest.get(len) == Some(&b':') {
                self.awaiting_key = false;
                return Some(len + 1);
            }
            return Some(len);
        }
        let Some(Want::Value(field)) = self.wanted else {
            return if byte == b'"' { text_len(rest).ok() } else { None };
        };
        let len = match byte {
            b'"' => text_len(rest).ok()?,
            b'{' | b'[' => container_len(rest)?,
            b'}' | b']' | b',' | b':' | b' ' | b'\t' | b'\r' | b'\n' => return None,
            _ => rest.iter().position(|byte| ends_scalar(*byte))?,
        };
        let value = rest.get(..len).filter(|value| value.len() <= self.max_value_bytes)?;
        found(*field, Some(value));
        Some(len)
    }

    /// Passes over what is within an object or array that nothing is wanted of, and gives what comes behind.
    fn pass_over<'c>(&mut self, chunk: &'c [u8]) -> &'c [u8] {
        let mut rest = chunk;
        while let Some((byte, behind)) = rest.split_first() {
            match byte {
                b'"' => match text_len(rest) {
                    Ok(len) => {
                        rest = rest.get(len..).unwrap_or_default();
                        continue;
                    }
                    Err(escaped) => {
                        self.state = State::Text { escaped };
                        return &[];
                    }
                },
                b'{' | b'[' => self.beyond += 1,
                b'}' | b']' => {
                    self.beyond -= 1;
                    if self.beyond == 0 {
                        return behind;
                    }
                }
                _ => {}
            }
            rest = behind;
        }
        rest
    }

    /// How many bytes from here on change nothing but the value at hand.
    fn run_len(&self, rest: &[u8]) -> usize {
        let until = |is_mark: fn(u8) -> bool| rest.iter().position(|byte| is_mark(*byte));
        let len = match self.state {
            State::Text { escaped: false } => memchr2(b'"', b'\\', rest),
            State::Scalar => until(ends_scalar),
            State::Between => until(|byte| matches!(byte, b'"' | b'{' | b'[' | b'}' | b']')),
            _ => Some(0),
        };
        len.unwrap_or(rest.len())
    }

    fn step(&mut self, byte: u8, found: &mut impl FnMut(F, Option<&[u8]>)) {
        match self.state {
            State::Outside => match byte {
                b'{' => {
                    self.state = State::Between;
                    self.level = 1;
                    self.awaiting_key = true;
                    self.wanted = None;
                }
                b' ' | b'\t' | b'\r' | b'\n' => {}
                // A byte order mark, which parsers may ignore (RFC 8259, section 8.1).
                0xef | 0xbb | 0xbf if self.documents == 0 => {}
                b'[' | b']' | b',' if self.roots == Roots::Many => {}
                _ => self.state = State::Broken,
            },
            State::Text { escaped } => {
                self.keep(&[byte]);
                match byte {
                    _ if escaped => self.state = State::Text { escaped: false },
                    b'\\' => self.state = State::Text { escaped: true },
                    _ => {
                        self.state = State::Between;
                        self.end_text(found);
                    }
                }
            }
            State::Scalar if ends_scalar(byte) => {
                self.state = State::Between;
                self.hand_out(found);
                self.step(byte, found);
            }
            State::Scalar => self.keep(&[byte]),
            State::Between => self.between(byte, found),
            State::Done | State::Broken => {}
        }
    }

    fn between(&mut self, byte: u8, found: &mut impl FnMut(F, Option<&[u8]>)) {
        match byte {
            b'"' => {
                if self.beyond == 0 {
                    if self.awaiting_key {
                        self.token.clear();
                    } else {
                        self.begin_capture();
                    }
                }
                self.keep(b"\"");
                self.state = State::Text { escaped: false };
            }
            b'{' | b'[' => {
                if self.beyond > 0 {
                    self.beyond += 1;
                } else if let (Some(level), true) = (self.level_of(byte), self.level < MAX_LEVELS) {
                    return self.enter(level);
                } else {
                    self.begin_capture();
                    self.beyond = 1;
                }
                self.keep(&[byte]);
            }
            b'}' | b']' => {
                self.keep(&[byte]);
                if self.beyond > 0 {
                    self.beyond -= 1;
                    if self.beyond == 0 {
                        self.hand_out(found);
                    }
                } else {
                    if let Level::Array(_, true, name) = self.at_hand() {
                        found(name, Some(b"[]"));
                    }
                    self.level -= 1;
                    self.wanted = None;
                    self.awaiting_key = false;
                    if self.level == 0 {
                        self.documents += 1;
                        if let Some(name) = self.end {
                            found(name, Some(b""));
                        }
                        self.state = if self.roots == Roots::One { State::Done } else { State::Outside };
                    }
                }
            }
            b',' if self.beyond == 0 => {
                self.awaiting_key = matches!(self.at_hand(), Level::Object(_));
                self.wanted = None;
            }
            b':' if self.beyond == 0 => self.awaiting_key = false,
            b' ' | b'\t' | b'\r' | b'\n' if self.beyond == 0 => {}
            _ if self.beyond == 0 && !self.awaiting_key => {
                self.begin_capture();
                if self.capturing.is_some() {
                    self.keep(&[byte]);
                    self.state = State::Scalar;
                }
            }
            _ => self.keep(&[byte]),
        }
    }

    fn at_hand(&self) -> Level<F> {
        let level = self.level.checked_sub(1).and_then(|at| self.levels.get(at));
        level.copied().unwrap_or(Level::Object(&[]))
    }

    /// What a container that begins here is, if anything is wanted of it.
    fn level_of(&self, byte: u8) -> Option<Level<F>> {
        match (byte, self.wanted, self.at_hand()) {
            (b'{', _, Level::Array(nodes, ..)) => Some(Level::Object(nodes)),
            (b'{', Some(Want::Within(nodes)), _) => Some(Level::Object(nodes)),
            (b'[', Some(Want::Each(nodes, name)), _) => Some(Level::Array(nodes, true, *name)),
            _ => None,
        }
    }

    fn enter(&mut self, level: Level<F>) {
        if let Some(Level::Array(_, is_empty, _)) = self.level.checked_sub(1).and_then(|at| self.levels.get_mut(at)) {
            *is_empty = false;
        }
        if let Some(place) = self.levels.get_mut(self.level) {
            *place = level;
        }
        self.level += 1;
        self.awaiting_key = matches!(level, Level::Object(_));
        self.wanted = None;
    }

    fn begin_capture(&mut self) {
        if let Some(Want::Value(field)) = self.wanted {
            self.token.clear();
            self.capturing = Some(*field);
        }
    }

    /// Whether the bytes at hand are of a wanted value, or of a key that may name one.
    fn keeps(&self) -> bool {
        self.capturing.is_some() || (self.beyond == 0 && self.awaiting_key)
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.keeps() {
            let limit = if self.capturing.is_some() { self.max_value_bytes } else { MAX_KEY_BYTES };
            // One byte over the limit marks the token as too long.
            let room = (limit + 1).saturating_sub(self.token.len());
            self.token.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        }
    }

    fn end_text(&mut self, found: &mut impl FnMut(F, Option<&[u8]>)) {
        if self.beyond > 0 {
            return;
        }
        if self.capturing.is_some() {
            return self.hand_out(found);
        }
        if self.awaiting_key {
            let Level::Object(nodes) = self.at_hand() else { return };
            let key = std::str::from_utf8(&self.token).ok().filter(|key| key.len() <= MAX_KEY_BYTES);
            let key = key.and_then(decode_string);
            self.wanted = key.and_then(|key| nodes.iter().find(|node| node.key == key)).map(|node| &node.want);
        }
    }

    fn hand_out(&mut self, found: &mut impl FnMut(F, Option<&[u8]>)) {
        if let Some(field) = self.capturing.take() {
            found(field, Some(&*self.token).filter(|token| token.len() <= self.max_value_bytes));
        }
    }
}

/// Where the next quotation mark or backslash is.
fn text_mark(text: &[u8]) -> Option<usize> {
    // Most texts are shorter than what a search of many bytes at a time needs to begin.
    let (near, far) = text.split_at_checked(16).unwrap_or((text, &[]));
    let mark = near.iter().position(|byte| matches!(byte, b'"' | b'\\'));
    mark.or_else(|| Some(near.len() + memchr2(b'"', b'\\', far)?))
}

/// How long the text is that begins here, with its quotation marks. One that does not end here gives whether its last byte is
/// an escape that is not over.
fn text_len(rest: &[u8]) -> Result<usize, bool> {
    let mut at = 1;
    loop {
        let rest = rest.get(at..).unwrap_or_default();
        let mark = text_mark(rest).ok_or(false)?;
        match rest.get(mark..mark + 2) {
            _ if rest.get(mark) == Some(&b'"') => return Ok(at + mark + 1),
            Some(_) => at += mark + 2,
            None => return Err(true),
        }
    }
}

/// How long the object or array is that begins here; `None` for one that does not end here.
fn container_len(chunk: &[u8]) -> Option<usize> {
    let mut at = 0;
    let mut depth = 0_usize;
    loop {
        at += match chunk.get(at)? {
            b'"' => text_len(chunk.get(at..)?).ok()?,
            b'{' | b'[' => {
                depth += 1;
                1
            }
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
                1
            }
            _ => 1,
        };
    }
}

fn ends_scalar(byte: u8) -> bool {
    matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{JsonScanner, Node, Roots, Want};

    static WANTED: [Node<char>; 5] = [
        Node { key: "usage", want: Want::Value('u') },
        Node { key: "model", want: Want::Value('m') },
        Node {
            key: "message",
            want: Want::Within(&[
                Node { key: "usage", want: Want::Value('U') },
                Node { key: "deep", want: Want::Within(&[Node { key: "n", want: Want::Value('n') }]) },
            ]),
        },
        Node { key: "list", want: Want::Value('l') },
        Node { key: "each", want: Want::Each(&[Node { key: "n", want: Want::Value('N') }], 'E') },
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
    fn finds_values_whatever_the_chunks() {
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
                let expected: Vec<_> =
                    values.iter().map(|(field, value)| (*field, Some((*value).to_owned()))).collect();
                assert_eq!(scan(text, chunk, Roots::One), expected, "{text} in chunks of {chunk}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1024) })]

        #[test]
        fn finds_the_same_in_anything_however_it_is_cut(
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
    fn reads_many_documents() {
        let values: Vec<_> = [1, 2, 3].map(|n| ('u', Some(n.to_string()))).into();
        for text in
            ["[{\"usage\":1}\r\n,\r\n{\"usage\":2},{\"usage\":3}]", "{\"usage\":1}\n{\"usage\":2}\n\n{\"usage\":3}"]
        {
            for chunk in 1..text.len() {
                assert_eq!(scan(text, chunk, Roots::Many), values, "{text} in chunks of {chunk}");
            }
        }
    }

    #[test]
    fn a_value_that_is_too_long_is_named_and_not_kept() {
        let text = format!(r#"{{"usage":"{}","model":"x"}}"#, "a".repeat(100));
        for chunk in 1..text.len() {
            assert_eq!(scan(&text, chunk, Roots::One), [('u', None), ('m', Some("\"x\"".to_owned()))]);
        }
    }
}
