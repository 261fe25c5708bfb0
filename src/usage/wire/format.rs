use super::{route::Route, usage_reader::UsageReader};
use crate::usage::field::{Field, StreamEvent};

/// A wire format: the way in which an API reports what a call used.
///
/// All fields describe JSON documents, whatever framing carries them.
pub(in crate::usage) struct Format {
    /// The request paths that the API defines.
    pub(super) routes: &'static [Route],
    /// The members of response documents that are needed, by their paths: `response.usage`, `choices[].finish_reason`. A
    /// path that ends with `[]` stands for an empty array.
    ///
    /// Paths may be at most five objects deep. Formats that want the same member must agree on its meaning.
    pub(super) wanted: &'static [(&'static str, Field)],
    /// The types of stream events that matter.
    pub(super) events: &'static [StreamEvent],
    /// Texts, one of which occurs in every document of a stream that reports counts, an end, or an error. Documents without
    /// a mark are skipped once the model is known.
    pub(super) marks: &'static [&'static str],
    /// The names of members that are marks unless their value is `null`.
    pub(super) marks_unless_null: &'static [&'static str],
    /// The members with the text of an answer, by which the first token is recognized.
    pub(super) text_members: &'static [&'static str],
    /// The objects with other content of an answer, such as tool calls.
    pub(super) object_members: &'static [&'static str],
    /// Returns `true` if the counts are in this format.
    pub(super) matches: fn(&UsageReader<'_>) -> bool,
    /// Normalizes the counts.
    pub(super) read: fn(&mut UsageReader<'_>),
}

impl Format {
    /// A format without anything, for `..Format::EMPTY`.
    pub(super) const EMPTY: Self = Self {
        routes: &[],
        wanted: &[],
        events: &[],
        marks: &[],
        marks_unless_null: &[],
        text_members: &[],
        object_members: &[],
        matches: |_| false,
        read: |_| (),
    };
}
