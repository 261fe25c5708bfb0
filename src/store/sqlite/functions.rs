//! Functions that statements call.

use rusqlite::{
    Connection,
    functions::{Aggregate, Context, FunctionFlags},
};

use crate::{metadata::Metadata, store::rollup::Histogram};

const FLAGS: FunctionFlags = FunctionFlags::SQLITE_UTF8.union(FunctionFlags::SQLITE_DETERMINISTIC);

/// Adds our functions to a connection.
///
/// - `tagging_tag(metadata, key)`: the tag with exactly this key, or `NULL`. SQLite reads some keys as paths.
/// - `tagging_merge(one, other)`: the bins of two histograms together.
/// - `tagging_sum(histogram)`: the bins of all histograms together.
pub(super) fn register(db: &Connection) -> rusqlite::Result<()> {
    db.create_scalar_function("tagging_tag", 2, FLAGS, |context| {
        let raw = context.get_raw(0);
        // Rows without a JSON object were not written by this crate.
        let metadata = raw.as_str().ok().and_then(|text| serde_json::from_str::<Metadata>(text).ok());
        let key: String = context.get(1)?;
        Ok(metadata.and_then(|metadata| metadata.get(&key).map(ToOwned::to_owned)))
    })?;
    db.create_scalar_function("tagging_merge", 2, FLAGS, |context| {
        let mut merged = Histogram::default();
        for at in 0..2 {
            merged.add_bytes(context.get_raw(at).as_blob_or_null().ok().flatten().unwrap_or_default());
        }
        Ok(merged.to_bytes())
    })?;
    db.create_aggregate_function("tagging_sum", 1, FLAGS, Sum)
}

struct Sum;

impl Aggregate<Histogram, Vec<u8>> for Sum {
    fn init(&self, _: &mut Context<'_>) -> rusqlite::Result<Histogram> {
        Ok(Histogram::default())
    }

    fn step(&self, context: &mut Context<'_>, sum: &mut Histogram) -> rusqlite::Result<()> {
        sum.add_bytes(context.get_raw(0).as_blob_or_null().ok().flatten().unwrap_or_default());
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, sum: Option<Histogram>) -> rusqlite::Result<Vec<u8>> {
        Ok(sum.unwrap_or_default().to_bytes())
    }
}
