use crate::{
    analytics::{Cell, Filter, Group, Measure, Query},
    row::Field,
};

use super::{
    super::{
        api_error::ApiError,
        view::{TotalView, View, points},
        with_basis::WithBasis,
    },
    shapes::{
        FeedbackGraph, FeedbackPoint, FeedbackScoresGraph, FeedbackScoresPoint, FeedbackScoresSummary, FeedbackSummary,
        ModelFeedbackGraph, ModelFeedbackPoint, ModelFeedbackSummary, WeightedFeedbackGraph, WeightedFeedbackPoint,
        WeightedFeedbackSummary,
    },
};

pub(crate) async fn feedbacks(view: View) -> Result<WithBasis<FeedbackGraph>, ApiError> {
    let answer = view.series([Measure::FeedbackScore]).await?;
    let point = |timestamp, cell: &Cell| FeedbackPoint { timestamp, total: cell.feedback.entries };
    Ok(WithBasis::new(
        FeedbackGraph::new(FeedbackSummary { total: answer.total.feedback.entries }, points(&answer, point)),
        answer.basis,
    ))
}

pub(crate) async fn scores(TotalView(view): TotalView) -> Result<WithBasis<FeedbackScoresGraph>, ApiError> {
    let scores = view.api.analytics.feedback_scores(&view.query(), &view.grant).await?;
    let total = scores.counts.values().sum();
    let points = scores.counts.into_iter().map(|(score, total)| FeedbackScoresPoint { score, total }).collect();
    Ok(WithBasis::new(FeedbackScoresGraph::new(FeedbackScoresSummary { total }, points), scores.basis))
}

pub(crate) async fn weighted(view: View) -> Result<WithBasis<WeightedFeedbackGraph>, ApiError> {
    let answer = view.series([Measure::FeedbackScore]).await?;
    let point = |timestamp, cell: &Cell| WeightedFeedbackPoint { timestamp, avg: cell.feedback.average() };
    let summary = WeightedFeedbackSummary { avg: answer.total.feedback.average() };
    Ok(WithBasis::new(WeightedFeedbackGraph::new(summary, points(&answer, point)), answer.basis))
}

pub(crate) async fn ai_models(TotalView(view): TotalView) -> Result<WithBasis<ModelFeedbackGraph>, ApiError> {
    let query = view.query().filter(Filter::Has(Field::Model.into())).group_by(Field::Model);
    let query = query.measure(Measure::FeedbackRequests).measure(Measure::FeedbackScore).limit(Query::MAX_LIMIT);
    let answer = view.run(&query).await?;
    let point = |group: &Group| {
        let feedback = &group.cell.feedback;
        (feedback.entries > 0).then(|| ModelFeedbackPoint {
            ai_model: group.values.first().cloned().flatten(),
            total: feedback.entries,
            avg_weighted_feedback: feedback.average(),
        })
    };
    let points = answer.groups.iter().filter_map(point).collect();
    Ok(WithBasis::new(ModelFeedbackGraph::new(ModelFeedbackSummary {}, points), answer.basis))
}
