use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;

use crate::analytics::Basis;

/// The header that is `false` if the numbers do not cover exactly the range of the request.
pub(crate) const EXACT: HeaderName = HeaderName::from_static("x-tagging-exact");
/// The header with the time of the latest stored request.
pub(crate) const DATA_UP_TO: HeaderName = HeaderName::from_static("x-tagging-data-up-to");
/// The header with the instants at which the range could be cut.
pub(crate) const GRAIN: HeaderName = HeaderName::from_static("x-tagging-grain");
/// The header with the share of LLM calls whose cost is unknown. Missing if there are no LLM calls.
pub(crate) const UNPRICED_SHARE: HeaderName = HeaderName::from_static("x-tagging-unpriced-share");

/// An answer in one of Portkey's shapes, and the basis of its numbers.
///
/// Headers report the basis of each answer. If the answer is not exact, its envelope has the additional member `basis`.
#[derive(Clone, Debug)]
pub(crate) struct WithBasis<T> {
    answer: T,
    /// `None` if the answer is always exact.
    basis: Option<Basis>,
}

#[derive(Serialize)]
struct Body<'a, T> {
    #[serde(flatten)]
    answer: &'a T,
    #[serde(skip_serializing_if = "Option::is_none")]
    basis: Option<&'a Basis>,
}

impl<T> WithBasis<T> {
    /// Creates an answer whose numbers are sums with a basis.
    pub(crate) fn new(answer: T, basis: Basis) -> Self {
        Self { answer, basis: Some(basis) }
    }

    /// Creates an answer that is always exact.
    pub(crate) fn exact(answer: T) -> Self {
        Self { answer, basis: None }
    }
}

impl<T: Serialize> IntoResponse for WithBasis<T> {
    fn into_response(self) -> Response {
        let basis = self.basis.as_ref();
        let body = Body { answer: &self.answer, basis: basis.filter(|basis| !basis.is_exact) };
        (headers(basis), Json(body)).into_response()
    }
}

/// Returns the headers that report a basis.
pub(crate) fn headers(basis: Option<&Basis>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let is_exact = basis.is_none_or(|basis| basis.is_exact);
    headers.insert(EXACT, HeaderValue::from_static(if is_exact { "true" } else { "false" }));
    let Some(basis) = basis else { return headers };
    headers.insert(GRAIN, HeaderValue::from_static(basis.grain.as_str()));
    let time = basis.data_up_to.map(|time| (DATA_UP_TO, time.to_string()));
    let share = basis.unpriced_share.map(|share| (UNPRICED_SHARE, share.to_string()));
    headers.extend(
        time.into_iter().chain(share).filter_map(|(name, text)| Some((name, HeaderValue::try_from(text).ok()?))),
    );
    headers
}
