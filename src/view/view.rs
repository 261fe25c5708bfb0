use jiff::{Timestamp, ToSpan as _, tz::TimeZone};

use crate::analytics::{Query, QueryError, RowQuery, TimeRange, jiff};

use super::{Condition, RangeChoice, UrlQuery};

/// The range, the time zone, and the conditions of a page.
///
/// They are part of the URL of each page. Values that are the default are left out, and the order is fixed, so equal views
/// have equal URLs.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) range: RangeChoice,
    pub(crate) zone: TimeZone,
    pub(crate) conditions: Vec<Condition>,
    /// The zone of the dashboard.
    default_zone: TimeZone,
    now: Timestamp,
}

impl View {
    /// The largest number of conditions.
    pub(crate) const MAX_CONDITIONS: usize = 20;
    /// The parameters of a view.
    pub(crate) const NAMES: &'static [&'static str] = &["r", "tz", "f"];
    /// The parameters that may occur several times.
    pub(crate) const LISTS: &'static [&'static str] = &["f"];
    /// The inputs of the form that adds a condition, and those for a range of days.
    pub(crate) const FORM_NAMES: &'static [&'static str] = &["k", "op", "v", "from", "to"];

    /// Creates a view at a time. `default_zone` is the zone of the dashboard.
    pub(crate) fn new(
        range: RangeChoice,
        zone: TimeZone,
        conditions: Vec<Condition>,
        default_zone: TimeZone,
        now: Timestamp,
    ) -> Self {
        let mut view = Self { range, zone, conditions, default_zone, now };
        view.conditions.sort_by_key(ToString::to_string);
        view.conditions.dedup();
        view
    }

    /// Reads the view of a URL at a time.
    ///
    /// # Errors
    /// Returns an error that names the invalid parameter.
    pub(crate) fn read(query: &UrlQuery, default_zone: &TimeZone, now: Timestamp) -> Result<Self, QueryError> {
        let range = query.get("r").map(RangeChoice::parse).transpose()?.unwrap_or_default();
        let range = match (query.get("from"), query.get("to")) {
            (None, None) => range,
            (Some(from), Some(to)) => RangeChoice::parse(&format!("{from}..{to}"))?,
            _ => return Err(QueryError::invalid("a range of days needs a first and a last day")),
        };
        let zone = query.get("tz").map(|name| {
            TimeZone::get(name).map_err(|_| {
                QueryError::invalid(format!("unknown time zone {name:?}: expected an IANA name, such as Europe/Berlin"))
            })
        });
        let mut conditions = query.all("f").map(Condition::parse).collect::<Result<Vec<_>, _>>()?;
        if let Some(key) = query.get("k") {
            let operator = query.get("op").unwrap_or("is");
            conditions.push(Condition::new(key.trim(), operator, query.get("v").unwrap_or_default())?);
        }
        if conditions.len() > Self::MAX_CONDITIONS {
            return Err(QueryError::invalid(format!("more than {} filters", Self::MAX_CONDITIONS)));
        }
        let zone = zone.transpose()?.unwrap_or_else(|| default_zone.clone());
        Ok(Self::new(range, zone, conditions, default_zone.clone(), now))
    }

    /// Returns the parameters of the URL.
    pub(crate) fn query_string(&self) -> UrlQuery {
        let mut query = UrlQuery::default();
        if self.range != RangeChoice::default() {
            query.push("r", self.range.to_string());
        }
        if self.zone != self.default_zone
            && let Some(name) = self.zone.iana_name()
        {
            query.push("tz", name);
        }
        for condition in &self.conditions {
            query.push("f", condition.to_string());
        }
        query
    }

    /// Returns this view with another range.
    pub(crate) fn with_range(&self, range: RangeChoice) -> Self {
        Self { range, ..self.clone() }
    }

    /// Returns this view with one more condition.
    pub(crate) fn with(&self, condition: Condition) -> Self {
        let mut view = self.clone();
        if !view.conditions.contains(&condition) {
            view.conditions.push(condition);
            view.conditions.sort_by_key(ToString::to_string);
        }
        view
    }

    /// Returns this view without one of its conditions.
    pub(crate) fn without(&self, condition: &Condition) -> Self {
        let mut view = self.clone();
        view.conditions.retain(|other| other != condition);
        view
    }

    /// Returns the time of the page.
    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    pub(crate) fn time_range(&self) -> Result<TimeRange, QueryError> {
        self.range.at(self.now, &self.zone)
    }

    pub(crate) fn previous_range(&self) -> Result<TimeRange, QueryError> {
        self.range.previous(self.now, &self.zone)
    }

    /// Returns the whole month of the last instant of the range.
    pub(crate) fn month(&self) -> Result<RangeChoice, QueryError> {
        self.month_at(0)
    }

    pub(crate) fn month_before(&self) -> Result<RangeChoice, QueryError> {
        self.month_at(-1)
    }

    pub(crate) fn month_after(&self) -> Result<RangeChoice, QueryError> {
        self.month_at(1)
    }

    /// Returns a month, counted from that of the view.
    fn month_at(&self, offset: i32) -> Result<RangeChoice, QueryError> {
        let invalid = |error: jiff::Error| QueryError::invalid(error.to_string());
        let last = self.time_range()?.to() - 1.nanosecond();
        let first = self.zone.to_datetime(last).date().first_of_month();
        let first = first.checked_add(offset.months()).map_err(invalid)?;
        Ok(RangeChoice::Days(first, first.last_of_month()))
    }

    /// Returns a query with the range and the conditions.
    pub(crate) fn query(&self, range: TimeRange) -> Query {
        self.conditions.iter().map(Condition::filter).fold(Query::new(range), Query::filter)
    }

    /// Returns a query for single requests with the range and the conditions.
    pub(crate) fn row_query(&self) -> Result<RowQuery, QueryError> {
        let query = RowQuery::new(self.time_range()?);
        Ok(self.conditions.iter().map(Condition::filter).fold(query, RowQuery::filter))
    }
}
