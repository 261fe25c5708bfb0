use std::fmt;

use serde::{Serialize, Serializer, ser::SerializeMap};

macro_rules! units {
    ($($(#[$doc:meta])+ $variant:ident, $name:literal, $price_key:literal;)+) => {
        /// What a provider counts.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Unit {
            $($(#[$doc])+ $variant,)+
        }

        impl Unit {
            /// Every unit.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The name as it stands in a serialized event, such as `cache_read_tokens`.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// What price catalogs in the format of `genai-prices` call it.
            pub(super) const fn price_key(self) -> &'static str {
                match self {
                    $(Self::$variant => $price_key,)+
                }
            }
        }
    };
}

units! {
    /// All input, cache reads and writes included.
    InputTokens, "input_tokens", "input_tokens";
    /// All output, reasoning included.
    OutputTokens, "output_tokens", "output_tokens";
    /// Input that was read from a prompt cache.
    CacheReadTokens, "cache_read_tokens", "cache_read_tokens";
    /// Input that was written to a prompt cache, however long it stays.
    CacheWriteTokens, "cache_write_tokens", "cache_write_tokens";
    /// Input that was written to a cache for one hour.
    CacheWrite1hTokens, "cache_write_1h_tokens", "cache_write_1h_tokens";
    /// Output that was reasoning (thinking).
    ReasoningTokens, "reasoning_tokens", "output_reasoning_tokens";
    /// Input that was audio.
    InputAudioTokens, "input_audio_tokens", "input_audio_tokens";
    /// Output that was audio.
    OutputAudioTokens, "output_audio_tokens", "output_audio_tokens";
    /// Input that was written to a cache for five minutes.
    CacheWrite5mTokens, "cache_write_5m_tokens", "cache_write_5m_tokens";
    /// Input that was text.
    InputTextTokens, "input_text_tokens", "input_text_tokens";
    /// Input that was images or documents.
    InputImageTokens, "input_image_tokens", "input_image_tokens";
    /// Input that was video.
    InputVideoTokens, "input_video_tokens", "input_video_tokens";
    /// Input that tools of the provider made.
    InputToolTokens, "input_tool_tokens", "input_tool_tokens";
    /// Input that tools of the provider made as text.
    InputTextToolTokens, "input_text_tool_tokens", "input_text_tool_tokens";
    /// Input that tools of the provider made as audio.
    InputAudioToolTokens, "input_audio_tool_tokens", "input_audio_tool_tokens";
    /// Input that tools of the provider made as images or documents.
    InputImageToolTokens, "input_image_tool_tokens", "input_image_tool_tokens";
    /// Input that tools of the provider made as video.
    InputVideoToolTokens, "input_video_tool_tokens", "input_video_tool_tokens";
    /// Output that was text.
    OutputTextTokens, "output_text_tokens", "output_text_tokens";
    /// Output that was images.
    OutputImageTokens, "output_image_tokens", "output_image_tokens";
    /// Output that was video.
    OutputVideoTokens, "output_video_tokens", "output_video_tokens";
    /// Text that was read from a cache.
    CacheTextReadTokens, "cache_text_read_tokens", "cache_text_read_tokens";
    /// Audio that was read from a cache.
    CacheAudioReadTokens, "cache_audio_read_tokens", "cache_audio_read_tokens";
    /// Images that were read from a cache.
    CacheImageReadTokens, "cache_image_read_tokens", "cache_image_read_tokens";
    /// Video that was read from a cache.
    CacheVideoReadTokens, "cache_video_read_tokens", "cache_video_read_tokens";
    /// Output that was citations.
    CitationTokens, "citation_tokens", "output_citation_tokens";
    /// Searches of the web as they are billed, not tokens: Gemini 2.5 and older count a prompt that searched, others each
    /// query.
    WebSearches, "web_searches", "web_searches";
    /// Searches of files that are stored with the provider, not tokens.
    FileSearches, "file_searches", "storage_searches";
    /// Searches whose results were put in order, not tokens.
    RerankSearches, "rerank_searches", "rerank_searches";
    /// Pages of documents, not tokens.
    InputDocumentPages, "input_document_pages", "input_document_pages";
    /// Seconds of audio, not tokens.
    AudioSeconds, "audio_seconds", "audio_seconds";
}

impl Unit {
    /// Whether other units are parts of this one alone.
    pub(super) fn is_total(self) -> bool {
        matches!(self, Self::InputTokens | Self::OutputTokens)
    }

    /// Whether it counts tokens of whatever was said, heard or seen.
    pub(super) fn is_of_any_kind(self) -> bool {
        self <= Self::ReasoningTokens || self == Self::CacheWrite5mTokens
    }

    /// Whether it counts tokens.
    pub(super) fn is_of_tokens(self) -> bool {
        self < Self::WebSearches
    }

    /// Whether an event names it in any case, `null` where it is not known.
    pub(super) fn is_always_named(self) -> bool {
        self <= Self::OutputAudioTokens
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How much of what was used, as far as it is known: what is not known is absent, never zero.
///
/// By the meaning of the [OTel GenAI conventions](https://opentelemetry.io/docs/specs/semconv/gen-ai/), whatever the
/// provider's own: input includes cache reads and writes, output includes reasoning.
///
/// ```
/// use tower_tagging::usage::{Unit, Usage};
///
/// let usage = Usage::new().with(Unit::InputTokens, 2006).with(Unit::CacheReadTokens, 1920).with(Unit::OutputTokens, 300);
/// assert_eq!(usage.input_tokens(), Some(2006));
/// assert_eq!(usage.get(Unit::ReasoningTokens), None);
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// Sorted by unit.
    counts: Vec<(Unit, u64)>,
}

impl Usage {
    /// Nothing known.
    pub fn new() -> Self {
        Self::default()
    }

    /// Input and output tokens.
    pub fn tokens(input: u64, output: u64) -> Self {
        Self::new().with(Unit::InputTokens, input).with(Unit::OutputTokens, output)
    }

    /// Sets a count.
    #[must_use]
    pub fn with(mut self, unit: Unit, count: u64) -> Self {
        self.set(unit, count);
        self
    }

    /// Sets a count.
    pub fn set(&mut self, unit: Unit, count: u64) {
        match self.find(unit) {
            Ok(at) => {
                if let Some(place) = self.counts.get_mut(at) {
                    place.1 = count;
                }
            }
            Err(at) => self.counts.insert(at, (unit, count)),
        }
    }

    /// Adds to a count; one that is not known becomes known. Stops at the largest number there is.
    pub fn add(&mut self, unit: Unit, count: u64) {
        self.set(unit, self.get(unit).unwrap_or(0).saturating_add(count));
    }

    /// About the bytes that it takes in memory beside itself.
    pub(crate) fn approximate_bytes(&self) -> usize {
        self.counts.capacity() * size_of::<(Unit, u64)>()
    }

    /// Adds all counts of `other`.
    pub fn add_all(&mut self, other: &Self) {
        for (unit, count) in other.iter() {
            self.add(unit, count);
        }
    }

    /// A count, if it is known.
    pub fn get(&self, unit: Unit) -> Option<u64> {
        self.find(unit).ok().and_then(|at| self.counts.get(at)).map(|(_, count)| *count)
    }

    /// All input tokens, cache reads and writes included.
    pub fn input_tokens(&self) -> Option<u64> {
        self.get(Unit::InputTokens)
    }

    /// All output tokens, reasoning included.
    pub fn output_tokens(&self) -> Option<u64> {
        self.get(Unit::OutputTokens)
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// What is known.
    pub fn iter(&self) -> impl Iterator<Item = (Unit, u64)> {
        self.counts.iter().copied()
    }

    fn find(&self, unit: Unit) -> Result<usize, usize> {
        self.counts.binary_search_by_key(&unit, |(unit, _)| *unit)
    }
}

impl fmt::Debug for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.counts.iter().map(|(unit, count)| (unit.as_str(), count))).finish()
    }
}

impl Serialize for Usage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        for unit in Unit::ALL.iter().take_while(|unit| unit.is_always_named()) {
            object.serialize_entry(unit.as_str(), &self.get(*unit))?;
        }
        for (unit, count) in self.iter().filter(|(unit, _)| !unit.is_always_named()) {
            object.serialize_entry(unit.as_str(), &count)?;
        }
        object.end()
    }
}
