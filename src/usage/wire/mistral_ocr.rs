//! Text recognition in documents, as Mistral defined it.
//!
//! <https://docs.mistral.ai/api/endpoint/ocr>

use super::{format::Format, route::Route};
use crate::usage::{
    Operation, Unit,
    field::{Field, UsageKind},
};

pub(super) const FORMAT: Format = Format {
    routes: &[
        Route::certain("/v1/ocr", Operation::Ocr, "mistral"),
        Route::certain("/providers/mistral/azure/ocr", Operation::Ocr, "azure"),
        Route::certain("/paas/**/layout_parsing", Operation::Ocr, "zai"),
    ],
    wanted: &[("usage_info", Field::Usage(UsageKind::Total))],
    marks: &["\"usage"],
    matches: |reader| reader.has("pages_processed"),
    read: |reader| reader.set(Unit::InputDocumentPages, &["pages_processed"]),
    ..Format::EMPTY
};
