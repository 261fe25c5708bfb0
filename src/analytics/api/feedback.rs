use std::time::SystemTime;

use axum::{
    Json,
    extract::{Path, State},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{Metadata, metadata::Limits, registry::Permission, store::Feedback};

use super::{api_error::ApiError, caller::Caller, json_body::JsonBody, one_or_many, parameter::NONE, state::ApiState};

/// The largest number of feedback entries of a request.
const MAX_ENTRIES: usize = 100;
/// The longest trace id, in bytes.
const MAX_TRACE_ID: usize = 128;

/// Feedback on the requests of a trace. Other members are ignored.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(expecting = "feedback with a trace_id and a value")]
pub(crate) struct FeedbackForm {
    /// The trace id: the client's own, or the W3C trace id. Required for new feedback.
    #[serde(alias = "traceID", alias = "traceId")]
    trace_id: Option<String>,
    /// The id of feedback to change, for `PUT /feedback`.
    #[serde(alias = "feedbackID", alias = "feedbackId", alias = "id")]
    feedback_id: Option<String>,
    /// A whole number from -10 to 10. Required.
    #[schema(value_type = i8)]
    value: Option<Value>,
    /// From 0 to 1. The default is 1.
    weight: Option<f64>,
    /// Tags of the feedback itself.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
}

/// The feedback that was stored.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FeedbackSaved {
    /// Always `success`.
    status: &'static str,
    message: &'static str,
    feedback_ids: Vec<String>,
}

impl FeedbackSaved {
    fn new(ids: impl IntoIterator<Item = Uuid>) -> Self {
        let feedback_ids = ids.into_iter().map(|id| id.to_string()).collect();
        Self { status: "success", message: "Feedback successfully saved", feedback_ids }
    }
}

/// Answers `POST /feedback`.
pub(crate) async fn create(
    State(api): State<ApiState>,
    caller: Caller,
    JsonBody(body): JsonBody<Value>,
) -> Result<Json<FeedbackSaved>, ApiError> {
    caller.require(Permission::LogsWrite, NONE)?;
    let forms = one_or_many::read::<FeedbackForm>(body, "feedback", MAX_ENTRIES)?;
    let created = forms.into_iter().map(|form| {
        let id = trace_id(form.trace_id.as_deref())?.to_owned();
        let mut feedback = Feedback::new(id, value(form.value.as_ref())?, SystemTime::now());
        form.change(&mut feedback)?;
        feedback.workspace = caller.grant.workspace().map(Into::into);
        Ok(feedback)
    });
    let created: Vec<Feedback> = created.collect::<Result<_, ApiError>>()?;
    let ids: Vec<Uuid> = created.iter().map(|feedback| feedback.id).collect();
    for feedback in created {
        api.analytics.put_feedback(feedback, &caller.grant).await?;
    }
    Ok(Json(FeedbackSaved::new(ids)))
}

/// Answers `PUT /feedback`, with the id in the body.
pub(crate) async fn update(
    State(api): State<ApiState>,
    caller: Caller,
    JsonBody(form): JsonBody<FeedbackForm>,
) -> Result<Json<FeedbackSaved>, ApiError> {
    caller.require(Permission::LogsWrite, NONE)?;
    let id = form.feedback_id.clone();
    let id = id.ok_or_else(|| ApiError::invalid("feedback_id is missing: expected the id of feedback to change"))?;
    change(&api, &caller, &id, form).await
}

/// Answers `PUT /feedback/{id}`.
pub(crate) async fn update_by_id(
    State(api): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(form): JsonBody<FeedbackForm>,
) -> Result<Json<FeedbackSaved>, ApiError> {
    caller.require(Permission::LogsWrite, NONE)?;
    change(&api, &caller, &id, form).await
}

async fn change(
    api: &ApiState,
    caller: &Caller,
    id: &str,
    form: FeedbackForm,
) -> Result<Json<FeedbackSaved>, ApiError> {
    let value = value(form.value.as_ref())?;
    let found = match id.parse::<Uuid>() {
        Ok(id) => api.analytics.feedback_by_id(id).await?,
        Err(_) => None,
    };
    let feedback = found.filter(|feedback| caller.grant.covers_feedback(feedback));
    let mut feedback = feedback.ok_or_else(|| ApiError::not_found("feedback not found"))?;
    feedback.value = value;
    form.change(&mut feedback)?;
    let id = feedback.id;
    api.analytics.put_feedback(feedback, &caller.grant).await?;
    Ok(Json(FeedbackSaved::new([id])))
}

fn trace_id(text: Option<&str>) -> Result<&str, ApiError> {
    let id = text
        .map(str::trim)
        .filter(|id| (1..=MAX_TRACE_ID).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()));
    id.ok_or_else(|| {
        ApiError::invalid(format!("invalid trace_id: expected 1 to {MAX_TRACE_ID} visible ASCII characters"))
    })
}

fn value(value: Option<&Value>) -> Result<i8, ApiError> {
    let number = value.and_then(Value::as_f64).filter(|number| number.fract() == 0.0);
    let whole = (-10..=10_i8).find(|whole| number == Some(f64::from(*whole)));
    whole.ok_or_else(|| ApiError::invalid("invalid value: expected a whole number from -10 to 10"))
}

impl FeedbackForm {
    /// Sets the weight and the tags, if there are any.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the weight is from 0 to 1")]
    fn change(self, feedback: &mut Feedback) -> Result<(), ApiError> {
        if let Some(weight) = self.weight {
            if !(0.0..=1.0).contains(&weight) {
                return Err(ApiError::invalid(format!("invalid weight {weight}: expected a number from 0 to 1")));
            }
            feedback.weight_micros = (weight * 1e6).round() as u32;
        }
        if let Some(members) = self.metadata {
            feedback.metadata = tags(&members)?;
        }
        Ok(())
    }
}

fn tags(members: &Map<String, Value>) -> Result<Metadata, ApiError> {
    let text = |value: &Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    let tags: Metadata = members.iter().filter_map(|(key, value)| Some((key, text(value)?))).collect();
    match Limits::default().check(&tags) {
        Ok(()) => Ok(tags),
        Err(problem) => Err(ApiError::invalid(format!("invalid metadata: {}", problem.code()))),
    }
}
