//! The tables of sums.

use std::{
    collections::HashMap,
    fmt::Write as _,
    pin::pin,
    sync::LazyLock,
    time::{Duration, SystemTime},
};

use futures_util::TryStreamExt;
use tokio_postgres::{Client, Error, Row, types::ToSql};

use crate::{
    row::Dimension,
    store::{
        rollup::{BUILT, FoundSums, Histogram, RollupBatch, RollupState, Subject, SumColumn, SumRead, Tier, Totals},
        rollup_sql::{additions, aggregates, columns, is_histogram},
    },
};

use super::{locks::ACTIVATION_LOCK, server::Session};

/// The largest number of single buckets that a statement seeks.
const MAX_SEEKS: i64 = 20_000;
/// The bits of a bin that hold its count; see `Histogram::packed`.
const COUNT_BITS: u32 = 48;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;
/// The position of the first sum in a row that was read. The part and the texts precede it.
const FIRST_SUM: usize = 4;
/// The number of bins up to which an update appends bins, which is faster than adding up those that are equal. Reads add
/// them up.
const APPENDED_BINS: usize = 64;

static UPSERT: LazyLock<String> = LazyLock::new(|| {
    let columns = columns();
    let values = columns.iter().map(|column| {
        if is_histogram(column) { format!("added.{column}::bigint[]") } else { format!("added.{column}") }
    });
    let values: Vec<String> = values.collect();
    let lists: Vec<String> =
        (1..).zip(&columns).map(|(place, column)| format!("${place}::{}[]", list_type(column))).collect();
    format!(
        "INSERT INTO tagging_rollups AS stored ({}) SELECT {} FROM unnest({}) AS added ({})
         ON CONFLICT (subject, tier, bucket, first, second, workspace) DO UPDATE SET {}",
        columns.join(", "),
        values.join(", "),
        lists.join(", "),
        columns.join(", "),
        add_excluded()
    )
});

fn list_type(column: &str) -> &'static str {
    match column {
        "first" | "second" | "workspace" => "text",
        // A list of lists would be flattened, so each list is text.
        column if is_histogram(column) => "text",
        _ => "bigint",
    }
}

fn add_excluded() -> String {
    let merge = |column: &str| {
        format!(
            "CASE WHEN excluded.{column} = '{{}}' THEN stored.{column}
             WHEN cardinality(stored.{column}) + cardinality(excluded.{column}) <= {APPENDED_BINS}
                 THEN stored.{column} || excluded.{column}
             ELSE (SELECT array_agg((bin << {COUNT_BITS}) | counted ORDER BY bin) FROM (
                 SELECT packed >> {COUNT_BITS} AS bin, sum(packed & {COUNT_MASK})::bigint AS counted
                 FROM unnest(stored.{column} || excluded.{column}) AS packed GROUP BY 1) AS bins) END"
        )
    };
    additions("stored", merge, "least", "greatest")
}

/// Adds sums to the stored ones, in the order of their key.
pub(super) async fn add(session: &Session, batch: &RollupBatch) -> Result<(), Error> {
    let columns = columns();
    let (mut numbers, mut texts) = (vec![Vec::new(); columns.len()], vec![Vec::new(); columns.len()]);
    for (key, totals) in batch.sorted() {
        let head = [i64::from(key.subject), i64::from(key.tier.number()), key.bucket];
        let times = [totals.first_seen_micros, totals.last_seen_micros];
        let times = times.map(|time| i64::try_from(time).unwrap_or(i64::MAX));
        let mut all_numbers = head.into_iter().chain(totals.sums()).chain(times);
        let names = [&key.first, &key.second, &key.workspace].map(ToString::to_string);
        let histograms = [&totals.latency, &totals.first_token].map(literal);
        let mut all_texts = names.into_iter().chain(histograms);
        for (column, (numbers, texts)) in columns.iter().zip(numbers.iter_mut().zip(&mut texts)) {
            if list_type(column) == "text" {
                texts.extend(all_texts.next());
            } else {
                numbers.extend(all_numbers.next());
            }
        }
    }
    let lists = columns.iter().zip(numbers.iter().zip(&texts));
    let parameters: Vec<&(dyn ToSql + Sync)> = lists
        .map(|(column, (numbers, texts))| -> &(dyn ToSql + Sync) {
            if list_type(column) == "text" { texts } else { numbers }
        })
        .collect();
    let statement = session.prepared(&UPSERT).await?;
    session.execute(&statement, &parameters).await?;
    Ok(())
}

/// Writes a histogram as the text of an array.
fn literal(histogram: &Histogram) -> String {
    let mut text = String::from("{");
    for bin in histogram.packed() {
        let separator = if text.len() > 1 { "," } else { "" };
        let _ = write!(text, "{separator}{bin}");
    }
    text.push('}');
    text
}

