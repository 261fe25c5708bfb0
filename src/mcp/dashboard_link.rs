use serde_json::Value;

use crate::{
    analytics::{
        Bucket, Dimension, Field, Measure,
        api::{FROM, TO},
        jiff::{Timestamp, tz::TimeZone},
    },
    view::{Condition, ExploreChoice, RangeChoice, UrlQuery, View, measures::LISTED, segment},
};

use super::{
    arguments::{Arguments, CallRange, ZONE},
    tool_error::ToolError,
};

/// The arguments that choose what an answer shows of the selected requests.
const NOT_CONDITIONS: &[&str] =
    &[FROM, TO, ZONE, "current_page", "page_size", "order_by", "order_by_type", "include_total", "columns"];

/// The arguments that are conditions on a field.
const FIELDS: &[(&str, Field)] = &[
    ("workspace_slug", Field::Workspace),
    ("ai_model", Field::Model),
    ("status_code", Field::Status),
    ("virtual_keys", Field::VirtualKey),
    ("api_key_ids", Field::ApiKey),
];

/// Writes links to the pages of the dashboard that show the same as an answer.
#[derive(Clone, Debug)]
pub(crate) struct DashboardLink {
    /// The address of the dashboard, which ends with a slash. `None` if it is unknown.
    base: Option<String>,
    default_zone: TimeZone,
    now: Timestamp,
    conditions: Vec<Condition>,
    /// The arguments that the URLs of the dashboard cannot express.
    left_out: Vec<String>,
}

impl DashboardLink {
    pub(crate) fn new(base: Option<String>, default_zone: TimeZone, now: Timestamp) -> Self {
        Self { base, default_zone, now, conditions: Vec::new(), left_out: Vec::new() }
    }

    /// Adds the conditions of the arguments of Portkey's endpoints.
    ///
    /// # Errors
    /// Returns an error if an argument is not a list of texts.
    pub(crate) fn select(mut self, arguments: &Arguments) -> Result<Self, ToolError> {
        for name in arguments.names().filter(|name| !NOT_CONDITIONS.contains(name)) {
            let found = match (FIELDS.iter().find(|(field, _)| *field == name), name) {
                (Some((_, field)), _) => match arguments.list(name)?.as_slice() {
                    [] => Some(Vec::new()),
                    [value] => Some(vec![Condition::of_group(&(*field).into(), Some(value))]),
                    _ => None,
                },
                (None, "ai_org_model") => match arguments.list(name)?.as_slice() {
                    [pair] => pair.split_once("__").map(|(provider, model)| {
                        let is = |field: Field, value: &str| Condition::of_group(&field.into(), Some(value));
                        vec![is(Field::Provider, provider), is(Field::Model, model)]
                    }),
                    _ => None,
                },
                (None, "metadata") => tags(arguments.get(name)),
                (None, _) => None,
            };
            self.add(name, found);
        }
        Ok(self)
    }

    /// Adds the conditions of the filters of a query.
    pub(crate) fn filter(mut self, filters: Option<&Value>) -> Self {
        for filter in filters.and_then(Value::as_array).into_iter().flatten() {
            let text = |name: &str| filter.get(name).and_then(Value::as_str).unwrap_or_default();
            let operator = match text("op") {
                "is" => "is",
                "is_not" => "is-not",
                "prefix" => "starts",
                "has" => "has",
                "has_not" => "has-not",
                _ => "",
            };
            let name = text("on").to_owned();
            // A trace is not a dimension, but would be read as the key of a tag.
            let found = Dimension::from_name(&name).and_then(|_| Condition::new(&name, operator, text("value")).ok());
            self.add("filters", found.map(|condition| vec![condition]));
        }
        self
    }

    fn add(&mut self, name: &str, conditions: Option<Vec<Condition>>) {
        match conditions.filter(|found| found.len() + self.conditions.len() <= View::MAX_CONDITIONS) {
            Some(found) => self.conditions.extend(found),
            None if self.left_out.iter().any(|other| other == name) => {}
            None => self.left_out.push(name.to_owned()),
        }
    }

    /// Returns the note about what the links leave out.
    pub(crate) fn note(&self) -> Option<String> {
        match (&self.base, self.left_out.is_empty()) {
            (None, _) => {
                Some("There is no dashboard link, because the public URL of the server is not set.".to_owned())
            }
            (Some(_), true) => None,
            (Some(_), false) => {
                Some(format!("The dashboard link leaves out these arguments: {}.", self.left_out.join(", ")))
            }
        }
    }

    /// Returns the link to a page with the range and the conditions.
    pub(crate) fn page(&self, path: &str, range: &CallRange) -> Option<String> {
        self.with(path, range, &UrlQuery::default())
    }

    /// Returns the link to a page of a thing, which has no range.
    pub(crate) fn thing(&self, folder: &str, id: &str) -> Option<String> {
        Some(format!("{}{folder}/{}", self.base.as_ref()?, segment(id)))
    }

    /// Returns the link to a page without a range.
    pub(crate) fn plain(&self, path: &str) -> Option<String> {
        Some(format!("{}{path}", self.base.as_ref()?))
    }

    /// Returns the link to the page that explores a measure by up to two dimensions.
    pub(crate) fn explore(
        &self,
        range: &CallRange,
        measures: &[String],
        groups: &[String],
        bucket: Option<Bucket>,
    ) -> Option<String> {
        let listed = |name: &String| LISTED.iter().find(|(measure, ..)| measure.to_string() == *name);
        let measure = measures.iter().find_map(listed).map_or(Measure::Cost, |(measure, ..)| measure.clone());
        let mut dimensions = groups.iter().filter_map(|name| Dimension::from_name(name));
        let (group, subgroup) = (dimensions.next(), dimensions.next());
        let limit = ExploreChoice::DEFAULT_LIMIT;
        let choice = ExploreChoice { measure, group, subgroup, limit, bucket, is_cumulative: false };
        self.with("explore", range, &choice.query_string())
    }

    fn with(&self, path: &str, CallRange { choice, zone, .. }: &CallRange, own: &UrlQuery) -> Option<String> {
        let (choice, zone): (&RangeChoice, _) = (choice, zone.clone());
        let view = View::new(choice.clone(), zone, self.conditions.clone(), self.default_zone.clone(), self.now)
            .query_string();
        let mut query = view;
        query.extend(own);
        Some(format!("{}{path}{}", self.base.as_ref()?, query.text()))
    }
}

/// Returns the conditions of an object of tags, which may be JSON in a text.
fn tags(value: Option<&Value>) -> Option<Vec<Condition>> {
    let object = match value? {
        Value::String(text) => serde_json::from_str(text).ok()?,
        other => other.clone(),
    };
    let condition = |(key, value): (&String, &Value)| {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(_) | Value::Bool(_) => value.to_string(),
            _ => return None,
        };
        (!key.is_empty() && !text.is_empty()).then(|| Condition::of_group(&Dimension::tag(key), Some(&text)))
    };
    object.as_object()?.iter().map(condition).collect()
}
