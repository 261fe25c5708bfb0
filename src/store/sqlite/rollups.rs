//! The tables of sums.

use std::sync::LazyLock;

use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter, types::Value as Stored};

use crate::{
    row::Dimension,
    store::{
        rollup::{BUILT, FoundSums, RollupBatch, RollupState, Subject, SumRead, Tier, Totals},
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
    for (key, totals) in batch.iter() {
        let mut place = 0;
        let mut next = || {
            place += 1;
            place
        };
        upsert.raw_bind_parameter(next(), key.subject)?;
        upsert.raw_bind_parameter(next(), key.tier.number())?;
        upsert.raw_bind_parameter(next(), key.bucket)?;
        for text in [&key.first, &key.second, &key.workspace] {
            upsert.raw_bind_parameter(next(), text.as_str())?;
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

pub(super) fn first_bucket(db: &Connection, subject: i32, tier: Tier) -> rusqlite::Result<Option<i64>> {
    let mut select = db.prepare_cached("SELECT min(bucket) FROM tagging_rollups WHERE subject = ?1 AND tier = ?2")?;
    select.query_row(params![subject, tier.number()], |row| row.get(0))
}

pub(super) fn fold(
    db: &Connection,
    subject: i32,
    finer: Tier,
    coarser: Tier,
    from: i64,
    to: i64,
) -> rusqlite::Result<()> {
    let sums = aggregates("r", |column| format!("sum({column})"), |column| format!("tagging_sum(r.{column})"));
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
    let seeks = read.only_first.as_ref().filter(|values| buckets.saturating_mul(values.len() as i64) <= MAX_SEEKS);
    let spans: Vec<serde_json::Value> = read
        .spans
        .iter()
        .flat_map(|span| {
            // A value is found in each bucket on its own.
            let single = (span.from..span.to).map(|bucket| (bucket, bucket + 1));
            let whole = std::iter::once((span.from, span.to));
            let (single, whole) = if seeks.is_some() { (Some(single), None) } else { (None, Some(whole)) };
            let parts = single.into_iter().flatten().chain(whole.into_iter().flatten());
            parts.map(|(from, to)| serde_json::json!([span.part, span.tier.number(), from, to]))
        })
        .collect();
    let mut parameters: Vec<Stored> = vec![read.subject.into(), serde_json::Value::from(spans).to_string().into()];
    let mut conditions = String::new();
    for (column, only) in [("first", &read.only_first), ("workspace", &read.only_workspaces)] {
        if let Some(only) = only {
            parameters.push(serde_json::Value::from(only.clone()).to_string().into());
            conditions += &format!(" AND r.{column} IN (SELECT value FROM json_each(?{}))", parameters.len());
        }
    }
    let bucket = if seeks.is_some() {
        "r.bucket = span.value ->> 2"
    } else {
        "r.bucket >= span.value ->> 2 AND r.bucket < span.value ->> 3"
    };
    let histogram = |column: &str| {
        if read.needs_histograms { format!("tagging_sum(r.{column})") } else { "x''".to_owned() }
    };
    let sums = aggregates("r", |column| format!("sum({column})"), histogram);
    let (workspace, by_workspace) = if read.by_workspace { ("r.workspace", ", r.workspace") } else { ("''", "") };
    let mut select = db.prepare_cached(&format!(
        "SELECT span.value ->> 0 AS part, r.first, r.second, {workspace}, {sums}
         FROM json_each(?2) AS span CROSS JOIN tagging_rollups AS r
         WHERE r.subject = ?1 AND r.tier = span.value ->> 1 AND {bucket}{conditions}
         GROUP BY part, r.first, r.second{by_workspace}"
    ))?;
    let found = select.query_map(params_from_iter(parameters), found_sums)?;
    found.collect()
}

fn found_sums(row: &Row<'_>) -> rusqlite::Result<FoundSums> {
    let first_sum = 4;
    let after_sums = first_sum + Totals::SUMS.len();
    let sums = (first_sum..after_sums).map(|at| row.get(at)).collect::<rusqlite::Result<Vec<i64>>>()?;
    let mut totals = Totals::from_sums(&sums);
    totals.first_seen_micros = row.get::<_, i64>(after_sums)?.unsigned_abs();
    totals.last_seen_micros = row.get::<_, i64>(after_sums + 1)?.unsigned_abs();
    totals.latency.add_bytes(row.get_ref(after_sums + 2)?.as_blob()?);
    totals.first_token.add_bytes(row.get_ref(after_sums + 3)?.as_blob()?);
    Ok(FoundSums {
        part: usize::try_from(row.get::<_, i64>(0)?).unwrap_or(usize::MAX),
        first: row.get(1)?,
        second: row.get(2)?,
        workspace: row.get(3)?,
        totals,
    })
}
