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
    parameter::{EXPORT_FILTERS, find, names},
    parameters::{MAX_VALUES, Parameters, check_text},
    selection::Selection,
    state::ApiState,
};

/// The longest description, in characters.
const MAX_DESCRIPTION: usize = 1_000;
/// The longest slug of a workspace, in bytes.
const MAX_SLUG: usize = 1_024;
/// The largest size of the filters of a job, as JSON in bytes. They are held in memory.
const MAX_FILTERS: usize = 16 * 1_024;
/// The largest number of rows before those of a job. Each of them has to be read.
const MAX_SKIP: u64 = 10 * MAX_ROWS;

/// The definition of an export. Other members are ignored.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(expecting = "an object with the definition of an export")]
pub(crate) struct ExportForm {
    /// The filters have the names of the query parameters of analytics, but `metadata` is an object. `page_size` is the number
    /// of rows, at most 50,000. Pages begin with the oldest requests.
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
        if let Some(slug) = &workspace {
            check_text(slug)?;
            if slug.len() > MAX_SLUG {
                return Err(ApiError::invalid(format!("invalid workspace_id: expected at most {MAX_SLUG} bytes")));
            }
        }
        let description = self.description.or_else(|| old.and_then(|old| old.description.clone()));
        if description.as_ref().is_some_and(|text| text.chars().count() > MAX_DESCRIPTION) {
            return Err(ApiError::invalid(format!("the description has more than {MAX_DESCRIPTION} characters")));
        }
        let fields = match (self.requested_data, old) {
            (None, Some(old)) => old.fields.clone(),
            (names, _) => requested(names, &api.shared.restrictions)?,
        };

        let parameters = parameters(&filters)?;
        let selection = Selection::read(&parameters, grant, &api.shared.zone)?;
        let mut query = selection.filters.into_iter().fold(RowQuery::new(selection.range), RowQuery::filter);
        if let Some(slug) = workspace.as_ref().filter(|_| grant.workspace().is_none()) {
            query = query.filter(Filter::is(Field::Workspace, slug));
        }
        if let Some(feedback) = selection.feedback {
            let traces = api.analytics.traces_with_feedback(feedback, &query.filters, grant).await?;
            if matches!(&traces, Filter::WorkspaceTrace(traces) if traces.len() > MAX_VALUES) {
                return Err(ApiError::invalid(format!(
                    "more than {MAX_VALUES} traces have feedback in this range: use a narrower range of feedback"
                )));
            }
            query = query.filter(traces);
        }
        let rows = parameters.count("page_size")?.unwrap_or(MAX_ROWS);
        if rows == 0 || rows > MAX_ROWS {
            return Err(ApiError::invalid(format!("invalid page_size {rows}: expected a number from 1 to {MAX_ROWS}")));
        }
        let skip = parameters.count("current_page")?.unwrap_or(0).saturating_mul(rows);
        if skip > MAX_SKIP {
            return Err(ApiError::invalid(format!(
                "invalid current_page: expected at most {MAX_SKIP} rows before a page: use a shorter range"
            )));
        }
        Ok(ExportDefinition { filters, query, rows, skip, fields, description, workspace })
    }
}

/// Returns filters of a body as the parameters of a query string.
fn parameters(filters: &Map<String, Value>) -> Result<Parameters, ApiError> {
    let size = serde_json::to_string(filters).map_or(0, |text| text.len());
    if size > MAX_FILTERS {
        return Err(ApiError::invalid(format!("the filters have {size} bytes: expected at most {MAX_FILTERS}")));
    }
    let mut parameters = Parameters::default();
    for (name, value) in filters {
        let parameter = find(EXPORT_FILTERS, name).ok_or_else(|| {
            let expected = names(EXPORT_FILTERS);
            ApiError::invalid(format!("unknown filter {name:?}: expected some of {expected}"))
        })?;
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
        if parameters.get(parameter.name).is_some() {
            return Err(ApiError::invalid(format!("the filter {} is repeated", parameter.name)));
        }
        if !text.is_empty() {
            parameters.push(parameter.name, text);
        }
    }
    Ok(parameters)
}

fn list(name: &str, values: &[Value]) -> Result<String, ApiError> {
    let texts: Option<Vec<String>> = values.iter().map(super::selection::tag_text).collect();
    let texts = texts.ok_or_else(|| ApiError::invalid(format!("invalid filter {name}: expected a list of texts")))?;
    Ok(texts.join(","))
}
