use crate::{
    analytics::{
        Basis, RowQuery, TimeRange,
        jiff::{SignedDuration, Timestamp},
    },
    dashboard::{page_error::PageError, page_request::PageRequest, view::RangeChoice},
};

/// The time by which the range that is searched is longer than the data, so that it ends at a whole quarter hour after it.
const QUARTER: SignedDuration = SignedDuration::from_mins(15);

/// The latest request that the caller may see and that meets the conditions, for pages without any.
#[derive(Clone, Debug)]
pub(crate) enum Latest {
    /// Its day, and the page with this day.
    Day { label: String, href: String },
    /// There is none, or it was not found in a short time.
    NoMatch,
    /// The store is empty.
    NoRequests,
}

impl Latest {
    /// Looks for the latest request. The basis is that of an answer without requests.
    pub(crate) async fn find(request: &PageRequest, basis: &Basis) -> Result<Self, PageError> {
        let Some(end) = basis.data_up_to else { return Ok(Self::NoRequests) };
        let view = &request.view;
        let Ok(range) = TimeRange::new(Timestamp::UNIX_EPOCH, end.checked_add(QUARTER).unwrap_or(end)) else {
            return Ok(Self::NoMatch);
        };
        let query = RowQuery::new(range).limit(1);
        let query = view.conditions.iter().map(crate::dashboard::view::Condition::filter).fold(query, RowQuery::filter);
        Ok(match request.state.latest(query, &request.grant).await? {
            None => Self::NoMatch,
            Some(time) => {
                let date = view.zone.to_datetime(time).date();
                let href = view.with_range(RangeChoice::Days(date, date)).query_string().href();
                Self::Day { label: date.strftime("%B %-d, %Y").to_string(), href }
            }
        })
    }
}
