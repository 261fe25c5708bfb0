use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    sync::Arc,
};

use crate::{
    row::{Dimension, EventRow},
    time::micros_since_1970,
};

use super::{RollupKey, Subject, Tier, Totals, encode_into, quarter_of};

/// The sums of the rows of one transaction.
#[derive(Debug, Default)]
pub(crate) struct RollupBatch {
    texts: Texts,
    sums: HashMap<Place, Totals>,
}

/// The key of sums, with the numbers of its texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Place {
    subject: i32,
    tier: Tier,
    bucket: i64,
    first: usize,
    second: usize,
    workspace: usize,
}

/// The encoded values of a batch, each of which is stored once.
#[derive(Debug, Default)]
struct Texts {
    numbers: HashMap<Arc<str>, usize>,
    by_number: Vec<Arc<str>>,
    buffer: String,
}

impl Texts {
    /// Returns the number of a value.
    fn number(&mut self, value: Option<&str>) -> usize {
        self.buffer.clear();
        encode_into(value, &mut self.buffer);
        if let Some(number) = self.numbers.get(self.buffer.as_str()) {
            return *number;
        }
        let text: Arc<str> = self.buffer.as_str().into();
        let number = self.by_number.len();
        self.by_number.push(Arc::clone(&text));
        self.numbers.insert(text, number);
        number
    }

    fn text(&self, number: usize) -> Arc<str> {
        self.by_number.get(number).cloned().unwrap_or_default()
    }
}

impl RollupBatch {
    /// Adds a row to the sums of all subjects.
    pub(crate) fn add(&mut self, subjects: &[Subject], row: &EventRow) {
        let quarter = quarter_of(micros_since_1970(row.requested_at));
        let totals = Totals::of(row);
        let slim = totals.without_histograms();
        let texts = &mut self.texts;
        let workspace = texts.number(row.workspace.as_deref());
        let mut value = |dimension: &Option<Dimension>| {
            texts.number(dimension.as_ref().and_then(|dimension| dimension.value(row)).as_deref())
        };
        for subject in subjects {
            let mut targets = subject.targets(quarter).peekable();
            if targets.peek().is_none() {
                continue;
            }
            let (first, second) = (value(&subject.first), value(&subject.second));
            let totals = if subject.has_histograms() { &totals } else { &slim };
            for (tier, bucket) in targets {
                let place = Place { subject: subject.id, tier, bucket, first, second, workspace };
                self.sums.entry(place).or_default().add(totals);
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.sums.len()
    }

    /// Returns the sums, sorted by the key of the table.
    pub(crate) fn sorted(&self) -> Vec<(RollupKey, &Totals)> {
        let mut sums: Vec<_> = self.sums.iter().map(|(place, totals)| (self.key(*place), totals)).collect();
        sums.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        sums
    }

    pub(crate) fn into_sums(mut self) -> BTreeMap<RollupKey, Totals> {
        let sums = std::mem::take(&mut self.sums);
        sums.into_iter().map(|(place, totals)| (self.key(place), totals)).collect()
    }

    /// Returns a hash of the values of the dimensions of each of the sums.
    pub(crate) fn value_hashes(&self) -> impl Iterator<Item = u64> {
        let hasher = BuildHasherDefault::<DefaultHasher>::default();
        let values = self.sums.keys().map(|place| (self.texts.text(place.first), self.texts.text(place.second)));
        values.map(move |values| hasher.hash_one(values))
    }

    fn key(&self, place: Place) -> RollupKey {
        let Place { subject, tier, bucket, first, second, workspace } = place;
        let [first, second, workspace] = [first, second, workspace].map(|number| self.texts.text(number));
        RollupKey { subject, tier, bucket, first, second, workspace }
    }
}
