use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{
    analytics::{Filter, Grant, RowQuery},
    row::Field,
};

use super::{
    api_error::ApiError,
    export_fields::requested,
    export_job::{ExportDefinition, MAX_ROWS},
    parameters::{Parameters, check_text},
    restrictions::Restrictions,
    selection::{SELECTION, Selection},
    state::ApiState,
};

/// The longest description, in characters.
const MAX_DESCRIPTION: usize = 1_000;

/// The definition of an export. Other members are ignored.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(crate) struct ExportForm {
    /// The filters have the names of the query parameters of analytics, but `metadata` is an object. `page_size` is the number
    /// of rows, at most 50,000.
    #[schema(value_type = Option<Object>)]
    filters: Option<Map<String, Value>>,
    /// The slug of a workspace. Ignored for keys of a workspace.
    workspace_id: Option<String>,
    description: Option<String>,
    /// The fields of each row. The default is all that are allowed.
    requested_data: Option<Vec<String>>,
}

impl ExportForm {
    /// Returns the definition of a new export, or the changed definition of one that exists.
    ///
    /// # Errors
    /// Returns an error that names the part that is not valid.
    pub(crate) async fn define(
        self,
        api: &ApiState,
        grant: &Grant,
        old: Option<&ExportDefinition>,
    ) -> Result<ExportDefinition, ApiError> {
        let filters = self.filters.or_else(|| old.map(|old| old.filters.clone())).unwrap_or_default();
        let workspace = match grant.workspace() {
            Some(own) => Some(own.to_owned()),
            None => self.workspace_id.or_else(|| old.and_then(|old| old.workspace.clone())),
        };
        workspace.iter().try_for_each(|slug| check_text(slug))?;
        let description = self.description.or_else(|| old.and_then(|old| old.description.clone()));
        if description.as_ref().is_some_and(|text| text.chars().count() > MAX_DESCRIPTION) {
            return Err(ApiError::invalid(format!("the description has more than {MAX_DESCRIPTION} characters")));
        }
        let fields = match (self.requested_data, old) {
            (None, Some(old)) => old.fields.clone(),
            (names, _) => requested(names, &Restrictions::of(&api.shared.denied_fields))?,
        };

        let parameters = parameters(&filters)?;
        let selection = Selection::read(&parameters, grant, &api.shared.zone)?;
        let mut query = selection.filters.into_iter().fold(RowQuery::new(selection.range), RowQuery::filter);
        if let Some((min, max)) = selection.feedback {
            query = query.filter(api.analytics.traces_with_feedback(min, max, grant).await?);
        }
        if let Some(slug) = workspace.as_ref().filter(|_| grant.workspace().is_none()) {
            query = query.filter(Filter::is(Field::Workspace, slug));
        }
        let rows = parameters.count("page_size")?.unwrap_or(MAX_ROWS);
        if rows == 0 || rows > MAX_ROWS {
            return Err(ApiError::invalid(format!("invalid page_size {rows}: expected a number from 1 to {MAX_ROWS}")));
        }
        let skip = parameters.count("current_page")?.unwrap_or(0).saturating_mul(rows);
        Ok(ExportDefinition { filters, query, rows, skip, fields, description, workspace })
    }
}

/// Returns filters of a body as the parameters of a query string.
fn parameters(filters: &Map<String, Value>) -> Result<Parameters, ApiError> {
    let mut parameters = Parameters::default();
    for (name, value) in filters {
        if !SELECTION.contains(&name.as_str()) && !["page_size", "current_page"].contains(&name.as_str()) {
            return Err(ApiError::invalid(format!("unknown filter {name:?}")));
        }
        let text = match value {
            Value::Null => continue,
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Object(_) if name == "metadata" => value.to_string(),
            Value::Array(values) => list(name, values)?,
            Value::Bool(_) | Value::Object(_) => {
                return Err(ApiError::invalid(format!("invalid filter {name}: expected a text, a number, or a list")));
            }
        };
        check_text(&text)?;
        if !text.is_empty() {
            parameters.push(name, text);
        }
    }
    Ok(parameters)
}

fn list(name: &str, values: &[Value]) -> Result<String, ApiError> {
    let texts: Option<Vec<String>> = values.iter().map(super::selection::tag_text).collect();
    let texts = texts.ok_or_else(|| ApiError::invalid(format!("invalid filter {name}: expected a list of texts")))?;
    Ok(texts.join(","))
}
