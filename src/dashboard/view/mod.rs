//! What a page shows, as it is written in the URL.

mod filter_text;
mod range_choice;
mod url_query;
mod view;

pub(crate) use self::{
    filter_text::{Condition, dimension, short_name},
    range_choice::RangeChoice,
    url_query::UrlQuery,
    view::View,
};
