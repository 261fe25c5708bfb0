//! Hosts of models that answer in the format of [chat completions](super::openai_chat) under their own paths: Cloudflare
//! Workers AI and Databricks.
//!
//! <https://developers.cloudflare.com/workers-ai/>, <https://docs.databricks.com/aws/en/machine-learning/model-serving/>

use super::{format::Format, route::Route};
use crate::usage::{
    Operation,
    field::{Field, UsageKind},
};

pub(super) const FORMAT: Format = Format {
    routes: &[
        // On its own, or through Cloudflare's gateway.
        Route::tentative("/{@cf}/{**}", Operation::Chat, "cloudflare"),
        Route::tentative("/serving-endpoints/{*}/invocations", Operation::Chat, "databricks"),
    ],
    wanted: &[("result.model", Field::Model), ("result.usage", Field::Usage(UsageKind::Total))],
    marks: &["\"usage"],
    ..Format::EMPTY
};
