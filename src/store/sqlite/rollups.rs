//! The tables of sums.

use std::{collections::HashMap, fmt::Write as _, sync::LazyLock};

use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter, types::Value as Stored};

use crate::{
    row::Dimension,
    store::{
        rollup::{BUILT, FoundSums, RollupBatch, RollupState, Subject, SumColumn, SumRead, Tier, Totals},
        rollup_sql::{additions, aggregates, columns},
    },
};

/// The largest number of single buckets that a statement seeks.
const MAX_SEEKS: i64 = 20_000;

static UPSERT: LazyLock<String> = LazyLock::new(|| {
    let places: Vec<String> = (1..=columns().len()).map(|place| format!("?{place}")).collect();
    format!(
        "INSERT INTO tagging_rollups ({}) VALUES ({}) ON CONFLICT DO UPDATE SET {}",
        columns().join(", "),
        places.join(", "),
        add_excluded()
    )
});

fn add_excluded() -> String {
    let merge = |column: &str| format!("tagging_merge(tagging_rollups.{column}, excluded.{column})");
    additions("tagging_rollups", merge, "min", "max")
}

/// Adds sums to the stored ones.
pub(super) fn add(db: &Connection, batch: &RollupBatch) -> rusqlite::Result<()> {
    let mut upsert = db.prepare_cached(&UPSERT)?;
    for (key, totals) in batch.sorted() {
        let mut place = 0;
        let mut next = || {
            place += 1;
            place
        };
        upsert.raw_bind_parameter(next(), key.subject)?;
        upsert.raw_bind_parameter(next(), key.tier.number())?;
        upsert.raw_bind_parameter(next(), key.bucket)?;
        for text in [&key.first, &key.second, &key.workspace] {
            upsert.raw_bind_parameter(next(), &**text)?;
        }
        for sum in totals.sums() {
            upsert.raw_bind_parameter(next(), sum)?;
        }
        for time in [totals.first_seen_micros, totals.last_seen_micros] {
            upsert.raw_bind_parameter(next(), i64::try_from(time).unwrap_or(i64::MAX))?;
        }
        for histogram in [&totals.latency, &totals.first_token] {
            upsert.raw_bind_parameter(next(), histogram.to_bytes())?;
        }
        upsert.raw_execute()?;
    }
    Ok(())
}

pub(super) fn state(db: &Connection) -> rusqlite::Result<RollupState> {
    let mut select = db.prepare_cached("SELECT value FROM tagging_state WHERE name = 'rows_from'")?;
    let rows_from: Option<i64> = select.query_row([], |row| row.get(0)).optional()?;
    let mut select = db.prepare_cached(
        "SELECT id, first, second, live, built_to, since, sealed_0, sealed_1, sealed_2, sealed_3, sealed_4,
             kept_0, kept_1, kept_2, kept_3, kept_4 FROM tagging_subjects ORDER BY id",
    )?;
    let subjects = select.query_map([], subject)?.collect::<rusqlite::Result<_>>()?;
    Ok(RollupState { rows_from: rows_from.map_or(0, i64::unsigned_abs), subjects })
}

fn subject(row: &Row<'_>) -> rusqlite::Result<Subject> {
    let per_tier = |first: usize| -> rusqlite::Result<[i64; 5]> {
        Ok([row.get(first)?, row.get(first + 1)?, row.get(first + 2)?, row.get(first + 3)?, row.get(first + 4)?])
    };
    let dimension = |name: String| Dimension::from_name(&name);
    Ok(Subject {
        id: row.get(0)?,
        first: dimension(row.get(1)?),
        second: dimension(row.get(2)?),
        live: Tier::from_number(row.get(3)?),
        built_to: row.get(4)?,
        since: row.get(5)?,
        sealed: per_tier(6)?,
        kept: per_tier(11)?,
    })
}

/// Keeps the time from which no rows were deleted.
pub(super) fn raise_rows_from(db: &Connection, micros: u64) -> rusqlite::Result<()> {
    db.execute(
        "INSERT INTO tagging_state (name, value) VALUES ('rows_from', ?1)
         ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)",
        [i64::try_from(micros).unwrap_or(i64::MAX)],
    )?;
    Ok(())
}

