//! An invented format that shows, in tests, that one file and one entry in the list are all that a format takes.

use super::{format::Format, route::Route};
use crate::usage::{
    Operation, Unit,
    field::{EventEffect, Field, StreamEvent},
};

pub(super) const FORMAT: Format = Format {
    routes: &[Route::certain("/v1/acme/{*}/answers", Operation::Chat, "acme")],
    wanted: &[
        ("acme_model", Field::Model),
        ("type", Field::EventType),
        ("bill.words_in", Field::Count("words_in")),
        ("bill.words_out", Field::Count("words_out")),
    ],
    events: &[StreamEvent::marked("bill.final", EventEffect::Ends)],
    marks: &["\"bill"],
    text_members: &["utterance"],
    matches: |reader| reader.has("words_in"),
    read: |reader| {
        reader.set(Unit::InputTokens, &["words_in"]);
        reader.set(Unit::OutputTokens, &["words_out"]);
    },
    ..Format::EMPTY
};
