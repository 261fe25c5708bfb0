/// The minimum length of a key, in characters. Shorter keys are one edit away from too many others.
const MIN_CHARS: usize = 4;

/// Returns the known key that is equal except for case, or else one that is one edit away.
///
/// See [`Names::typo`](super::Names::typo).
pub(super) fn closest<'k>(key: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let is_long = |key: &str| key.chars().nth(MIN_CHARS - 1).is_some();
    if !is_long(key) {
        return None;
    }
    let mut closest: Option<(u8, &str)> = None;
    for known in known {
        if known == key {
            return None;
        }
        if !is_long(known) || known.len().abs_diff(key.len()) > 8 {
            continue;
        }
        if let Some(edits) = edits(key, known)
            && closest.is_none_or(|best| (edits, known) < best)
        {
            closest = Some((edits, known));
        }
    }
    closest.map(|(_, known)| known)
}

/// Returns the number of edits between two keys if it is zero or one. Case does not count.
fn edits(one: &str, other: &str) -> Option<u8> {
    let mut one = one.chars().flat_map(char::to_lowercase);
    let mut other = other.chars().flat_map(char::to_lowercase);
    loop {
        let (from_one, from_other) = (one.clone(), other.clone());
        match (one.next(), other.next()) {
            (None, None) => return Some(0),
            (left, right) if left == right => {}
            (left, right) => {
                let is_replaced = || left.is_some() && right.is_some() && one.clone().eq(other.clone());
                let is_inserted = || right.is_some() && from_one.eq(other.clone());
                let is_removed = || left.is_some() && one.clone().eq(from_other);
                let is_swapped = || {
                    let (mut one, mut other) = (one.clone(), other.clone());
                    left.is_some() && left == other.next() && right == one.next() && one.eq(other)
                };
                return (is_replaced() || is_inserted() || is_removed() || is_swapped()).then_some(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{closest, edits};

    /// Computes the optimal string alignment distance with the textbook recurrence.
    fn distance(one: &str, other: &str) -> usize {
        let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
        let mut rows = vec![vec![0; other.len() + 1]; one.len() + 1];
        for i in 0..=one.len() {
            for j in 0..=other.len() {
                rows[i][j] = if i == 0 || j == 0 {
                    i + j
                } else {
                    let cost = usize::from(one[i - 1] != other[j - 1]);
                    let mut best = (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + cost);
                    if i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1] {
                        best = best.min(rows[i - 2][j - 2] + 1);
                    }
                    best
                };
            }
        }
        rows[one.len()][other.len()]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn agrees_with_the_textbook_distance(one in "[abc]{0,6}", other in "[abc]{0,6}") {
            let distance = distance(&one, &other);
            prop_assert_eq!(edits(&one, &other).map(usize::from), (distance <= 1).then_some(distance));
        }
    }

    #[test]
    fn finds_one_edit_and_no_more() {
        let known = ["environment", "team", "tenant_id", "_user", "env"];
        for (key, expected) in [
            ("enviroment", Some("environment")),
            ("environmentt", Some("environment")),
            ("enviromnent", Some("environment")),
            ("enviromment", Some("environment")),
            ("enviromen", None),
            ("envrionment", Some("environment")),
            ("Environment", Some("environment")),
            ("TENANT-ID", Some("tenant_id")),
            ("tean", Some("team")),
            ("tea", None),
            ("user", Some("_user")),
            ("envs", None),
            ("team", None),
            ("feature", None),
        ] {
            assert_eq!(closest(key, known), expected, "{key}");
        }
    }

    #[test]
    fn chooses_the_same_key_in_any_order() {
        assert_eq!(closest("rate", ["date", "gate"]), Some("date"));
        assert_eq!(closest("rate", ["gate", "date"]), Some("date"));
        assert_eq!(closest("rate", ["date", "RATE"]), Some("RATE"));
    }
}