pub(super) async fn state(session: &Session) -> Result<RollupState, Error> {
    let statement = "SELECT value FROM tagging_state WHERE name = 'rows_from'";
    let rows_from = session.query_opt(&session.prepared(statement).await?, &[]).await?;
    let rows_from: i64 = rows_from.map_or(Ok(0), |row| row.try_get(0))?;
    let statement = "SELECT id, first, second, live, built_to, since, sealed_0, sealed_1, sealed_2, sealed_3, sealed_4,
             kept_0, kept_1, kept_2, kept_3, kept_4 FROM tagging_subjects ORDER BY id";
    let rows = session.query(&session.prepared(statement).await?, &[]).await?;
    let subjects = rows.iter().map(subject).collect::<Result<_, Error>>()?;
    Ok(RollupState { rows_from: rows_from.unsigned_abs(), subjects })
}

fn subject(row: &Row) -> Result<Subject, Error> {
    let per_tier = |first: usize| -> Result<[i64; 5], Error> {
        Ok([
            row.try_get(first)?,
            row.try_get(first + 1)?,
            row.try_get(first + 2)?,
            row.try_get(first + 3)?,
            row.try_get(first + 4)?,
        ])
    };
    Ok(Subject {
        id: i32::try_from(row.try_get::<_, i64>(0)?).unwrap_or(i32::MAX),
        first: Dimension::from_name(row.try_get(1)?),
        second: Dimension::from_name(row.try_get(2)?),
        live: i16::try_from(row.try_get::<_, i64>(3)?).ok().and_then(Tier::from_number),
        built_to: row.try_get(4)?,
        since: row.try_get(5)?,
        sealed: per_tier(6)?,
        kept: per_tier(11)?,
    })
}

/// Keeps the time from which no rows are deleted, if there are rows before it. No sums are computed from rows meanwhile.
pub(super) async fn raise_rows_from(session: &mut Session, micros: u64) -> Result<(), Error> {
    let step = session.client.transaction().await?;
    step.execute("SELECT pg_advisory_xact_lock($1)", &[&ACTIVATION_LOCK]).await?;
    let statement = "INSERT INTO tagging_state AS stored (name, value) SELECT 'rows_from', $1
         WHERE EXISTS (SELECT FROM tagging_events WHERE requested_at < $2)
         ON CONFLICT (name) DO UPDATE SET value = greatest(stored.value, excluded.value)";
    let time = SystemTime::UNIX_EPOCH + Duration::from_micros(micros);
    step.execute(statement, &[&i64::try_from(micros).unwrap_or(i64::MAX), &time]).await?;
    step.commit().await
}

pub(super) async fn save(client: &Client, subject: &Subject) -> Result<(), Error> {
    let name = |dimension: &Option<Dimension>| dimension.as_ref().map_or_else(String::new, ToString::to_string);
    let (first, second) = (name(&subject.first), name(&subject.second));
    let live = subject.live.map_or(-1, |tier| i64::from(tier.number()));
    let id = i64::from(subject.id);
    let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&id, &first, &second, &live, &subject.built_to, &subject.since];
    for bucket in subject.sealed.iter().chain(&subject.kept) {
        parameters.push(bucket);
    }
    let statement = "INSERT INTO tagging_subjects
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
         ON CONFLICT (id) DO UPDATE SET
             first = excluded.first, second = excluded.second, live = excluded.live, built_to = excluded.built_to,
             since = excluded.since, sealed_0 = excluded.sealed_0, sealed_1 = excluded.sealed_1,
             sealed_2 = excluded.sealed_2, sealed_3 = excluded.sealed_3, sealed_4 = excluded.sealed_4,
             kept_0 = excluded.kept_0, kept_1 = excluded.kept_1, kept_2 = excluded.kept_2, kept_3 = excluded.kept_3,
             kept_4 = excluded.kept_4";
    client.execute(statement, &parameters).await?;
    Ok(())
}

/// Creates the subjects of an empty table, whose sums are complete.
pub(super) async fn create_subjects(
    client: &Client,
    subjects: impl Iterator<Item = Option<Dimension>>,
) -> Result<(), Error> {
    for (id, dimension) in (0..).zip(subjects) {
        save(client, &Subject { built_to: BUILT, ..Subject::new(id, dimension, None) }).await?;
    }
    Ok(())
}

pub(super) async fn forget(client: &Client, subject: i32) -> Result<(), Error> {
    client.execute("DELETE FROM tagging_rollups WHERE subject = $1", &[&i64::from(subject)]).await?;
    client.execute("DELETE FROM tagging_subjects WHERE id = $1", &[&i64::from(subject)]).await?;
    Ok(())
}

