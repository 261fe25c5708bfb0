use std::fmt;

use crate::ConfigError;

use super::{
    key_form::{
        ALPHABET, KeyParts, MAX_PREFIX_CHARS, PUBLIC_ID_CHARS, SECRET_CHARS, checksum, is_api_key, is_prefix, split,
    },
    secret_digest::SecretDigest,
};

/// A new API key, which exists only once: a registry stores its digest.
///
/// Its form is `<prefix>_<public id>_<secret>_<checksum>`. The public id has 12 characters and the secret has 43, of the 62
/// ASCII letters and digits. The secret therefore has 256 bits of entropy. The checksum is the CRC-32 of everything before
/// the last underscore, as eight lowercase hexadecimal digits. Secret scanners recognize a key by it without knowing it.
///
/// ```
/// use tower_tagging::registry::ApiKey;
///
/// let key = ApiKey::generate("gw")?;
/// assert!(key.expose().starts_with("gw_") && ApiKey::is_well_formed(key.expose()));
/// // For the configuration file.
/// let line = format!("secrets = [{{ sha256 = \"{}\" }}]", key.sha256());
/// assert!(!line.contains(key.expose()) && !format!("{key} {key:?}").contains(key.expose()));
/// # Ok::<(), tower_tagging::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct ApiKey {
    text: Box<str>,
}

impl ApiKey {
    /// Creates a key from random numbers of the operating system.
    ///
    /// # Errors
    ///
    /// Returns an error if the prefix does not consist of 1 to 32 ASCII letters, digits, `-`, and `_`, or if the operating
    /// system has no random numbers.
    pub fn generate(prefix: &str) -> Result<Self, ConfigError> {
        if !is_prefix(prefix) {
            return Err(ConfigError::new(format!(
                "invalid prefix of an API key: expected 1 to {MAX_PREFIX_CHARS} ASCII letters, digits, `-`, and `_`"
            )));
        }
        let mut text = format!("{prefix}_");
        push_random(&mut text, PUBLIC_ID_CHARS)?;
        text.push('_');
        push_random(&mut text, SECRET_CHARS)?;
        let checksum = checksum(&text);
        text.push('_');
        text.extend(checksum.chars());
        Ok(Self { text: text.into() })
    }

    /// Returns `true` if the text has the form of a key, with a valid checksum.
    pub fn is_well_formed(text: &str) -> bool {
        is_api_key(text)
    }

    /// Returns the whole key, for its owner.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// Returns the prefix.
    pub fn prefix(&self) -> &str {
        self.parts().map_or("", |parts| parts.prefix)
    }

    /// Returns the public id, which names the key without revealing it.
    pub fn public_id(&self) -> &str {
        self.parts().map_or("", |parts| parts.public_id)
    }

    /// Returns the digest of the whole key, for the configuration.
    pub fn sha256(&self) -> SecretDigest {
        SecretDigest::of(&*self.text)
    }

    fn parts(&self) -> Option<KeyParts<'_>> {
        split(&self.text)
    }
}

/// Appends characters that are evenly distributed over the alphabet.
fn push_random(text: &mut String, mut chars: usize) -> Result<(), ConfigError> {
    /// The greatest multiple of 62 that a byte can hold. Greater bytes would favor the first characters.
    const EVEN: u8 = 248;
    let mut bytes = [0; 64];
    while chars > 0 {
        getrandom::fill(&mut bytes)
            .map_err(|error| ConfigError::new(format!("no random numbers for an API key ({error})")))?;
        let even = bytes.iter().filter(|byte| **byte < EVEN).take(chars);
        let before = text.len();
        text.extend(even.filter_map(|byte| ALPHABET.get(usize::from(byte % 62))).map(|byte| char::from(*byte)));
        chars -= text.len() - before;
    }
    Ok(())
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey")
            .field("prefix", &self.prefix())
            .field("public_id", &self.public_id())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for ApiKey {
    /// Writes the prefix and the public id: `gw_4fQ1xT0bW9zK_…`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}_…", self.prefix(), self.public_id())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::key_form::has_form, ApiKey};

    #[test]
    fn every_key_is_well_formed_and_different() {
        let keys: Vec<ApiKey> = (0..200).map(|_| ApiKey::generate("my_gw-1").unwrap()).collect();
        for key in &keys {
            assert!(ApiKey::is_well_formed(key.expose()), "{key}");
            assert_eq!((key.prefix(), key.public_id().len()), ("my_gw-1", 12));
            assert_eq!(key.expose().len(), "my_gw-1".len() + 1 + 12 + 1 + 43 + 1 + 8);
        }
        let distinct: std::collections::HashSet<&str> = keys.iter().map(ApiKey::expose).collect();
        assert_eq!(distinct.len(), keys.len());
    }

    #[test]
    fn neither_debug_nor_display_shows_the_secret() {
        let key = ApiKey::generate("gw").unwrap();
        let secret = key.expose().split('_').nth(2).unwrap();
        let shown = format!("{key} {key:?} {key:#?} {:?}", key.sha256());
        assert!(!shown.contains(secret) && shown.contains(key.public_id()), "{shown}");
        assert!(!shown.contains(&key.sha256().to_string()));
    }

    #[test]
    fn rejects_prefixes_that_are_not_names() {
        for prefix in ["", "a b", "ä", "a.b", &"x".repeat(33)] {
            assert!(ApiKey::generate(prefix).is_err(), "{prefix}");
        }
    }

    proptest! {
        #[test]
        fn a_changed_character_breaks_the_checksum(at in 0_usize..67, letter in "[0-9A-Za-z]") {
            let key = ApiKey::generate("gw").unwrap();
            let mut changed = key.expose().to_owned();
            prop_assume!(changed[at..=at] != letter && &changed[at..=at] != "_");
            changed.replace_range(at..=at, &letter);
            prop_assert!(!ApiKey::is_well_formed(&changed));
        }

        #[test]
        fn other_texts_do_not_have_the_form(text in ".{0,80}") {
            prop_assert!(!has_form(&text));
        }
    }
}
