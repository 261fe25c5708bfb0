//! The content of the tables, as a configuration in JSON.

use std::fmt::Write;

use crate::store::{Failure, Session};

/// A section of the configuration, and the statement that returns its names and values.
///
/// The values are those of a configuration file, so that files and tables have the same rules.
const SECTIONS: [(&str, &str); 3] = [
    (
        "workspaces",
        "SELECT slug, jsonb_build_object('metadata', metadata)
             || CASE WHEN name IS NULL THEN '{}' ELSE jsonb_build_object('name', name) END
             || CASE WHEN limits IS NULL THEN '{}' ELSE jsonb_build_object('limits', limits) END
             || CASE WHEN contract IS NULL THEN '{}' ELSE jsonb_build_object('contract', contract) END
         FROM tagging_workspaces",
    ),
    (
        "api_keys",
        "SELECT name, jsonb_build_object(
                 'secrets', jsonb_build_array(
                     jsonb_strip_nulls(jsonb_build_object(
                         'sha256', encode(secret_sha256, 'hex'), 'expires_at', TIME(secret_expires_at)
                     ))
                 ) || CASE WHEN second_sha256 IS NULL THEN '[]' ELSE jsonb_build_array(
                     jsonb_strip_nulls(jsonb_build_object(
                         'sha256', encode(second_sha256, 'hex'), 'expires_at', TIME(second_expires_at)
                     ))
                 ) END,
                 'metadata', metadata, 'forced', forced, 'forced_override', forced_override,
                 'permissions', to_jsonb(permissions), 'disabled', disabled
             )
             || jsonb_strip_nulls(jsonb_build_object('workspace', workspace, 'expires_at', TIME(expires_at)))
             || CASE WHEN claims_allow IS NULL THEN '{}' ELSE jsonb_build_object('claims', jsonb_build_object(
                 'allow', to_jsonb(claims_allow), 'otherwise', claims_otherwise
             )) END
             || CASE WHEN contract IS NULL THEN '{}' ELSE jsonb_build_object('contract', contract) END
         FROM tagging_api_keys",
    ),
    (
        "virtual_keys",
        "SELECT slug, jsonb_strip_nulls(jsonb_build_object(
                 'provider', provider, 'base_url', base_url, 'secret_env', secret_env, 'secret_file', secret_file,
                 'workspaces', to_jsonb(workspaces), 'expires_at', TIME(expires_at)
             ))
         FROM tagging_virtual_keys",
    ),
];

/// Reads all tables as they are at one time.
pub(super) async fn read(session: &Session) -> Result<String, Failure> {
    session.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let mut json = String::from("{");
    for (section, select) in SECTIONS {
        let comma = if json.len() > 1 { "," } else { "" };
        let _ = write!(json, "{comma}\"{section}\":{{");
        append(session, select, &mut json).await?;
        json.push('}');
    }
    json.push('}');
    session.batch_execute("COMMIT").await?;
    Ok(json)
}

/// Appends the rows as members of an object.
async fn append(session: &Session, select: &str, json: &mut String) -> Result<(), Failure> {
    let select = with_times(select);
    let members = format!(
        "SELECT to_json(name)::text || ':' || value::text FROM ({select}) AS rows (name, value) ORDER BY name COLLATE \"C\""
    );
    let rows = session.query(&members, &[]).await?;
    for (at, row) in rows.iter().enumerate() {
        let comma = if at > 0 { "," } else { "" };
        let _ = write!(json, "{comma}{}", row.try_get::<_, &str>(0)?);
    }
    Ok(())
}

/// Replaces `TIME(column)` by an expression for a time of RFC 3339. `-infinity` becomes the start of 1970, and
/// `infinity` no time.
fn with_times(select: &str) -> String {
    let mut parts = select.split("TIME(");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (column, rest) = part.split_once(')').unwrap_or((part, ""));
        // Times of other eras have other texts: a time that cannot be written must not mean that a key never expires.
        let _ = write!(
            text,
            "CASE WHEN {column} < '10000-01-01Z' THEN to_char(greatest({column}, '1970-01-01Z') AT TIME ZONE 'UTC', \
             'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') END{rest}"
        );
    }
    text
}
