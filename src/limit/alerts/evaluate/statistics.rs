//! Robust statistics.

/// The factor by which the median absolute deviation of a normal distribution estimates its standard deviation.
const SCALE: f64 = 1.4826;

/// Returns the median. `None` without numbers.
pub(super) fn median(numbers: &[f64]) -> Option<f64> {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (upper, lower) = (sorted.len() / 2, sorted.len().checked_sub(1)? / 2);
    Some(f64::midpoint(*sorted.get(lower)?, *sorted.get(upper)?))
}

/// Returns the robust z-score of a number: its distance from the median of the others, in estimated standard deviations.
///
/// The deviation is the median absolute deviation times 1.4826, and at least `floor`, because a few numbers are often equal.
/// See Iglewicz and Hoaglin, "How to Detect and Handle Outliers", 1993.
pub(super) fn robust_z(number: f64, others: &[f64], floor: f64) -> Option<f64> {
    let middle = median(others)?;
    let deviations: Vec<f64> = others.iter().map(|other| (other - middle).abs()).collect();
    let deviation = (median(&deviations)? * SCALE).max(floor);
    (deviation > 0.0).then(|| (number - middle) / deviation)
}

#[cfg(test)]
mod tests {
    use super::{median, robust_z};

    #[test]
    fn medians_of_even_and_odd_numbers() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), Some(2.5));
    }

    #[test]
    fn scores_are_relative_to_the_deviation_or_the_floor() {
        // Median 11, deviations 1, 1, 1, 1.
        let z = robust_z(20.0, &[10.0, 12.0, 10.0, 12.0], 0.5).unwrap();
        assert!((z - 9.0 / 1.4826).abs() < 1e-12, "{z}");
        assert_eq!(robust_z(20.0, &[10.0; 4], 2.0), Some(5.0));
        assert_eq!(robust_z(20.0, &[10.0; 4], 0.0), None);
    }
}
