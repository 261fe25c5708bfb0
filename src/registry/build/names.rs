use super::super::{
    problem::Problems,
    quote::{is_like_key, quoted},
};

/// Checks the names of a section, which are sorted.
pub(super) fn check<T>(section: &str, items: &[T], name_of: impl Fn(&T) -> &str, problems: &mut Problems) {
    let mut last = None;
    for item in items {
        let name = name_of(item);
        if last == Some(name) {
            problems.add_certain(&[section, name], format!("{} is defined twice", quoted(name)));
        }
        last = Some(name);
        if name.trim().is_empty() || name.chars().any(char::is_control) {
            problems.add_certain(&[section, name], "expected a name of visible characters");
        } else if is_like_key(name) {
            let message = "the name looks like a key: expected a name that events may show";
            problems.add_certain(&[section, name], message);
        }
    }
}
