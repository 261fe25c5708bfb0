use serde_json::{Map, Value, json};

use crate::{
    analytics::{
        api::{Accepted, EXPORTS, VIRTUAL_KEYS, WORKSPACES},
        jiff::{SignedDuration, Timestamp},
    },
    mcp::{
        answer_basis::AnswerBasis,
        arguments::Arguments,
        member::{Member, members, number, object_schema},
        tool_answer::ToolAnswer,
        tool_error::ToolError,
    },
};

use super::Call;

/// The argument that other tools have for a workspace, in addition to the name in these endpoints.
pub(super) const WORKSPACE_SLUG: &str = "workspace_slug";
/// Keys that expire within this time are counted.
const SOON: SignedDuration = SignedDuration::from_hours(14 * 24);

pub(super) const WORKSPACE: &[Member] = &[
    Member::text("id", "The id."),
    Member::text("slug", "The name for the argument workspace_slug."),
    Member::text("name", "The name for people."),
    Member::text("description", "A description."),
    Member::text("created_at", "The time of creation."),
    Member::text("last_updated_at", "The time of the last change."),
    Member::any("defaults", "An object whose member metadata has the tags of all requests of the workspace."),
    Member::any("usage_limits", "The budgets."),
    Member::any("rate_limits", "The limits on requests or tokens per time."),
];

pub(super) const VIRTUAL_KEY: &[Member] = &[
    Member::text("name", "The name."),
    Member::text("slug", "The name for the argument virtual_keys."),
    Member::text("status", "active, exhausted, or expired."),
    Member::text("expires_at", "The time from which the key no longer works. null if it does not expire."),
    Member::text("provider", "The provider, such as openai."),
    Member::text("note", "A note."),
    Member::text("created_at", "The time of creation."),
    Member::any("usage_limits", "The budget of the key: credit_limit, alert_threshold, and when it is renewed."),
    Member::any("rate_limits", "The limits on requests or tokens per time."),
    Member::any("model_config", "The settings of models."),
];

pub(super) const LOG_EXPORT: &[Member] = &[
    Member::text("id", "The id."),
    Member::text("status", "draft, in_progress, success, failed, or stopped."),
    Member::text("description", "A description."),
    Member::any("filters", "The requests that the export contains."),
    Member::any("requested_data", "The fields of each request."),
    Member::number("total_records", "The number of requests. null until it is known."),
    Member::text("workspace_id", "The workspace."),
    Member::text("created_at", "The time of creation."),
    Member::text("last_updated_at", "The time of the last change."),
    Member::text("created_by", "The person who created it."),
];

/// Returns the schema of a list of things.
pub(super) fn schema(row: &[Member], text: &str) -> Value {
    let properties = json!({
        "object": { "type": "string", "const": "list" },
        "total": { "type": ["number", "null"], "description": "The number of entries on all pages." },
        "data": { "type": "array", "items": object_schema(row, text) }
    });
    ToolAnswer::schema(properties, &["object", "total", "data"])
}

/// What a list needs.
struct Listing {
    path: &'static str,
    accepted: Accepted,
    row: &'static [Member],
    noun: &'static str,
    page: &'static str,
}

pub(super) async fn workspaces(
    call: &Call<'_>,
    arguments: Option<Map<String, Value>>,
) -> Result<ToolAnswer, ToolError> {
    let listing = Listing {
        path: "/admin/workspaces",
        accepted: WORKSPACES,
        row: WORKSPACE,
        noun: "workspaces",
        page: "by/workspace",
    };
    let (_, text, data) = list(call, &listing, arguments).await?;
    Ok(answer(call, &listing, text, data))
}

pub(super) async fn virtual_keys(
    call: &Call<'_>,
    arguments: Option<Map<String, Value>>,
) -> Result<ToolAnswer, ToolError> {
    let listing = Listing {
        path: "/virtual-keys",
        accepted: VIRTUAL_KEYS,
        row: VIRTUAL_KEY,
        noun: "virtual keys",
        page: "by/virtual_key",
    };
    let (rows, text, data) = list(call, &listing, arguments).await?;
    let count = |status: &str| rows.iter().filter(|row| row.get("status").is_some_and(|it| it == status)).count();
    let soon = rows.iter().filter(|row| is_soon(row, call.now)).count();
    let text = format!(
        "{text} Of these, {} are exhausted, {} are expired, and {soon} more expire within 14 days.",
        count("exhausted"),
        count("expired")
    );
    Ok(answer(call, &listing, text, data))
}

/// Returns `true` if a key still works, and expires soon.
fn is_soon(row: &Value, now: Timestamp) -> bool {
    if row.get("status").is_some_and(|status| status == "exhausted" || status == "expired") {
        return false;
    }
    let expires = row.get("expires_at").and_then(Value::as_str).and_then(|text| text.parse::<Timestamp>().ok());
    expires.is_some_and(|expires| expires > now && now.checked_add(SOON).is_ok_and(|soon| expires <= soon))
}

pub(super) async fn log_exports(
    call: &Call<'_>,
    arguments: Option<Map<String, Value>>,
) -> Result<ToolAnswer, ToolError> {
    let listing = Listing {
        path: "/logs/exports",
        accepted: EXPORTS,
        row: LOG_EXPORT,
        noun: "exports of requests",
        page: "requests",
    };
    let (rows, text, data) = list(call, &listing, arguments).await?;
    let ready = rows.iter().filter(|row| row.get("status").is_some_and(|status| status == "success")).count();
    Ok(answer(call, &listing, format!("{text} Of these, {ready} can be downloaded."), data))
}

async fn list(
    call: &Call<'_>,
    listing: &Listing,
    arguments: Option<Map<String, Value>>,
) -> Result<(Vec<Value>, String, Map<String, Value>), ToolError> {
    let has_workspace = listing.accepted.iter().copied().flatten().any(|parameter| parameter.name == "workspace_id");
    let own: &[&str] = if has_workspace { &[WORKSPACE_SLUG] } else { &[] };
    let mut arguments = Arguments::read(arguments, listing.accepted, own)?;
    let slug = arguments.take(WORKSPACE_SLUG);
    let mut query = arguments.query(None)?;
    if let Some(slug) = slug {
        if arguments.get("workspace_id").is_some() {
            return Err(ToolError::invalid("workspace_slug and workspace_id are the same: leave one out"));
        }
        let slug = slug.as_str().ok_or_else(|| ToolError::invalid("workspace_slug: expected a text"))?;
        query.push("workspace_id", slug);
    }
    let reply = call.get(&format!("{}{}", listing.path, query.text())).await?;
    let rows = reply.body.get("data").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let rows: Vec<Value> = rows.iter().map(|row| Value::Object(members(Some(row), listing.row))).collect();
    let total = reply.body.get("total").and_then(number);
    let count = total.as_ref().map_or_else(|| "unknown".to_owned(), ToString::to_string);
    let text = format!("{count} {} in all, {} in this answer.", listing.noun, rows.len());
    let data = Map::from_iter([
        ("object".to_owned(), json!("list")),
        ("total".to_owned(), json!(total)),
        ("data".to_owned(), Value::Array(rows.clone())),
    ]);
    Ok((rows, text, data))
}

fn answer(call: &Call<'_>, listing: &Listing, text: String, data: Map<String, Value>) -> ToolAnswer {
    let link = call.link();
    let basis = AnswerBasis::of_list().with_notes(link.note());
    ToolAnswer::new(text, data, &basis, link.plain(listing.page))
}
