//! Versions in the names of models.

/// Returns a model's name without the date of its version: `-2024-08-06`, `-20240806`, or `@20240806`.
pub(super) fn without_date(model: &str) -> &str {
    let is_digits = |text: &str, count: usize| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some((name, date)) = model.rsplit_once(['-', '@'])
        && is_digits(date, 8)
    {
        return name;
    }
    let mut parts = model.rsplitn(4, '-');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(day), Some(month), Some(year), Some(name))
            if is_digits(day, 2) && is_digits(month, 2) && is_digits(year, 4) =>
        {
            name
        }
        _ => model,
    }
}

#[cfg(test)]
mod tests {
    use super::without_date;

    #[test]
    fn strips_dates_and_nothing_else() {
        for dated in ["gpt-4o-2024-08-06", "gpt-4o-20240806", "gpt-4o@20240806"] {
            assert_eq!(without_date(dated), "gpt-4o");
        }
        for name in ["gpt-4o", "gpt-4-0613", "mistral-large-2411", "2024-08-06", "a-2024-8-6", "", "-"] {
            assert_eq!(without_date(name), name);
        }
    }
}
