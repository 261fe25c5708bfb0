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

/// Returns the number of insertions, deletions, and replacements between two names (Levenshtein).
fn distance(name: &[char], known: &str) -> usize {
    let mut row: Vec<usize> = (0..=name.len()).collect();
    for (at, letter) in known.chars().enumerate() {
        let (mut diagonal, mut left) = (at, at + 1);
        let cells = row.iter_mut();
        for (cell, own) in cells.skip(1).zip(name) {
            let above = *cell;
            let replaced = diagonal + usize::from(*own != letter);
            *cell = replaced.min(above + 1).min(left + 1);
            (diagonal, left) = (above, *cell);
        }
        if let Some(first) = row.first_mut() {
            *first = at + 1;
        }
    }
    row.last().copied().unwrap_or_default()
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
            ("", None),
            ("x", None),
        ] {
            assert_eq!(closest(name, known), expected, "{name}");
        }
        assert_eq!(closest(&"x".repeat(1_000_000), known), None);
    }
}
