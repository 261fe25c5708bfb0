/// The origin of the trace ids of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TraceSource {
    /// The client sent an explicit trace id.
    Header,
    /// The client sent a `traceparent`, and no explicit trace id.
    Traceparent,
    /// The ids were generated.
    Generated,
}

impl TraceSource {
    /// All sources.
    pub const ALL: &'static [Self] = &[Self::Header, Self::Traceparent, Self::Generated];

    /// Returns the name in serialized events: `header`, `traceparent`, or `generated`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Traceparent => "traceparent",
            Self::Generated => "generated",
        }
    }
}
