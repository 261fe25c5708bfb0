//! OpenAI's image generation and editing. The counts have the format of [responses](super::openai_responses).
//!
//! <https://platform.openai.com/docs/api-reference/images>

use super::{format::Format, route::Route};
use crate::usage::{
    Operation,
    field::{EventEffect, StreamEvent},
};

pub(super) const FORMAT: Format = Format {
    routes: &[
        Route::certain("/images/generations", Operation::Images, "openai"),
        Route::certain("/images/edits", Operation::Images, "openai"),
        Route::certain("/images/variations", Operation::Images, "openai"),
        Route::tentative("/v1/images", Operation::Images, "openai"),
    ],
    events: &[
        StreamEvent::new("image_generation.completed", EventEffect::Ends),
        StreamEvent::new("image_edit.completed", EventEffect::Ends),
    ],
    text_members: &["b64_json"],
    ..Format::EMPTY
};