pub(super) fn save(db: &Connection, subject: &Subject) -> rusqlite::Result<()> {
    let name = |dimension: &Option<Dimension>| dimension.as_ref().map_or_else(String::new, ToString::to_string);
    let live = subject.live.map_or(-1, Tier::number);
    let head: [Stored; 6] = [
        subject.id.into(),
        name(&subject.first).into(),
        name(&subject.second).into(),
        live.into(),
        subject.built_to.into(),
        subject.since.into(),
    ];
    let tiers = subject.sealed.iter().chain(&subject.kept).map(|bucket| Stored::from(*bucket));
    let mut insert = db.prepare_cached(
        "INSERT OR REPLACE INTO tagging_subjects VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
    )?;
    insert.execute(params_from_iter(head.into_iter().chain(tiers)))?;
    Ok(())
}

/// Creates the subjects of an empty table, whose sums are complete.
pub(super) fn create_subjects(
    db: &Connection,
    subjects: impl Iterator<Item = Option<Dimension>>,
) -> rusqlite::Result<()> {
    for (id, dimension) in (0..).zip(subjects) {
        save(db, &Subject { built_to: BUILT, ..Subject::new(id, dimension, None) })?;
    }
    Ok(())
}

pub(super) fn forget(db: &Connection, subject: i32) -> rusqlite::Result<()> {
    db.execute("DELETE FROM tagging_rollups WHERE subject = ?1", [subject])?;
    db.execute("DELETE FROM tagging_subjects WHERE id = ?1", [subject])?;
    Ok(())
}

pub(super) fn remove(db: &Connection, subject: i32, tier: Tier, from: i64, to: i64) -> rusqlite::Result<()> {
    let mut delete = db.prepare_cached(
        "DELETE FROM tagging_rollups WHERE subject = ?1 AND tier = ?2 AND bucket >= ?3 AND bucket < ?4",
    )?;
    delete.execute(params![subject, tier.number(), from, to])?;
    Ok(())
}

pub(super) fn first_bucket(db: &Connection, subject: i32, tier: Tier, from: i64) -> rusqlite::Result<Option<i64>> {
    let mut select =
        db.prepare_cached("SELECT min(bucket) FROM tagging_rollups WHERE subject = ?1 AND tier = ?2 AND bucket >= ?3")?;
    select.query_row(params![subject, tier.number(), from], |row| row.get(0))
}

pub(super) fn fold(
    db: &Connection,
    subject: i32,
    finer: Tier,
    coarser: Tier,
    from: i64,
    to: i64,
) -> rusqlite::Result<()> {
    let sum = |column: &str| format!("sum({column})");
    let sums = aggregates("r", SumColumn::all(), sum, |column| format!("tagging_sum({column})")).join(", ");
    let mut insert = db.prepare_cached(&format!(
        "INSERT INTO tagging_rollups ({})
         SELECT r.subject, ?3, r.bucket / ?4 AS block, r.first, r.second, r.workspace, {sums}
         FROM tagging_rollups AS r
         WHERE r.subject = ?1 AND r.tier = ?2 AND r.bucket >= ?5 AND r.bucket < ?6
         GROUP BY block, r.first, r.second, r.workspace
         ON CONFLICT DO UPDATE SET {}",
        columns().join(", "),
        add_excluded()
    ))?;
    let ratio = coarser.quarters() / finer.quarters();
    let (from, to) = (finer.bucket(coarser.start(from)), finer.bucket(coarser.start(to)));
    insert.execute(params![subject, finer.number(), coarser.number(), ratio, from, to])?;
    Ok(())
}

