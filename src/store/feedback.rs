use std::time::SystemTime;

use uuid::Uuid;

use crate::metadata::Metadata;

/// A judgment of the requests of a trace, such as a thumbs-up of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Feedback {
    /// The id of the feedback. A second one with the same id replaces the first.
    pub id: Uuid,
    /// The trace id that the feedback refers to: the W3C trace id, or the client's own.
    pub trace_id: String,
    /// The value, from -10 to 10.
    pub value: i8,
    /// The weight of the value, in millionths. It is 1,000,000 by default.
    pub weight_micros: u32,
    /// Tags of the feedback itself.
    pub metadata: Metadata,
    /// The workspace of the caller who gave it. It counts only for requests of this workspace. `None` counts for all.
    pub workspace: Option<String>,
    /// The time at which it was given.
    pub created_at: SystemTime,
}

impl Feedback {
    /// Creates feedback with the weight 1, without tags.
    pub fn new(trace_id: impl Into<String>, value: i8, created_at: SystemTime) -> Self {
        Self {
            id: Uuid::now_v7(),
            trace_id: trace_id.into(),
            value: value.clamp(-10, 10),
            weight_micros: 1_000_000,
            metadata: Metadata::new(),
            workspace: None,
            created_at,
        }
    }
}
