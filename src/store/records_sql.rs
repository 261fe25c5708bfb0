//! The tables of records, which both databases share.

/// Returns the statements that create the tables and indexes that do not exist yet.
///
/// Tables of earlier versions get them as well, and processes of these versions ignore them.
pub(super) fn create_tables(text: &str, integer: &str) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS tagging_views (
    id {text} PRIMARY KEY NOT NULL,
    name {text} NOT NULL,
    page {text} NOT NULL,
    query {text} NOT NULL,
    owner {text} NOT NULL,
    workspace {text} NOT NULL,
    scope {text} NOT NULL,
    is_shared {integer} NOT NULL,
    created_at {integer} NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS tagging_views_name ON tagging_views (scope, owner, name);
CREATE TABLE IF NOT EXISTS tagging_changes (
    id {text} PRIMARY KEY NOT NULL,
    changed_at {integer} NOT NULL,
    author {text} NOT NULL,
    action {text} NOT NULL,
    subject {text} NOT NULL,
    workspace {text} NOT NULL,
    amount {integer} NOT NULL
);
CREATE INDEX IF NOT EXISTS tagging_changes_workspace ON tagging_changes (workspace, id);
CREATE TABLE IF NOT EXISTS tagging_verifications (
    id {text} PRIMARY KEY NOT NULL,
    verified_at {integer} NOT NULL,
    first_micros {integer} NOT NULL,
    end_micros {integer} NOT NULL,
    differences {integer} NOT NULL,
    details {text} NOT NULL,
    is_rebuild {integer} NOT NULL
);
CREATE TABLE IF NOT EXISTS tagging_limit_rules (
    id {text} PRIMARY KEY NOT NULL,
    kind {text} NOT NULL,
    body {text} NOT NULL,
    workspace {text} NOT NULL,
    created_at {integer} NOT NULL,
    updated_at {integer} NOT NULL,
    created_by {text} NOT NULL,
    revision {integer} NOT NULL
);
CREATE TABLE IF NOT EXISTS tagging_limit_credits (
    id {text} PRIMARY KEY NOT NULL,
    rule {text} NOT NULL,
    series {text} NOT NULL,
    slot {integer} NOT NULL,
    amount {integer} NOT NULL,
    created_at {integer} NOT NULL,
    created_by {text} NOT NULL
);
CREATE INDEX IF NOT EXISTS tagging_limit_credits_slot ON tagging_limit_credits (slot);
CREATE TABLE IF NOT EXISTS tagging_alerts (
    id {text} PRIMARY KEY NOT NULL,
    kind {text} NOT NULL,
    subject {text} NOT NULL,
    body {text} NOT NULL,
    raised_at {integer} NOT NULL,
    attempts {integer} NOT NULL,
    next_attempt_at {integer} NOT NULL,
    lease_until {integer} NOT NULL,
    delivered_at {integer} NOT NULL
);
CREATE INDEX IF NOT EXISTS tagging_alerts_due ON tagging_alerts (delivered_at, next_attempt_at);
CREATE INDEX IF NOT EXISTS tagging_alerts_raised ON tagging_alerts (raised_at);
CREATE INDEX IF NOT EXISTS tagging_alerts_subject ON tagging_alerts (subject, raised_at);"
    )
}
