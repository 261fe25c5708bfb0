//! The closest known name for a misspelled one.

/// Returns the known name that differs least, if it differs little.
pub(crate) fn closest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    const MAX_CHARS: usize = 64;
    let letters: Vec<char> = name.chars().take(MAX_CHARS + 1).collect();
    if letters.len() > MAX_CHARS {
        return None;
    }
    let most = (letters.len() / 3).clamp(1, 3);
    let near = known.into_iter().filter(|known| known.len().abs_diff(name.len()) <= 4 * most);
    let near = near.map(|known| (distance(&letters, known), known)).filter(|(edits, _)| *edits <= most);
    near.min_by_key(|(edits, _)| *edits).map(|(_, known)| known)
}

/// Returns the number of insertions, deletions, replacements, and swaps of neighbors between two names.
///
/// This is the optimal string alignment distance.
fn distance(name: &[char], known: &str) -> usize {
    let mut above: Vec<usize> = (0..=name.len()).collect();
    let (mut before_above, mut before) = (Vec::new(), None);
    for (at, letter) in known.chars().enumerate() {
        let mut row = vec![at + 1];
        let cell = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX - 1);
        for (at, own) in name.iter().enumerate() {
            let replaced = cell(&above, at) + usize::from(*own != letter);
            let mut edits = replaced.min(cell(&above, at + 1) + 1).min(cell(&row, at) + 1);
            let neighbor = at.checked_sub(1).filter(|left| name.get(*left) == Some(&letter) && before == Some(*own));
            if let Some(left) = neighbor {
                edits = edits.min(cell(&before_above, left) + 1);
            }
            row.push(edits);
        }
        (before_above, above, before) = (above, row, Some(letter));
    }
    above.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::closest;

    #[test]
    fn finds_names_with_few_edits() {
        let known = ["workspace", "secrets", "metadata", "forced", "forced_override"];
        for (name, expected) in [
            ("workspce", Some("workspace")),
            ("Workspaces", Some("workspace")),
            ("secret", Some("secrets")),
            ("meta", None),
            ("forcd", Some("forced")),
            ("froced", Some("forced")),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(closest(name, known), expected, "{name}");
        }
        assert_eq!(closest(&"x".repeat(1_000_000), known), None);
    }
}