pub(super) async fn remove(client: &Client, subject: i32, tier: Tier, from: i64, to: i64) -> Result<(), Error> {
    let statement = "DELETE FROM tagging_rollups WHERE subject = $1 AND tier = $2 AND bucket >= $3 AND bucket < $4";
    client.execute(statement, &[&i64::from(subject), &i64::from(tier.number()), &from, &to]).await?;
    Ok(())
}

pub(super) async fn first_bucket(client: &Client, subject: i32, tier: Tier, from: i64) -> Result<Option<i64>, Error> {
    let statement = "SELECT min(bucket) FROM tagging_rollups WHERE subject = $1 AND tier = $2 AND bucket >= $3";
    client.query_one(statement, &[&i64::from(subject), &i64::from(tier.number()), &from]).await?.try_get(0)
}

pub(super) async fn fold(
    client: &Client,
    subject: i32,
    finer: Tier,
    coarser: Tier,
    from: i64,
    to: i64,
) -> Result<(), Error> {
    let merged = |column: &str| {
        format!(
            "SELECT block, first, second, workspace, array_agg((bin << {COUNT_BITS}) | counted ORDER BY bin) AS bins
             FROM (SELECT r.bucket / $3 AS block, r.first, r.second, r.workspace, packed >> {COUNT_BITS} AS bin,
                     sum(packed & {COUNT_MASK})::bigint AS counted
                 FROM tagging_rollups AS r, unnest(r.{column}) AS packed
                 WHERE r.subject = $1 AND r.tier = $2 AND r.bucket >= $5 AND r.bucket < $6
                 GROUP BY 1, 2, 3, 4, 5) AS counts
             GROUP BY 1, 2, 3, 4"
        )
    };
    let plain = || SumColumn::all().filter(|column| !column.is_histogram());
    let sums = aggregates("r", plain(), total, |_| String::new());
    let named: Vec<String> =
        sums.iter().zip(plain()).map(|(sum, column)| format!("{sum} AS {}", column.name())).collect();
    let copied: Vec<String> = plain().map(|column| format!("s.{}", column.name())).collect();
    let [latency, first_token] = SumColumn::HISTOGRAMS.map(|column| merged(column.name()));
    let statement = format!(
        "INSERT INTO tagging_rollups AS stored ({})
         SELECT s.subject, s.tier, s.bucket, s.first, s.second, s.workspace, {},
             coalesce(l.bins, '{{}}'), coalesce(f.bins, '{{}}')
         FROM (SELECT r.subject, $4::bigint AS tier, r.bucket / $3 AS bucket, r.first, r.second, r.workspace, {}
             FROM tagging_rollups AS r
             WHERE r.subject = $1 AND r.tier = $2 AND r.bucket >= $5 AND r.bucket < $6
             GROUP BY r.subject, r.bucket / $3, r.first, r.second, r.workspace) AS s
         LEFT JOIN ({latency}) AS l
             ON (l.block, l.first, l.second, l.workspace) = (s.bucket, s.first, s.second, s.workspace)
         LEFT JOIN ({first_token}) AS f
             ON (f.block, f.first, f.second, f.workspace) = (s.bucket, s.first, s.second, s.workspace)
         ON CONFLICT (subject, tier, bucket, first, second, workspace) DO UPDATE SET {}",
        columns().join(", "),
        copied.join(", "),
        named.join(", "),
        add_excluded()
    );
    let ratio = coarser.quarters() / finer.quarters();
    let (from, to) = (finer.bucket(coarser.start(from)), finer.bucket(coarser.start(to)));
    let (finer, coarser) = (i64::from(finer.number()), i64::from(coarser.number()));
    client.execute(&statement, &[&i64::from(subject), &finer, &ratio, &coarser, &from, &to]).await?;
    Ok(())
}

/// The clauses `FROM` and `WHERE` that select sums, with the parameters `$1` to `$7`.
struct Source {
    clauses: String,
    spans: [Vec<i64>; 4],
}

