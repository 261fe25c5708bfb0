//! What a page of the dashboard shows, as it is written in the URL. Pages read these URLs, and answers to agents link to them.

mod explore_choice;
mod filter_text;
pub(crate) mod measures;
mod range_choice;
mod segment;
mod url_query;
#[allow(clippy::module_inception, reason = "the file is named after its type")]
mod view;

#[cfg(feature = "dashboard")]
pub(crate) use self::filter_text::dimension;
pub(crate) use self::{
    explore_choice::ExploreChoice,
    filter_text::{Condition, short_name},
    range_choice::RangeChoice,
    segment::segment,
    url_query::UrlQuery,
    view::View,
};
