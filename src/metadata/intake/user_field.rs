//! The `user` field of an `OpenAI`-shaped request body, found while the body streams past.

use memchr::memchr2;

use super::json::decode_string;

/// Longest key or value that is held back until it is complete, in bytes.
const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// Finds the top-level `user` of a JSON object in chunks cut at any byte.
///
/// Nothing but the token at hand is kept, so memory is bounded for a body of any size, and a `user` behind megabytes of
/// messages is found all the same. The field counts only when the object is complete.
#[derive(Debug, Default)]
pub(crate) struct UserFieldScanner {
    state: State,
    /// Objects and arrays that are open; tokens matter at depth 1 only.
    depth: usize,
    awaiting_key: bool,
    key_is_user: bool,
    /// The token at hand, when it may matter.
    token: Vec<u8>,
    user: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Start,
    Between,
    Text {
        escaped: bool,
        keep: bool,
    },
    Scalar,
    Done,
}

impl UserFieldScanner {
    /// Reads on. Gives the field once: when the object is complete.
    pub(crate) fn feed(&mut self, chunk: &[u8]) -> Option<String> {
        let mut rest = chunk;
        while let Some((byte, behind)) = rest.split_first() {
            if let State::Text { escaped: false, keep } = self.state {
                // The bulk of a body is text: jump to where it can end.
                let plain = memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
                if plain > 0 {
                    let (text, from_mark) = rest.split_at(plain);
                    if keep {
                        self.keep(text);
                    }
                    rest = from_mark;
                    continue;
                }
            }
            self.step(*byte);
            rest = behind;
            if self.state == State::Done {
                return self.user.take();
            }
        }
        None
    }

    fn step(&mut self, byte: u8) {
        match self.state {
            State::Start => match byte {
                b'{' => {
                    self.state = State::Between;
                    self.depth = 1;
                    self.awaiting_key = true;
                }
                b' ' | b'\t' | b'\r' | b'\n' => {}
                _ => self.state = State::Done,
            },
            State::Text { escaped, keep } => {
                if keep {
                    self.keep(&[byte]);
                }
                match byte {
                    _ if escaped => self.state = State::Text { escaped: false, keep },
                    b'\\' => self.state = State::Text { escaped: true, keep },
                    _ => {
                        self.state = State::Between;
                        if keep {
                            self.end_token();
                        }
                    }
                }
            }
            State::Scalar => match byte {
                b',' | b'}' | b' ' | b'\t' | b'\r' | b'\n' => {
                    self.state = State::Between;
                    self.end_token();
                    self.step(byte);
                }
                _ => self.keep(&[byte]),
            },
            State::Between => self.between(byte),
            State::Done => {}
        }
    }

    fn between(&mut self, byte: u8) {
        let at_top = self.depth == 1;
        match byte {
            b'"' => {
                let keep = at_top && (self.awaiting_key || self.key_is_user);
                self.token.clear();
                self.token.push(b'"');
                self.state = State::Text { escaped: false, keep };
            }
            b'{' | b'[' => {
                if at_top && self.key_is_user {
                    self.user = None;
                }
                self.depth += 1;
            }
            b'}' | b']' => {
                self.depth -= 1;
                if self.depth == 0 {
                    self.state = State::Done;
                }
            }
            b',' if at_top => {
                self.awaiting_key = true;
                self.key_is_user = false;
            }
            b':' if at_top => self.awaiting_key = false,
            b' ' | b'\t' | b'\r' | b'\n' => {}
            _ if at_top && self.key_is_user => {
                self.token.clear();
                self.token.push(byte);
                self.state = State::Scalar;
            }
            _ => {}
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        // One byte over the limit marks the token as too long.
        let room = (MAX_TOKEN_BYTES + 1).saturating_sub(self.token.len());
        self.token.extend(bytes.iter().take(room));
    }

    fn end_token(&mut self) {
        let token = std::str::from_utf8(&self.token).ok().filter(|token| token.len() <= MAX_TOKEN_BYTES);
        if self.awaiting_key {
            self.key_is_user = token.and_then(decode_string).is_some_and(|key| key == "user");
        } else {
            self.user = match token {
                Some("null") | None => None,
                Some(text) if text.starts_with('"') => decode_string(text).map(Into::into),
                Some(scalar) => Some(scalar.to_owned()),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::UserFieldScanner;

    fn scan(body: &str, chunk: usize) -> Option<String> {
        let mut scanner = UserFieldScanner::default();
        let mut found = None;
        for piece in body.as_bytes().chunks(chunk) {
            if let Some(user) = scanner.feed(piece) {
                assert!(found.replace(user).is_none(), "given once");
            }
        }
        found
    }

    #[test]
    fn finds_the_field_whatever_the_chunks() {
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
                assert_eq!(scan(body, chunk).as_deref(), user, "{body} in chunks of {chunk}");
            }
        }
    }

    #[test]
    fn keeps_no_more_than_one_token() {
        let mut scanner = UserFieldScanner::default();
        assert_eq!(scanner.feed(br#"{"user":""#), None);
        for _ in 0..1024 {
            assert_eq!(scanner.feed(&[b'x'; 1024]), None);
            assert!(scanner.token.capacity() <= 2 * super::MAX_TOKEN_BYTES + 2);
        }
        assert_eq!(scanner.feed(br#""}"#), None);
    }
}