fn source(read: &SumRead) -> Source {
    let buckets: i64 = read.spans.iter().map(|span| span.to - span.from).sum();
    let values = read.only_first.as_ref().map_or(0, |values| i64::try_from(values.len()).unwrap_or(i64::MAX));
    let is_seek = read.only_first.is_some() && buckets.saturating_mul(values) <= MAX_SEEKS;
    let mut spans: [Vec<i64>; 4] = Default::default();
    for span in &read.spans {
        // A value is found in each bucket on its own.
        let step = if is_seek { 1 } else { (span.to - span.from).max(1) };
        let mut from = span.from;
        while from < span.to {
            let head = [i64::try_from(span.part).unwrap_or(i64::MAX), i64::from(span.tier.number()), from, from + step];
            spans.iter_mut().zip(head).for_each(|(list, number)| list.push(number));
            from += step;
        }
    }
    let bucket = if is_seek { "r.bucket = span.start" } else { "r.bucket >= span.start AND r.bucket < span.stop" };
    let first = if is_seek {
        // One seek for each value and bucket.
        " CROSS JOIN unnest($6::text[]) AS wanted (first)"
    } else {
        ""
    };
    let condition = if is_seek { "r.first = wanted.first" } else { "($6::text[] IS NULL OR r.first = ANY($6))" };
    let clauses = format!(
        "FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) AS span (part, tier, start, stop){first}
         CROSS JOIN LATERAL (
             SELECT * FROM tagging_rollups AS r
             WHERE r.subject = $1 AND r.tier = span.tier AND {bucket} AND {condition}
                 AND ($7::text[] IS NULL OR r.workspace = ANY($7))
             OFFSET 0) AS r"
    );
    Source { clauses, spans }
}

/// Reads sums, added up by part and value.
pub(super) async fn sums(client: &Client, read: &SumRead) -> Result<Vec<FoundSums>, Error> {
    let Source { clauses, spans: [parts, tiers, starts, stops] } = source(read);
    let (workspace, by_workspace) = if read.by_workspace { ("r.workspace", ", r.workspace") } else { ("''", "") };
    let subject = i64::from(read.subject);
    let parameters: [&(dyn ToSql + Sync); 7] =
        [&subject, &parts, &tiers, &starts, &stops, &read.only_first, &read.only_workspaces];
    let (histograms, plain): (Vec<SumColumn>, Vec<SumColumn>) =
        read.columns.iter().partition(|column| column.is_histogram());
    let sums = aggregates("r", plain.iter().copied(), total, |_| String::new());
    let sums = sums.iter().fold(String::new(), |sums, sum| sums + ", " + sum);
    let statement = format!(
        "SELECT span.part, r.first, r.second, {workspace}{sums} {clauses}
         GROUP BY span.part, r.first, r.second{by_workspace}"
    );
    let rows = client.query(&statement, &parameters).await?;
    let mut found = rows.iter().map(|row| found_sums(row, &plain)).collect::<Result<Vec<_>, _>>()?;
    if !histograms.is_empty() {
        let place = |sums: &FoundSums| (sums.part, sums.first.clone(), sums.second.clone(), sums.workspace.clone());
        let places: HashMap<_, usize> = found.iter().enumerate().map(|(at, sums)| (place(sums), at)).collect();
        let columns = histograms.iter().fold(String::new(), |columns, column| columns + ", r." + column.name());
        // Adding up here is faster than on the server, which would sort all bins.
        let statement = format!("SELECT span.part, r.first, r.second, {workspace}{columns} {clauses}");
        let mut rows = pin!(client.query_raw(&statement, parameters).await?);
        while let Some(row) = rows.try_next().await? {
            let key = (part(&row)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
            let Some(sums) = places.get(&key).and_then(|at| found.get_mut(*at)) else { continue };
            for (at, column) in (FIRST_SUM..).zip(&histograms) {
                let bins: Vec<i64> = row.try_get(at)?;
                match column {
                    SumColumn::Latency => sums.totals.latency.add_packed(bins),
                    _ => sums.totals.first_token.add_packed(bins),
                }
            }
        }
    }
    Ok(found)
}

fn part(row: &Row) -> Result<usize, Error> {
    Ok(usize::try_from(row.try_get::<_, i64>(0)?).unwrap_or(usize::MAX))
}

fn found_sums(row: &Row, columns: &[SumColumn]) -> Result<FoundSums, Error> {
    let mut sums = [0; Totals::SUMS.len()];
    let (mut first_seen, mut last_seen) = (0_i64, 0_i64);
    for (at, column) in (FIRST_SUM..).zip(columns) {
        match column {
            SumColumn::Sum(position) => {
                if let Some(sum) = sums.get_mut(*position) {
                    *sum = row.try_get(at)?;
                }
            }
            SumColumn::FirstSeen => first_seen = row.try_get(at)?,
            SumColumn::LastSeen => last_seen = row.try_get(at)?,
            SumColumn::Latency | SumColumn::FirstToken => {}
        }
    }
    let mut totals = Totals::from_sums(&sums);
    (totals.first_seen_micros, totals.last_seen_micros) = (first_seen.unsigned_abs(), last_seen.unsigned_abs());
    Ok(FoundSums {
        part: part(row)?,
        first: row.try_get(1)?,
        second: row.try_get(2)?,
        workspace: row.try_get(3)?,
        totals,
    })
}

fn total(column: &str) -> String {
    format!("sum({column})::bigint")
}
