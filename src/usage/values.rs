//! Conversions of single JSON values that providers report.

use crate::{body::request_fields::scalar_text, text::cut_name};

/// Returns a JSON string or number as a name of limited length, or `None` if it is empty.
///
/// Azure starts its streams with empty model names.
pub(super) fn name_text(value: &[u8]) -> Option<String> {
    scalar_text(value).filter(|text| !text.is_empty()).map(cut_name)
}

/// Rounds a count to a whole number, or returns `None` if it cannot be a count.
///
/// Cohere writes its counts as floating-point numbers.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "the range is checked"
)]
pub(super) fn whole_number(number: f64) -> Option<u64> {
    (number >= 0.0 && number < u64::MAX as f64).then(|| number.round() as u64)
}

/// Returns the model name at the end of a Bedrock ARN. Other names are returned unchanged.
pub(super) fn without_arn(name: &str) -> &str {
    if name.starts_with("arn:") { name.rsplit('/').next().unwrap_or(name) } else { name }
}

#[cfg(test)]
mod tests {
    use super::{whole_number, without_arn};

    #[test]
    fn rejects_numbers_that_are_not_counts() {
        assert_eq!(whole_number(12.0), Some(12));
        assert_eq!(whole_number(-1.0), None);
        assert_eq!(whole_number(f64::NAN), None);
        assert_eq!(whole_number(1e30), None);
    }

    #[test]
    fn takes_the_model_from_an_arn() {
        assert_eq!(
            without_arn("arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0"),
            "amazon.nova-lite-v1:0"
        );
        assert_eq!(without_arn("gpt-4o"), "gpt-4o");
    }
}
