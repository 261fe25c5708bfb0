use crate::{
    analytics::jiff::Timestamp,
    dashboard::view::{RangeChoice, View},
};

/// The day of the latest request, for pages without any.
#[derive(Clone, Debug)]
pub(crate) struct Latest {
    pub(crate) label: String,
    pub(crate) href: String,
}

impl Latest {
    pub(crate) fn new(view: &View, time: Timestamp) -> Self {
        let date = view.zone.to_datetime(time).date();
        let href = view.with_range(RangeChoice::Days(date, date)).query_string().href();
        Self { label: date.strftime("%B %-d, %Y").to_string(), href }
    }
}
