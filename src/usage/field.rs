//! The meaning of the members that are picked out of response documents.

/// A member of a response document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// The id of the response.
    Id,
    /// The model that answered. The first name that is not empty wins.
    Model,
    /// The model that Bedrock's prompt router chose, as an ARN. Replaces [`Field::Model`].
    RoutedModel,
    /// The service tier that served the call.
    ServiceTier,
    /// An object of counts.
    Usage(UsageKind),
    /// A single count outside of the usage object. It is stored under this name, as if it were in that object.
    Count(&'static str),
    /// Like [`Field::Count`], for a member that is not a mark.
    Detail(&'static str),
    /// The counts that Bedrock adds to the last event of `InvokeModel` streams.
    InvocationMetrics,
    /// The length of transcribed audio, in seconds.
    Duration,
    /// `true` if the call runs in the background, so that the response to its own request has no counts yet.
    Background,
    /// The status of the answer.
    Status,
    /// The type of a stream event. Scanners replace it by [`Field::Event`].
    EventType,
    /// A stream event of a known type.
    Event(&'static StreamEvent),
    /// `true` in the last document of a stream.
    Done,
    /// The reason for which an answer ended. Every document of a stream has it, and it is `null` in all but the last ones.
    FinishReason,
    /// The reason for which an answer ended, in the last document of a stream.
    LastFinishReason,
    /// The reason why the model did not answer.
    BlockReason,
    /// The reason for which an answer ended, in Anthropic's words, which include `refusal`.
    StopReason,
    /// An empty list of choices: the last chunk of a stream has usage and nothing else.
    UsageOnly,
    /// A part of the answer that shows the use of a tool.
    Tool(ToolField),
    /// A member that only this provider sends (its id in the price catalog).
    ServedBy(&'static str),
    /// The name of the provider that a router chose, as OpenRouter reports it.
    UpstreamName,
    /// An error in place of an answer, or in the middle of it.
    Error,
    /// A member without a meaning of its own, such as an array that may be empty.
    Ignored,
    /// The end of a document.
    DocumentEnd,
}

impl Field {
    /// Returns `true` if a document with this member must be read even when most documents of the stream are skipped.
    ///
    /// The text of every such member contains one of the marks of its format.
    pub(super) fn is_mark(self) -> bool {
        match self {
            Self::Usage(_) | Self::Count(_) | Self::FinishReason | Self::LastFinishReason | Self::Error => true,
            Self::Event(event) => event.is_mark,
            _ => false,
        }
    }

    /// Returns `true` if the first value in a document stands for all of them, and `null` for none.
    pub(super) fn is_stated_once(self) -> bool {
        matches!(self, Self::FinishReason | Self::LastFinishReason | Self::BlockReason | Self::Ignored)
    }
}

/// The part of a response that an object of counts covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UsageKind {
    /// Everything so far.
    Total,
    /// Everything so far, repeated in every part of a stream, whose last part is marked otherwise.
    Running,
    /// The beginning of a stream. Its output count is a placeholder.
    Initial,
    /// Everything, at the end of a stream, in a member that only this provider sends (its id in the price catalog).
    FinalOf(&'static str),
    /// One choice. Ignored once the response as a whole has counts.
    OfChoice,
}

/// A part of an answer that shows the use of a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ToolField {
    /// The type of an output item of OpenAI's responses.
    ItemType,
    /// The type of the action of an OpenAI web search call.
    ActionType,
    /// A list of queries that Gemini sent to Google Search.
    Queries,
    /// The token count of one embedded text, as Vertex AI reports it.
    EmbeddedTokens,
    /// The type of a tool that OpenAI's responses could use.
    ToolType,
    /// The model of such a tool.
    ToolModel,
}

/// A type of stream event that affects how the stream is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StreamEvent {
    pub(super) name: &'static str,
    pub(super) effect: EventEffect,
    /// The event must be read even when most events of the stream are skipped. Its name contains a mark.
    pub(super) is_mark: bool,
}

/// The effect of a stream event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EventEffect {
    /// The stream will announce its end, so an end of the body without that event is premature.
    AnnouncesEnd,
    /// Like [`Self::AnnouncesEnd`]. The event also repeats the request, so its text is not content.
    EchoesRequest,
    /// The event carries counts.
    Counts,
    /// The counts are final once this event is complete.
    Ends,
    /// The call failed.
    Fails,
    /// The call failed, and the counts are final once this event is complete.
    EndsFailed,
}

impl StreamEvent {
    pub(super) const fn new(name: &'static str, effect: EventEffect) -> Self {
        Self { name, effect, is_mark: false }
    }

    /// Creates an event type that must always be read.
    pub(super) const fn marked(name: &'static str, effect: EventEffect) -> Self {
        Self { name, effect, is_mark: true }
    }
}