/// Reads sums, added up by part and value.
pub(super) fn sums(db: &Connection, read: &SumRead) -> rusqlite::Result<Vec<FoundSums>> {
    let buckets: i64 = read.spans.iter().map(|span| span.to - span.from).sum();
    let seeks = read
        .only_first
        .as_ref()
        .filter(|values| buckets.saturating_mul(i64::try_from(values.len()).unwrap_or(i64::MAX)) <= MAX_SEEKS);
    let mut parts = Vec::new();
    let mut spans: Vec<serde_json::Value> = Vec::new();
    for span in &read.spans {
        // A value is found in each bucket on its own.
        let step = if seeks.is_some() { 1 } else { (span.to - span.from).max(1) };
        let mut from = span.from;
        while from < span.to {
            parts.push(span.part);
            spans.push(serde_json::json!([span.tier.number(), from, from + step]));
            from += step;
        }
    }
    let mut parameters: Vec<Stored> = vec![read.subject.into(), serde_json::Value::from(spans).to_string().into()];
    let mut conditions = String::new();
    for (column, only) in [("first", &read.only_first), ("workspace", &read.only_workspaces)] {
        if let Some(only) = only {
            parameters.push(serde_json::Value::from(only.clone()).to_string().into());
            let _ = write!(conditions, " AND r.{column} IN (SELECT value FROM json_each(?{}))", parameters.len());
        }
    }
    let bucket = if seeks.is_some() {
        "r.bucket = span.value ->> 1"
    } else {
        "r.bucket >= span.value ->> 1 AND r.bucket < span.value ->> 2"
    };
    let columns = read.columns.iter().fold(String::new(), |columns, column| columns + ", r." + column.name());
    // Adding up here is faster than `GROUP BY`, which sorts all rows of several spans with all of their columns.
    let mut select = db.prepare_cached(&format!(
        "SELECT span.key, r.first, r.second, r.workspace{columns}
         FROM json_each(?2) AS span CROSS JOIN tagging_rollups AS r
         WHERE r.subject = ?1 AND r.tier = span.value ->> 0 AND {bucket}{conditions}"
    ))?;
    let mut rows = select.query(params_from_iter(parameters))?;
    let mut found = Vec::new();
    let mut places: HashMap<Vec<u8>, usize> = HashMap::new();
    let mut place = Vec::new();
    while let Some(row) = rows.next()? {
        let span = usize::try_from(row.get::<_, i64>(0)?).unwrap_or(usize::MAX);
        let part = parts.get(span).copied().unwrap_or(usize::MAX);
        let text = |at: usize| -> rusqlite::Result<&str> { Ok(row.get_ref(at)?.as_str()?) };
        let texts = [text(1)?, text(2)?, if read.by_workspace { text(3)? } else { "" }];
        place.clear();
        place.extend(part.to_ne_bytes());
        for text in texts {
            place.extend(text.len().to_ne_bytes());
            place.extend(text.as_bytes());
        }
        let at = if let Some(at) = places.get(&place) {
            *at
        } else {
            let [first, second, workspace] = texts.map(ToOwned::to_owned);
            found.push(FoundSums { part, first, second, workspace, totals: Totals::default() });
            places.insert(place.clone(), found.len() - 1);
            found.len() - 1
        };
        if let Some(sums) = found.get_mut(at) {
            add_row(&mut sums.totals, row, &read.columns)?;
        }
    }
    Ok(found)
}

/// Adds the sums of a row, which follow its key.
fn add_row(totals: &mut Totals, row: &Row<'_>, columns: &[SumColumn]) -> rusqlite::Result<()> {
    const FIRST_SUM: usize = 4;
    let mut sums = [0; Totals::SUMS.len()];
    let (mut first_seen, mut last_seen) = (0_i64, 0_i64);
    for (at, column) in (FIRST_SUM..).zip(columns) {
        match column {
            SumColumn::Sum(position) => {
                if let Some(sum) = sums.get_mut(*position) {
                    *sum = row.get(at)?;
                }
            }
            SumColumn::FirstSeen => first_seen = row.get(at)?,
            SumColumn::LastSeen => last_seen = row.get(at)?,
            SumColumn::Latency => totals.latency.add_bytes(row.get_ref(at)?.as_blob()?),
            SumColumn::FirstToken => totals.first_token.add_bytes(row.get_ref(at)?.as_blob()?),
        }
    }
    let mut more = Totals::from_sums(&sums);
    (more.first_seen_micros, more.last_seen_micros) = (first_seen.unsigned_abs(), last_seen.unsigned_abs());
    totals.add(&more);
    Ok(())
}
