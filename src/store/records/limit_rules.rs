//! The limits that were created through the API.

use crate::store::{LimitRuleRecord, StoreError};

use super::{LimitRuleSaved, MAX_LIMIT_RULES, RecordRow, RecordSession, RecordValue, RulesRevision};

const COLUMNS: &str = "id, kind, body, workspace, created_at, updated_at, created_by, revision";

/// Returns all rules, the oldest first.
pub(crate) async fn limit_rules(session: &mut impl RecordSession) -> Result<Vec<LimitRuleRecord>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM tagging_limit_rules ORDER BY id");
    Ok(session.read_records(&sql, Vec::new()).await?.iter().map(read).collect())
}

/// Returns a value that differs if the rules or the number of credits differ.
pub(crate) async fn limit_rules_revision(session: &mut impl RecordSession) -> Result<RulesRevision, StoreError> {
    // The remainder keeps the sum of many revisions, which are times in microseconds, within 64 bits.
    let sql = "SELECT count(*), CAST(coalesce(sum(revision % 1000000000000), 0) AS bigint),
                   (SELECT count(*) FROM tagging_limit_credits) FROM tagging_limit_rules";
    let rows = session.read_records(sql, Vec::new()).await?;
    let number = |at: usize| rows.first().map_or(0, |row| row.number(at));
    Ok(RulesRevision([number(0), number(1), number(2)]))
}

pub(crate) async fn add_limit_rule(
    session: &mut impl RecordSession,
    rule: &LimitRuleRecord,
) -> Result<LimitRuleSaved, StoreError> {
    let sql = format!(
        "INSERT INTO tagging_limit_rules ({COLUMNS})
         SELECT ?1, ?2, ?3, ?4, CAST(?5 AS bigint), CAST(?6 AS bigint), ?7, CAST(?8 AS bigint)
         WHERE (SELECT count(*) FROM tagging_limit_rules WHERE workspace = ?4) < ?9
         ON CONFLICT DO NOTHING"
    );
    let values = vec![
        RecordValue::text(&rule.id),
        RecordValue::text(&rule.kind),
        RecordValue::text(&rule.body),
        RecordValue::optional(rule.workspace.as_deref()),
        RecordValue::time(rule.created_at),
        RecordValue::time(rule.updated_at),
        RecordValue::optional(rule.created_by.as_deref()),
        RecordValue::number(rule.revision),
        RecordValue::size(MAX_LIMIT_RULES),
    ];
    let is_saved = session.write_record(&sql, values).await? > 0;
    Ok(if is_saved { LimitRuleSaved::Saved } else { LimitRuleSaved::TooMany })
}

/// Replaces the body of a rule, unless it was changed since a revision.
pub(crate) async fn change_limit_rule(
    session: &mut impl RecordSession,
    rule: &LimitRuleRecord,
    since: u64,
) -> Result<LimitRuleSaved, StoreError> {
    let sql = "UPDATE tagging_limit_rules SET body = ?2, updated_at = ?3, revision = ?4
               WHERE id = ?1 AND revision = ?5";
    let values = vec![
        RecordValue::text(&rule.id),
        RecordValue::text(&rule.body),
        RecordValue::time(rule.updated_at),
        RecordValue::number(rule.revision),
        RecordValue::number(since),
    ];
    let is_saved = session.write_record(sql, values).await? > 0;
    Ok(if is_saved { LimitRuleSaved::Saved } else { LimitRuleSaved::Changed })
}

/// Deletes a rule. Returns `false` if there is none.
pub(crate) async fn delete_limit_rule(session: &mut impl RecordSession, id: &str) -> Result<bool, StoreError> {
    let sql = "DELETE FROM tagging_limit_rules WHERE id = ?1";
    Ok(session.write_record(sql, vec![RecordValue::text(id)]).await? > 0)
}

fn read(row: &RecordRow) -> LimitRuleRecord {
    LimitRuleRecord {
        id: row.text(0),
        kind: row.text(1),
        body: row.text(2),
        workspace: row.optional(3),
        created_at: row.time(4),
        updated_at: row.time(5),
        created_by: row.optional(6),
        revision: row.number(7),
    }
}
