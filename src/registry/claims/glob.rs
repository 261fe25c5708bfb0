use std::{fmt, str::Chars};

/// A pattern with `*` and `?`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Glob {
    tokens: Box<[Token]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    /// This character.
    Literal(char),
    /// Any one character.
    One,
    /// Any text.
    Any,
}

impl Glob {
    /// Parses a glob. Returns `None` if it ends within an escape.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut tokens = Vec::new();
        let mut letters = text.chars();
        while let Some(letter) = letters.next() {
            tokens.push(match letter {
                '\\' => Token::Literal(letters.next()?),
                '?' => Token::One,
                // Two stars in a row match what one matches.
                '*' if tokens.last() == Some(&Token::Any) => continue,
                '*' => Token::Any,
                other => Token::Literal(other),
            });
        }
        Some(Self { tokens: tokens.into() })
    }

    /// Returns the text that the glob stands for if it matches only one.
    pub(crate) fn literal(&self) -> Option<String> {
        let letters = self.tokens.iter().map(|token| match token {
            Token::Literal(letter) => Some(*letter),
            Token::One | Token::Any => None,
        });
        letters.collect()
    }

    /// Returns the text with which all texts begin that the glob matches, if it matches all texts that begin with it.
    #[cfg(feature = "limit")]
    pub(crate) fn prefix(&self) -> Option<String> {
        let (Token::Any, start) = self.tokens.split_last()? else { return None };
        Self { tokens: start.into() }.literal()
    }

    /// Returns `true` if the glob matches the whole text.
    pub(crate) fn matches(&self, text: &str) -> bool {
        // Only the last star is ever given more text: an earlier one cannot make a match that the last one cannot.
        let mut tokens = &*self.tokens;
        let mut letters = text.chars();
        let mut last_star: Option<(&[Token], Chars<'_>)> = None;
        loop {
            match tokens.split_first() {
                Some((Token::Any, [])) => return true,
                Some((Token::Any, rest)) => {
                    tokens = rest;
                    last_star = Some((rest, letters.clone()));
                    continue;
                }
                Some((token, rest)) => {
                    let mut after = letters.clone();
                    let is_match = match (token, after.next()) {
                        (_, None) => return false,
                        (Token::Literal(expected), Some(letter)) => *expected == letter,
                        (_, Some(_)) => true,
                    };
                    if is_match {
                        (tokens, letters) = (rest, after);
                        continue;
                    }
                }
                None if letters.as_str().is_empty() => return true,
                None => {}
            }
            let Some((rest, start)) = &mut last_star else { return false };
            if start.next().is_none() {
                return false;
            }
            (tokens, letters) = (rest, start.clone());
        }
    }
}

impl fmt::Display for Glob {
    /// Writes a text that parses to the same glob.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for token in &self.tokens {
            match token {
                Token::Literal(letter @ ('*' | '?' | '\\')) => write!(f, "\\{letter}")?,
                Token::Literal(letter) => write!(f, "{letter}")?,
                Token::One => f.write_str("?")?,
                Token::Any => f.write_str("*")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Glob, Token};

    /// Tries every length for every star.
    fn matches_naively(tokens: &[Token], text: &[char]) -> bool {
        match (tokens, text) {
            ([], []) => true,
            ([Token::Any, rest @ ..], _) => (0..=text.len()).any(|at| matches_naively(rest, &text[at..])),
            ([Token::One, rest @ ..], [_, text @ ..]) => matches_naively(rest, text),
            ([Token::Literal(letter), rest @ ..], [first, text @ ..]) => letter == first && matches_naively(rest, text),
            _ => false,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn agrees_with_a_matcher_that_tries_everything(glob in r"[ab?*é]{0,8}", text in "[abé]{0,10}") {
            let glob = Glob::parse(&glob).unwrap();
            let letters: Vec<char> = text.chars().collect();
            prop_assert_eq!(glob.matches(&text), matches_naively(&glob.tokens, &letters));
        }

        #[test]
        fn an_escaped_text_matches_only_itself(text in r"[ab?*\\é=]{0,8}", other in r"[ab?*\\é=]{0,8}") {
            let escaped: String = text.chars().flat_map(|letter| ['\\', letter]).collect();
            let glob = Glob::parse(&escaped).unwrap();
            prop_assert!(glob.matches(&text));
            prop_assert_eq!(glob.matches(&other), other == text);
            prop_assert_eq!(glob.literal(), Some(text));
        }
    }

    #[test]
    fn many_stars_do_not_multiply_the_work() {
        let glob = Glob::parse(&"a*".repeat(60)).unwrap();
        assert!(!glob.matches(&format!("b{}", "a".repeat(5000))));
        assert!(!Glob::parse(&format!("{}b", "*a".repeat(60))).unwrap().matches(&"a".repeat(5000)));
    }

    #[test]
    fn rejects_an_escape_without_a_character() {
        assert_eq!(Glob::parse(r"a\"), None);
        assert!(Glob::parse(r"a\\").unwrap().matches(r"a\"));
    }
}
