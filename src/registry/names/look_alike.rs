use unicode_normalization::UnicodeNormalization;
use unicode_security::skeleton;

use crate::Metadata;

/// Returns the positions of the tags whose keys a reader could take for those of trusted tags.
///
/// Keys look alike if they are equal without case, white space around them, and invisible characters, after compatibility
/// characters such as `ｕ` are replaced and characters of other scripts are mapped to their prototypes
/// ([UTS #39, section 4](https://www.unicode.org/reports/tr39/#Confusable_Detection)). Two ASCII keys look alike only if
/// they differ in case or white space: `1` and `l` are different names there.
pub(crate) fn look_alikes(tags: &Metadata, is_trusted: &dyn Fn(usize) -> bool) -> Vec<usize> {
    let keys = || tags.iter().map(|(key, _)| key).enumerate();
    let trusted = || keys().filter(|(at, _)| is_trusted(*at)).map(|(_, key)| key);
    // Almost every key differs from all trusted ones in length.
    let (mut lengths, mut is_all_ascii) = (0, true);
    for key in trusted() {
        lengths |= length_bit(key);
        is_all_ascii &= key.is_ascii();
    }
    if lengths == 0 {
        return Vec::new();
    }
    // A prototype takes much longer than a comparison, so each is computed once.
    let mut prototypes: Option<Vec<(&str, String)>> = None;
    let mut trusted_keys = None;
    let mut is_look_alike = |key: &str| {
        if key.is_ascii() && is_all_ascii {
            let key = trimmed(key);
            if lengths & length_bit(key) == 0 {
                return false;
            }
            let trusted = trusted_keys.get_or_insert_with(|| trusted().map(trimmed).collect::<Vec<_>>());
            return trusted.iter().any(|trusted| is_same(key, trusted));
        }
        let prototypes =
            prototypes.get_or_insert_with(|| trusted().map(|trusted| (trusted, prototype(trusted))).collect());
        let own = prototype(key);
        let looks_like = |(trusted, prototype): &(&str, String)| {
            let are_ascii = key.is_ascii() && trusted.is_ascii();
            if are_ascii { is_same(trimmed(key), trimmed(trusted)) } else { own == *prototype }
        };
        prototypes.iter().any(looks_like)
    };
    keys().filter(|(at, key)| !is_trusted(*at) && is_look_alike(key)).map(|(at, _)| at).collect()
}

/// Returns `true` if a key is another one, or looks like it.
pub(crate) fn is_same_or_look_alike(key: &str, trusted: &str) -> bool {
    if key.is_ascii() && trusted.is_ascii() {
        return is_same(trimmed(key), trimmed(trusted));
    }
    key == trusted || prototype(key) == prototype(trusted)
}

/// Compares trimmed ASCII keys.
fn is_same(key: &str, trusted: &str) -> bool {
    key.len() == trusted.len() && key.eq_ignore_ascii_case(trusted)
}

/// Returns a bit for the length of a trimmed ASCII key.
fn length_bit(key: &str) -> u64 {
    1 << trimmed(key).len().min(63)
}

/// Removes white space and control characters around an ASCII key.
fn trimmed(key: &str) -> &str {
    let is_visible = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_graphic);
    let bytes = key.as_bytes();
    if is_visible(bytes.first()) && is_visible(bytes.last()) {
        return key;
    }
    key.trim_matches(|letter: char| letter.is_ascii_whitespace() || letter.is_ascii_control())
}

/// Returns the form in which keys that look alike are equal.
fn prototype(key: &str) -> String {
    // Case is folded through uppercase, because some letters, such as `ſ`, share only their uppercase.
    let folded: String = key.nfkc().flat_map(char::to_uppercase).flat_map(char::to_lowercase).nfkc().collect();
    // The prototype of a lowercase letter may be an uppercase one.
    let prototype: String = skeleton(&folded).flat_map(char::to_lowercase).collect();
    // Controls of annotations are not among the characters that the skeleton ignores.
    let is_visible = |letter: &char| !letter.is_control() && !matches!(letter, '\u{fff9}'..='\u{fffb}');
    let visible: String = skeleton(&prototype).filter(is_visible).collect();
    visible.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::look_alikes;
    use crate::tags;

    fn is_look_alike(key: &str, trusted: &str) -> bool {
        let tags = tags! { key => "1", trusted => "2" };
        let at = tags.iter().position(|(found, _)| found == trusted);
        tags.len() == 2 && look_alikes(&tags, &|position| Some(position) == at).len() == 1
    }

    #[test]
    fn recognizes_look_alikes_of_trusted_keys() {
        for (key, trusted) in [
            ("Tenant_ID", "tenant_id"),
            (" tenant_id", "tenant_id"),
            ("tenant_id\t", "tenant_id"),
            ("tenant\u{fff9}_id", "tenant_id"),
            // Cyrillic.
            ("t\u{435}nant_id", "tenant_id"),
            ("te\u{430}m", "team"),
            ("\u{421}ompany", "company"),
            ("\u{455}ervice", "service"),
            // Greek.
            ("_us\u{3b5}r", "_us\u{3b5}r "),
            ("tenant_\u{3b9}d", "tenant_id"),
            ("c\u{3bf}mpany", "company"),
            ("c\u{39f}mpany", "company"),
            // Fullwidth and mathematical letters.
            ("\u{ff54}eam", "team"),
            ("\u{ff34}\u{ff25}\u{ff21}\u{ff2d}", "team"),
            ("\u{ff3f}user", "_user"),
            ("\u{1d42d}eam", "team"),
            ("\u{24e3}eam", "team"),
            // Invisible characters.
            ("te\u{200b}am", "team"),
            ("team\u{200d}", "team"),
            ("\u{feff}team", "team"),
            ("te\u{ad}am", "team"),
            ("te\u{2060}am", "team"),
            ("team\u{fe0f}", "team"),
            ("te\u{202e}am", "team"),
            ("te\u{34f}am", "team"),
            ("\u{200b} team", "team"),
            ("\u{a0}team\u{2003}", "team"),
            // Combining characters.
            ("e\u{301}quipe", "\u{e9}quipe"),
            ("E\u{301}QUIPE", "\u{e9}quipe"),
            // Case beyond ASCII.
            ("\u{17f}ervice", "service"),
            ("\u{212a}ey", "key"),
            ("stra\u{df}e", "STRASSE"),
            ("\u{130}d", "i\u{307}d"),
        ] {
            assert!(is_look_alike(key, trusted), "{key:?} {trusted:?}");
            assert!(is_look_alike(trusted, key), "{trusted:?} {key:?}");
        }
    }

    #[test]
    fn different_names_do_not_look_alike() {
        for (key, trusted) in [
            ("team", "team"),
            ("tenant_id", "tenant-id"),
            ("tenant_1d", "tenant_ld"),
            ("teams", "team"),
            ("equipe", "\u{e9}quipe"),
            ("t\u{435}ams", "team"),
            ("\u{7528}\u{6237}", "\u{5ba2}\u{6237}"),
            ("", "team"),
            ("\u{200b}", "team"),
        ] {
            assert!(!is_look_alike(key, trusted), "{key:?} {trusted:?}");
        }
    }

    proptest! {
        #[test]
        fn is_symmetric_and_never_true_for_equal_keys(one in "\\PC{0,6}", other in "\\PC{0,6}") {
            prop_assert_eq!(is_look_alike(&one, &other), is_look_alike(&other, &one));
            prop_assert!(!is_look_alike(&one, &one));
        }
    }
}
