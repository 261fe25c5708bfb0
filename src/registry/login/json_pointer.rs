use std::fmt;

use serde_json::{Map, Value};

use crate::ConfigError;

/// A JSON Pointer ([RFC 6901](https://www.rfc-editor.org/rfc/rfc6901)) to a member of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct JsonPointer {
    text: Box<str>,
    first: Box<str>,
    rest: Box<[Box<str>]>,
}

impl JsonPointer {
    /// # Errors
    ///
    /// Returns an error for a pointer that is invalid, or that refers to the whole document.
    pub(super) fn parse(text: &str) -> Result<Self, ConfigError> {
        let invalid = |problem: &str| ConfigError::new(format!("invalid JSON Pointer {text:?}: {problem}"));
        let Some(tokens) = text.strip_prefix('/') else {
            let is_empty = text.is_empty();
            return Err(invalid(if is_empty {
                "expected the path of a claim, such as \"/sub\""
            } else {
                "expected a \"/\" at the start"
            }));
        };
        let tokens: Option<Vec<_>> = tokens.split('/').map(unescaped).collect();
        let mut tokens = tokens.ok_or_else(|| invalid("expected \"0\" or \"1\" after each \"~\""))?.into_iter();
        let first = tokens.next().unwrap_or_default();
        Ok(Self { text: text.into(), first, rest: tokens.collect() })
    }

    /// Returns the value that the pointer refers to.
    pub(super) fn find<'c>(&self, claims: &'c Map<String, Value>) -> Option<&'c Value> {
        self.rest.iter().try_fold(claims.get(&*self.first)?, |value, token| match value {
            Value::Object(members) => members.get(&**token),
            Value::Array(items) => items.get(index(token)?),
            _ => None,
        })
    }
}

impl fmt::Display for JsonPointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Replaces `~1` by `/` and `~0` by `~`. Returns `None` for another character after `~`.
fn unescaped(token: &str) -> Option<Box<str>> {
    let mut parts = token.split('~');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (letter, rest) = match part.strip_prefix('0') {
            Some(rest) => ('~', rest),
            None => ('/', part.strip_prefix('1')?),
        };
        text.push(letter);
        text.push_str(rest);
    }
    Some(text.into())
}

/// Reads an array index: digits without leading zeros.
fn index(token: &str) -> Option<usize> {
    let is_canonical = token == "0" || !token.starts_with(['0', '+']);
    is_canonical.then(|| token.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::JsonPointer;

    /// The examples of RFC 6901, section 5, and its errors.
    #[test]
    fn finds_what_rfc_6901_specifies() {
        let document = json!({
            "foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5, "k\"l": 6, " ": 7, "m~n": 8,
            "~1": 9, "list": [[1, 2]]
        });
        let claims = document.as_object().unwrap();
        for pointer in [
            "/foo",
            "/foo/0",
            "/",
            "/a~1b",
            "/c%d",
            "/e^f",
            "/g|h",
            "/i\\j",
            "/k\"l",
            "/ ",
            "/m~0n",
            "/~01",
            "/list/0/1",
            // Not found:
            "/foo/2",
            "/foo/-",
            "/foo/00",
            "/foo/01",
            "/foo/+1",
            "/foo/bar",
            "/foo/0/x",
            "/nope",
            "/foo/",
            "//",
        ] {
            let found = JsonPointer::parse(pointer).unwrap().find(claims);
            assert_eq!(found, document.pointer(pointer), "{pointer}");
        }
        assert_eq!(JsonPointer::parse("/m~0n").unwrap().find(claims), Some(&Value::from(8)));
        for (pointer, problem) in [
            ("", "expected the path of a claim"),
            ("sub", "expected a \"/\" at the start"),
            ("#/sub", "expected a \"/\" at the start"),
            ("/a~", "after each \"~\""),
            ("/a~2b", "after each \"~\""),
            ("/a~~0", "after each \"~\""),
        ] {
            let error = JsonPointer::parse(pointer).unwrap_err().to_string();
            assert!(error.contains(problem) && error.contains(&format!("{pointer:?}")), "{error}");
        }
    }
}
