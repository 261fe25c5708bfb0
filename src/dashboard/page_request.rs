use std::{ops::RangeInclusive, sync::Arc};

use axum::response::{IntoResponse, Redirect, Response};
use http::request::Parts;
use tokio::sync::OnceCell;

use crate::{
    analytics::{
        Amount, Basis, Dimension, Field, Grant, KeyInfo, Measure, Query, SavedView, TimeRange, jiff::Timestamp,
    },
    registry::Permission,
};

use super::{
    earlier::Earlier,
    frame::{Frame, SaveForm, TrustLine, viewer},
    mount::Mount,
    page_context::{PageContext, Verified},
    page_error::PageError,
    state::DashboardState,
    view::{UrlQuery, View},
};

/// The largest number of keys whose use is looked up for viewers who do not see everything.
const MAX_KEYS: usize = 30;
/// The numbers of values that a chart can show.
const CHARTABLE: RangeInclusive<u64> = 2..=100;
/// The numbers of values that a chart shows best.
const MANY: RangeInclusive<u64> = 4..=20;

/// A request for a page: who sees it, and what.
#[derive(Clone, Debug)]
pub(crate) struct PageRequest {
    pub(crate) state: DashboardState,
    pub(crate) grant: Grant,
    pub(crate) view: View,
    /// All parameters of the URL.
    pub(crate) query: UrlQuery,
    pub(crate) mount: Mount,
    /// The name of the caller.
    pub(crate) caller: Option<String>,
    /// The views that the caller may use.
    pub(crate) views: Arc<Vec<SavedView>>,
    verified: Verified,
    viewer: String,
    /// `true` if the caller signed in with the form.
    is_signed_in: bool,
    /// The path of the page, relative to the dashboard.
    path: String,
    raw: String,
    names: OnceCell<Vec<String>>,
}

impl PageRequest {
    /// Reads a request for a page, whose own parameters are `names`.
    ///
    /// # Errors
    /// Returns an error if the caller may not see the page, or if the URL is not valid.
    pub(crate) fn read(
        state: &DashboardState,
        head: &Parts,
        permission: Permission,
        names: &[&str],
    ) -> Result<Self, PageError> {
        let context = head.extensions.get::<PageContext>().cloned();
        let (grant, caller, views, verified) = match context {
            Some(PageContext { grant, caller, views, verified }) => (grant?, caller, views, verified),
            None => (state.access.grant(head)?, None, Arc::default(), Verified::Unknown),
        };
        if !grant.allows(permission) {
            return Err(PageError::forbidden(format!("This page needs the permission {permission}.")));
        }
        let raw = head.uri.query().unwrap_or_default().to_owned();
        let query = UrlQuery::parse(&raw)?;
        query.check_names(&[View::NAMES, View::FORM_NAMES, names])?;
        query.check_repeats(View::LISTS)?;
        let view = View::read(&query, &state.zone, Timestamp::now())?;
        let viewer = viewer(head, &grant);
        let mount = Mount::of(&head.extensions, &head.uri);
        let path = head.uri.path().trim_start_matches('/').to_owned();
        Ok(Self {
            state: state.clone(),
            grant,
            view,
            query,
            mount,
            caller,
            views,
            verified,
            viewer,
            is_signed_in: state.sign_in.as_ref().is_some_and(|sign_in| sign_in.is_signed_in(&head.headers)),
            path,
            raw,
            names: OnceCell::new(),
        })
    }

    /// Returns the redirect to the URL with the parameters in their order and without defaults, unless it is this one.
    /// `own` are the parameters of the page that are not the default.
    pub(crate) fn canonical(&self, own: &UrlQuery) -> Option<Response> {
        let mut query = self.view.query_string();
        query.extend(own);
        let text = query.text();
        if text.trim_start_matches('?') == self.raw {
            return None;
        }
        Some(Redirect::to(&format!("{}{text}", self.mount.page)).into_response())
    }

    /// Returns the frame of a page.
    pub(crate) fn frame(&self, title: impl Into<String>, section: &str) -> Frame {
        Frame::new(title, section, &self.mount, self.viewer.clone(), &self.view, &self.views)
            .with_sign_out(self.caller.clone().filter(|_| self.is_signed_in))
    }

    /// Returns the line about the data of an answer.
    pub(crate) fn trust(&self, basis: &Basis) -> TrustLine {
        // The counts are those of all tenants.
        let counts = if self.grant.filters().is_empty() { self.state.event_counts() } else { None };
        TrustLine::new(&self.view, basis, counts, &self.verified)
    }

    /// Returns the frame of a page with the filters.
    pub(crate) async fn filtered_frame(&self, title: &str, section: &str, own: &UrlQuery) -> Result<Frame, PageError> {
        let frame = self.frame(title, section).with_filters(&self.view, self.key_names().await?.to_vec(), own);
        if self.caller.is_none() {
            return Ok(frame);
        }
        let mut query = self.view.query_string();
        query.extend(own);
        let query = query.text().trim_start_matches('?').to_owned();
        Ok(frame.with_save(SaveForm { page: self.path.clone(), query }))
    }

    /// Returns whether a period can be compared with an earlier one: whether the requests of the caller began before it.
    pub(crate) async fn earlier(&self, previous: &TimeRange) -> Result<Earlier, PageError> {
        let start = self.state.history_start(previous.clone(), &self.grant).await?;
        Ok(Earlier::new(previous, start))
    }

    /// Returns the dimension of the breakdown of the overview: the active key with the most requests among those whose
    /// values fit into a chart, or else the model.
    pub(crate) async fn first_dimension(&self) -> Result<Dimension, PageError> {
        let keys = self.state.keys().await?;
        let is_chartable =
            |key: &KeyInfo| key.is_active && key.requests > 0 && CHARTABLE.contains(&key.distinct_values);
        let place = |key: &KeyInfo| (MANY.contains(&key.distinct_values), key.requests);
        let first = keys.into_iter().filter(is_chartable).max_by_key(place);
        Ok(first.map_or_else(|| Field::Model.into(), |key| Dimension::tag(key.name)))
    }

    /// Returns the keys of tags that the caller may know of: all of them, or those of its own requests.
    async fn key_names(&self) -> Result<&[String], PageError> {
        Ok(self.names.get_or_try_init(|| self.read_key_names()).await?)
    }

    async fn read_key_names(&self) -> Result<Vec<String>, PageError> {
        let keys = self.state.keys().await?;
        if self.grant.filters().is_empty() {
            return Ok(keys.into_iter().map(|key| key.name).collect());
        }
        if !self.grant.allows(Permission::AnalyticsView) {
            return Ok(Vec::new());
        }
        let names: Vec<String> =
            keys.into_iter().filter(|key| key.is_active).map(|key| key.name).take(MAX_KEYS).collect();
        let distinct = names.iter().map(|name| Measure::Distinct(Dimension::tag(name.clone())));
        let query = distinct.fold(Query::new(self.view.time_range()?), Query::measure);
        let answer = self.state.run(&query, &self.grant).await?;
        let is_used = |at: usize| matches!(answer.total.values.get(at), Some(Some(Amount::Count(1..))));
        Ok(names.into_iter().enumerate().filter(|(at, _)| is_used(*at)).map(|(_, name)| name).collect())
    }
}
