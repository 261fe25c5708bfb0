use std::sync::LazyLock;

use sketches_ddsketch::Config;

/// The relative error of a quantile.
const RELATIVE_ERROR: f64 = 0.01;
/// The bits of a packed bin that hold the count. The index is above them.
const COUNT_BITS: u32 = 48;
const MAX_COUNT: u64 = (1 << COUNT_BITS) - 1;

static MAPPING: LazyLock<Config> = LazyLock::new(|| Config::new(RELATIVE_ERROR, 2_048, 1.0e-9));

/// The distribution of a duration in whole milliseconds, as the bins of a [DDSketch][paper].
///
/// Merging adds the counts of the bins. So the order in which histograms are merged changes nothing, and a database can
/// merge them too. Quantiles have a relative error of 1 %.
///
/// [paper]: https://arxiv.org/abs/1908.10693
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Histogram {
    /// Index and count of each bin that is not empty, sorted by index. Bin 0 holds the value 0.
    bins: Vec<(u16, u64)>,
}

impl Histogram {
    /// Counts a value.
    pub(crate) fn insert(&mut self, millis: u32) {
        self.add(bin(millis), 1);
    }

    /// Adds the counts of another histogram.
    pub(crate) fn merge(&mut self, other: &Self) {
        if self.bins.is_empty() {
            self.bins.clone_from(&other.bins);
            return;
        }
        for (index, count) in &other.bins {
            self.add(*index, *count);
        }
    }

    fn add(&mut self, index: u16, count: u64) {
        match self.bins.binary_search_by_key(&index, |(index, _)| *index) {
            Ok(at) => {
                if let Some((_, sum)) = self.bins.get_mut(at) {
                    *sum = sum.saturating_add(count).min(MAX_COUNT);
                }
            }
            Err(at) => self.bins.insert(at, (index, count)),
        }
    }

    /// Returns the value below which the share `q` of all values lies. `None` if there are no values.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 ≤ q ≤ 1"
    )]
    pub(crate) fn quantile(&self, q: f64) -> Option<f64> {
        let total: u64 = self.bins.iter().map(|(_, count)| count).sum();
        // The nearest rank: the smallest value that at least this share of all values does not exceed.
        let rank = ((q.clamp(0.0, 1.0) * total as f64).ceil() as u64).max(1).min(total).checked_sub(1)?;
        let mut seen = 0;
        let found = self.bins.iter().find(|(_, count)| {
            seen += count;
            seen > rank
        });
        found.map(|(index, _)| value(*index))
    }
}

/// The form in which Postgres stores a histogram.
#[cfg(any(feature = "postgres", test))]
impl Histogram {
    /// Returns a number for each bin: its index above [`COUNT_BITS`] bits with its count.
    pub(crate) fn packed(&self) -> Vec<i64> {
        let bins = self.bins.iter();
        bins.map(|(index, count)| (i64::from(*index) << COUNT_BITS) | i64::try_from(*count).unwrap_or(0)).collect()
    }

    /// Adds bins that [`packed`](Self::packed) returned.
    pub(crate) fn add_packed(&mut self, bins: impl IntoIterator<Item = i64>) {
        for bin in bins {
            let count = bin.unsigned_abs() & MAX_COUNT;
            self.add(u16::try_from(bin >> COUNT_BITS).unwrap_or(u16::MAX), count);
        }
    }
}

/// The form in which SQLite stores a histogram.
#[cfg(any(feature = "sqlite", test))]
impl Histogram {
    /// Returns the bins as bytes: the distance of each index to the one before, and the count, as LEB128.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.bins.len() * 3);
        let mut last = 0;
        for (index, count) in &self.bins {
            put(&mut bytes, u64::from(index - last));
            put(&mut bytes, *count);
            last = *index;
        }
        bytes
    }

    /// Adds bins that [`to_bytes`](Self::to_bytes) returned. Ignores what follows a broken number.
    pub(crate) fn add_bytes(&mut self, mut bytes: &[u8]) {
        let mut index = 0_u64;
        let mut bins = Vec::new();
        while let (Some(distance), Some(count)) = (take(&mut bytes), take(&mut bytes)) {
            index = index.saturating_add(distance);
            bins.push((u16::try_from(index).unwrap_or(u16::MAX), count));
        }
        self.merge(&Self { bins });
    }
}

#[cfg(any(feature = "sqlite", test))]
fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        bytes.push(0x80 | u8::try_from(number & 0x7f).unwrap_or(0));
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap_or(0));
}

#[cfg(any(feature = "sqlite", test))]
fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn bin(millis: u32) -> u16 {
    match millis {
        0 => 0,
        // The largest value has the bin 1,075.
        millis => u16::try_from(MAPPING.key(f64::from(millis)) + 1).unwrap_or(u16::MAX),
    }
}

fn value(bin: u16) -> f64 {
    match bin {
        0 => 0.0,
        bin => MAPPING.value(i32::from(bin) - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::Histogram;

    fn of(values: impl IntoIterator<Item = u32>) -> Histogram {
        let mut histogram = Histogram::default();
        values.into_iter().for_each(|value| histogram.insert(value));
        histogram
    }

    #[test]
    fn quantiles_have_an_error_of_one_percent() {
        let histogram = of(0..=10_000);
        assert_eq!(Histogram::default().quantile(0.5), None);
        assert_eq!(histogram.quantile(0.0), Some(0.0));
        for (q, expected) in [(0.5, 5_000.0), (0.9, 9_000.0), (0.99, 9_900.0), (1.0, 10_000.0)] {
            let found = histogram.quantile(q).unwrap();
            assert!((found - expected).abs() <= expected * 0.011, "{q}: {found}");
        }
        assert!(of([u32::MAX]).quantile(0.5).unwrap() > 4.2e9);
        // Of two values, the higher percentiles are the larger one.
        let two = of([0, 2_495]);
        assert_eq!(two.quantile(0.5), Some(0.0));
        assert!([0.51, 0.9, 0.99].iter().all(|q| two.quantile(*q).unwrap() > 2_400.0));
    }

    #[test]
    fn merging_equals_counting_together() {
        let mut merged = of((0..500).map(|n| n * 7));
        merged.merge(&of((0..900).map(|n| n * 3)));
        assert_eq!(merged, of((0..900).map(|n| n * 3).chain((0..500).map(|n| n * 7))));
        let mut packed = of([]);
        packed.add_packed(merged.packed());
        assert_eq!(packed, merged);
        let mut read = of([]);
        read.add_bytes(&merged.to_bytes());
        assert_eq!(read, merged);
        read.add_bytes(&[0x80]);
        assert_eq!(read, merged);
    }
}
