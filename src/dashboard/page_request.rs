use std::{ops::RangeInclusive, sync::Arc};

use axum::response::{IntoResponse, Redirect, Response};
use http::request::Parts;
use tokio::sync::OnceCell;

use crate::{
    analytics::{Basis, Dimension, Field, Grant, SavedView, TimeRange, jiff::Timestamp},
    registry::Permission,
};

use super::{
    earlier::Earlier,
    frame::{Frame, SaveForm, TrustLine, viewer},
    load::PageRecords,
    mount::Mount,
    page_error::PageError,
    state::DashboardState,
    verified::Verified,
    view::{UrlQuery, View},
    view_links::MAX_LINKS,
    visible_key::VisibleKey,
};

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
    viewer: String,
    /// `true` if the caller signed in with the form.
    is_signed_in: bool,
    /// The path of the page, relative to the dashboard.
    path: String,
    raw: String,
    keys: OnceCell<Vec<VisibleKey>>,
    /// `None` if they cannot be read.
    records: OnceCell<Option<Arc<PageRecords>>>,
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
        let grant = state.access.grant(head)?;
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
            caller: state.access.caller_name(head),
            viewer,
            is_signed_in: state.sign_in.as_ref().is_some_and(|sign_in| sign_in.is_signed_in(&head.headers)),
            path,
            raw,
            keys: OnceCell::new(),
            records: OnceCell::new(),
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

    /// Returns the views that the caller may use, its own ones first: those of the menu, unless more were read before.
    pub(crate) async fn views(&self, limit: usize) -> &[SavedView] {
        let read = async || self.state.records(self.caller.as_deref(), &self.grant, limit).await.ok();
        // A page without its menu is better than none.
        self.records.get_or_init(read).await.as_deref().map_or(&[], |(views, _)| views)
    }

    /// Returns the frame of a page.
    pub(crate) async fn frame(&self, title: impl Into<String>, section: &str) -> Frame {
        let views = self.views(MAX_LINKS).await;
        Frame::new(title, section, &self.mount, self.viewer.clone(), &self.view, views)
            .with_sign_out(self.caller.clone().filter(|_| self.is_signed_in))
    }

    /// Returns the line about the data of an answer, for a page with a frame.
    pub(crate) fn trust(&self, basis: &Basis) -> TrustLine {
        // The counts are those of all tenants.
        let counts = if self.grant.filters().is_empty() { self.state.event_counts() } else { None };
        let verified = match self.records.get().and_then(Option::as_deref) {
            None => Verified::Unknown,
            Some((_, None)) => Verified::Never,
            Some((_, Some(last))) => Verified::Last(last.clone()),
        };
        TrustLine::new(&self.view, basis, counts, &verified)
    }

    /// Returns the frame of a page with the filters.
    pub(crate) async fn filtered_frame(&self, title: &str, section: &str, own: &UrlQuery) -> Result<Frame, PageError> {
        let names = self.keys().await?.iter().map(|key| key.name.clone()).collect();
        let frame = self.frame(title, section).await.with_filters(&self.view, names, own);
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

    /// Returns the dimension of the breakdown of the overview: the active key that most requests of the caller have, among
    /// those whose values fit into a chart, or else the model.
    pub(crate) async fn first_dimension(&self) -> Result<Dimension, PageError> {
        let is_chartable =
            |key: &&VisibleKey| key.is_active && key.is_used() && CHARTABLE.contains(&key.distinct_values);
        let is_best = |key: &VisibleKey| MANY.contains(&key.distinct_values);
        let keys = self.keys().await?.iter().filter(is_chartable);
        let first = keys.max_by(|one, other| is_best(one).cmp(&is_best(other)).then(one.by_use(other)));
        Ok(first.map_or_else(|| Field::Model.into(), |key| Dimension::tag(key.name.clone())))
    }

    /// Returns the keys of tags that the caller may know of: all of them, or those of its own requests.
    pub(crate) async fn keys(&self) -> Result<&[VisibleKey], PageError> {
        Ok(self.keys.get_or_try_init(|| VisibleKey::read(&self.state, &self.grant, &self.view)).await?)
    }
}
