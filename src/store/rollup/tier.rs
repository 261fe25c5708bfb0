/// The width of the time buckets of sums.
///
/// All offsets of time zones are multiples of a quarter hour, so quarter hours add up to days in every zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i16)]
pub(crate) enum Tier {
    QuarterHour = 0,
    Hour = 1,
    Day = 2,
    EightDays = 3,
    SixtyFourDays = 4,
}

impl Tier {
    /// All tiers, the finest first.
    pub(crate) const ALL: [Self; 5] = [Self::QuarterHour, Self::Hour, Self::Day, Self::EightDays, Self::SixtyFourDays];

    /// Returns the number that is stored.
    pub(crate) const fn number(self) -> i16 {
        self as i16
    }

    pub(crate) fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|tier| tier.number() == number)
    }

    /// Returns the position in an array with an element per tier.
    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    /// Returns the number of quarter hours in a bucket.
    pub(crate) const fn quarters(self) -> i64 {
        match self {
            Self::QuarterHour => 1,
            Self::Hour => 4,
            Self::Day => 96,
            Self::EightDays => 768,
            Self::SixtyFourDays => 6_144,
        }
    }

    /// Returns the bucket that a quarter hour belongs to. Both are counted from 1970.
    pub(crate) const fn bucket(self, quarter: i64) -> i64 {
        quarter.div_euclid(self.quarters())
    }

    /// Returns the first bucket that begins at or after a quarter hour.
    pub(crate) const fn bucket_after(self, quarter: i64) -> i64 {
        self.bucket(quarter.saturating_add(self.quarters() - 1))
    }

    /// Returns the first quarter hour of a bucket.
    pub(crate) const fn start(self, bucket: i64) -> i64 {
        bucket.saturating_mul(self.quarters())
    }

    /// Returns the next finer tier.
    pub(crate) fn finer(self) -> Option<Self> {
        Self::ALL.get(self.index().checked_sub(1)?).copied()
    }

    /// Returns the coarser tiers, the finest first.
    pub(crate) fn coarser(self) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |tier| *tier > self)
    }
}

/// Microseconds in a quarter hour.
pub(crate) const QUARTER_MICROS: u64 = 15 * 60 * 1_000_000;

/// Returns the quarter hour of a time, counted from 1970.
pub(crate) fn quarter_of(micros: u64) -> i64 {
    i64::try_from(micros / QUARTER_MICROS).unwrap_or(i64::MAX)
}

/// Returns the first microsecond of a quarter hour.
pub(crate) fn quarter_start(quarter: i64) -> u64 {
    u64::try_from(quarter).unwrap_or(0).saturating_mul(QUARTER_MICROS)
}
