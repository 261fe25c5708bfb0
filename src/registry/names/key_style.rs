use std::borrow::Cow;

/// The form of the keys of tags that clients send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyStyle {
    /// Keys stay as they are.
    #[default]
    Keep,
    /// Keys become lowercase: `User-Id` becomes `user-id`.
    Lower,
    /// Keys become lowercase words with underscores.
    ///
    /// `User-Id`, `userId`, `USER_ID`, and `user id` become `user_id`. Underscores at the start stay: `_user`. Characters
    /// that are neither letters, digits, hyphens, underscores, nor white space stay too: `User.Id` becomes `user.id`.
    Snake,
}

impl KeyStyle {
    /// All styles.
    pub const ALL: &'static [Self] = &[Self::Keep, Self::Lower, Self::Snake];

    /// Returns the name in configuration files, such as `snake`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Lower => "lower",
            Self::Snake => "snake",
        }
    }

    /// Returns the style with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|style| style.as_str() == name)
    }

    /// Returns a key in this style.
    pub fn apply(self, key: &str) -> Cow<'_, str> {
        match self {
            Self::Keep => Cow::Borrowed(key),
            Self::Lower if is_lower(key) => Cow::Borrowed(key),
            Self::Lower => Cow::Owned(key.chars().flat_map(char::to_lowercase).collect()),
            Self::Snake if is_snake(key) => Cow::Borrowed(key),
            Self::Snake => Cow::Owned(snake(key)),
        }
    }
}

fn is_lower(key: &str) -> bool {
    if key.is_ascii() {
        return !key.bytes().any(|byte| byte.is_ascii_uppercase());
    }
    key.chars().all(|letter| letter.to_lowercase().eq([letter]))
}

/// Returns `true` if an ASCII key already is in snake case. May return `false` although it is.
fn is_snake(key: &str) -> bool {
    let mut before = b'_';
    let is_plain = key.trim_start_matches('_').bytes().all(|byte| {
        let is_plain = match byte {
            b'a'..=b'z' | b'0'..=b'9' => true,
            b'_' => before != b'_',
            other => other.is_ascii() && !other.is_ascii_uppercase() && !is_separator(char::from(other)),
        };
        before = byte;
        is_plain
    });
    is_plain && (before != b'_' || key.bytes().all(|byte| byte == b'_'))
}

fn is_separator(letter: char) -> bool {
    matches!(letter, '-' | '_') || letter.is_whitespace()
}

/// Returns `true` for a letter that has a lowercase form.
fn is_capital(letter: char) -> bool {
    letter.is_uppercase() && !letter.to_lowercase().eq([letter])
}

fn snake(key: &str) -> String {
    let rest = key.trim_start_matches('_');
    let start = key.len() - rest.len();
    let mut snake = String::with_capacity(key.len() + 4);
    snake.push_str(key.get(..start).unwrap_or_default());
    let mut before: Option<char> = None;
    let mut letters = rest.chars().peekable();
    while let Some(letter) = letters.next() {
        if is_separator(letter) {
            before = before.map(|_| '_');
            continue;
        }
        // A word starts at the capital in `userId`, and at the last one in `HTTPServer`.
        let is_start = is_capital(letter)
            && before.is_some_and(|before| {
                before.is_lowercase()
                    || before.is_numeric()
                    || is_capital(before) && letters.peek().is_some_and(|next| next.is_lowercase())
            });
        if before == Some('_') || is_start {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
        before = Some(letter);
    }
    // A key of separators only has no other form.
    if snake.is_empty() { key.to_owned() } else { snake }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;

    use super::KeyStyle;

    #[test]
    fn changes_keys_to_the_style() {
        for (key, lower, snake) in [
            ("User-Id", "user-id", "user_id"),
            ("userId", "userid", "user_id"),
            ("USER_ID", "user_id", "user_id"),
            ("user id", "user id", "user_id"),
            ("user_id", "user_id", "user_id"),
            ("userID2", "userid2", "user_id2"),
            ("HTTPServer", "httpserver", "http_server"),
            ("_user", "_user", "_user"),
            ("__User-Id", "__user-id", "__user_id"),
            ("_userId", "_userid", "_user_id"),
            ("a--b__c", "a--b__c", "a_b_c"),
            ("-user-", "-user-", "user"),
            ("user_", "user_", "user"),
            ("v2Beta", "v2beta", "v2_beta"),
            ("gen_ai.Request.Model", "gen_ai.request.model", "gen_ai.request.model"),
            ("---", "---", "---"),
            ("__", "__", "__"),
            ("Ünï-Ködé", "ünï-ködé", "ünï_ködé"),
            ("", "", ""),
        ] {
            assert_eq!(KeyStyle::Keep.apply(key), key);
            assert_eq!(KeyStyle::Lower.apply(key), lower);
            assert_eq!(KeyStyle::Snake.apply(key), snake, "{key}");
        }
    }

    #[test]
    fn keys_that_stay_do_not_allocate() {
        for key in ["_user", "user_id", "a.b:c/d", "__", "tenant2"] {
            for style in KeyStyle::ALL {
                assert!(matches!(style.apply(key), Cow::Borrowed(_)), "{key}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_style_changes_its_own_keys_no_further(key in "[a-cA-C0-1_ .é-]{0,10}|\\PC{0,6}") {
            for style in KeyStyle::ALL {
                let once = style.apply(&key).into_owned();
                prop_assert_eq!(style.apply(&once), once.as_str(), "{:?}", style);
            }
        }
    }
}
