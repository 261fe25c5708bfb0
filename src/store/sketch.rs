/// The number of buckets. The standard error of a sketch is about 0.7 / √512, or 3 %.
const BUCKETS: usize = 512;
/// The number of bits per bucket, which suffices for billions of values.
const RANKS: usize = 24;
/// The size of a sketch in bytes.
pub(super) const SKETCH_BYTES: usize = BUCKETS * RANKS / 8;

/// The approximate number of distinct values, in a fixed 1.5 KiB.
///
/// This is probabilistic counting with stochastic averaging ([Flajolet and Martin 1985][paper]). Each value sets one bit, and
/// one value in 2^(*r* + 1) sets bit *r* of a bucket. So OR merges two sketches, in any order and any number of times, and a
/// database can compute it. The estimate is the maximum likelihood, which needs no corrections for small numbers.
///
/// [paper]: https://doi.org/10.1016/0022-0000(85)90041-8
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sketch {
    /// Bit `rank * BUCKETS + bucket`. The first bit is the highest one of the first byte, as in a bit string of Postgres.
    bytes: Vec<u8>,
}

impl Default for Sketch {
    fn default() -> Self {
        Self::new()
    }
}

impl Sketch {
    /// Creates a sketch of no values.
    pub(super) fn new() -> Self {
        Self { bytes: vec![0; SKETCH_BYTES] }
    }

    /// Creates a sketch from its bytes. Missing bytes count as zero.
    #[cfg(any(test, feature = "postgres", feature = "sqlite"))]
    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        let mut sketch = Self::new();
        sketch.bytes.iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte);
        sketch
    }

    #[cfg(any(test, feature = "postgres", feature = "sqlite"))]
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Counts a value.
    pub(super) fn insert(&mut self, value: &str) {
        let hash = hash(value);
        let bucket = usize::try_from(hash % BUCKETS as u64).unwrap_or_default();
        let rank = usize::try_from((hash / BUCKETS as u64).trailing_zeros()).unwrap_or(RANKS).min(RANKS - 1);
        let bit = rank * BUCKETS + bucket;
        if let Some(byte) = self.bytes.get_mut(bit / 8) {
            *byte |= 0x80 >> (bit % 8);
        }
    }

    /// Counts all values that `other` counted.
    pub(super) fn merge(&mut self, other: &Self) {
        self.bytes.iter_mut().zip(&other.bytes).for_each(|(byte, other)| *byte |= other);
    }

    /// Returns the approximate number of distinct values.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate"
    )]
    pub(super) fn estimate(&self) -> u64 {
        if self.bytes.iter().all(|byte| *byte == 0) {
            return 0;
        }
        // For each rank, the fraction of values that set the bit in one bucket, and the number of buckets with the bit.
        let mut ranks = [(0.0, 0.0); RANKS];
        for (rank, (place, row)) in ranks.iter_mut().zip(self.bytes.chunks_exact(BUCKETS / 8)).enumerate() {
            let part = 0.5_f64.powi(i32::try_from((rank + 1).min(RANKS - 1)).unwrap_or_default());
            let set = row.iter().map(|byte| byte.count_ones()).sum::<u32>();
            *place = (part / BUCKETS as f64, f64::from(set));
        }
        // The derivative of the log-likelihood decreases, and its root is the estimate.
        let slope = |count: f64| -> f64 {
            let terms = ranks.iter().map(|(part, set)| part * (set / (count * part).exp_m1() - (BUCKETS as f64 - set)));
            terms.sum()
        };
        let (mut low, mut high) = (0.5_f64, 1e12_f64);
        for _ in 0..64 {
            let middle = (low * high).sqrt();
            if slope(middle) > 0.0 { low = middle } else { high = middle }
        }
        (low * high).sqrt().round() as u64
    }
}

/// FNV-1a followed by the finalizer of MurmurHash3, which spreads the hash over all bits.
///
/// It must not change within a version of the tables, because sketches of all processes are merged.
fn hash(value: &str) -> u64 {
    let mut hash = value
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values: impl IntoIterator<Item = String>) -> Sketch {
        let mut sketch = Sketch::new();
        values.into_iter().for_each(|value| sketch.insert(&value));
        sketch
    }

    /// The root mean square error over sets of values, as a fraction of their number.
    #[allow(clippy::cast_precision_loss)]
    fn error(count: u64, sets: u64) -> f64 {
        let squares = (0..sets).map(|set| {
            let estimate = of((0..count).map(|value| format!("user-{set}-{value}"))).estimate();
            ((estimate as f64 - count as f64) / count as f64).powi(2)
        });
        (squares.sum::<f64>() / sets as f64).sqrt()
    }

    #[test]
    fn estimates_within_five_percent_at_any_size() {
        assert_eq!(of([]).estimate(), 0);
        for set in 0..200 {
            assert_eq!(of([format!("value {set}")]).estimate(), 1);
            let ten = of((0..10).map(|value| format!("{set}/{value}"))).estimate();
            assert!((8..=12).contains(&ten), "{ten} for 10");
        }
        for (count, sets) in [(100, 100), (1_000, 100), (3_000, 40), (100_000, 20), (1_000_000, 3)] {
            let error = error(count, sets);
            assert!(error < 0.05, "{error} for {count}");
        }
        assert!(of((0..20_000).map(|value| value.to_string())).estimate() > 18_000);
        assert!(Sketch::from_bytes(&[0xff; SKETCH_BYTES]).estimate() > 1_000_000_000, "a full sketch has many values");
    }

    #[test]
    fn keeps_the_hash_of_stored_sketches() {
        assert_eq!(hash(""), 0xefd0_1f60_ba99_2926);
        assert_eq!(hash("a"), 0x82a2_a958_a9be_ce5b);
    }

    proptest! {
        #[test]
        fn merging_counts_the_union(left: Vec<String>, right: Vec<String>) {
            let mut merged = of(left.clone());
            merged.merge(&of(right.clone()));
            prop_assert_eq!(&merged, &of(left.into_iter().chain(right)));
            let again = merged.clone();
            merged.merge(&again);
            prop_assert_eq!(&merged, &Sketch::from_bytes(again.as_bytes()));
        }
    }
}
