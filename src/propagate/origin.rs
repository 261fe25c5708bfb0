use crate::{
    request::{Step, Tags},
    trace::TraceContext,
};

/// The request, or the step of one, that an outgoing call is made for.
///
/// Functions that take an `impl Into<Origin>` accept [`Tags`] and [`Step`], by value or by reference.
#[derive(Clone, Debug)]
pub struct Origin {
    pub(super) tags: Tags,
    pub(super) trace: TraceContext,
}

impl Origin {
    /// Returns the current step, or else the current request.
    ///
    /// Returns `None` outside of requests. See [`Tags::current`].
    pub fn current() -> Option<Self> {
        Step::current().map(Self::from).or_else(|| Tags::current().map(Self::from))
    }
}

impl From<&Tags> for Origin {
    fn from(tags: &Tags) -> Self {
        Self::from(tags.clone())
    }
}

impl From<Tags> for Origin {
    fn from(tags: Tags) -> Self {
        let trace = tags.trace_of_calls();
        Self { tags, trace }
    }
}

impl From<&Step> for Origin {
    fn from(step: &Step) -> Self {
        Self { tags: step.tags().clone(), trace: step.trace().clone() }
    }
}

impl From<Step> for Origin {
    fn from(step: Step) -> Self {
        Self::from(&step)
    }
}
