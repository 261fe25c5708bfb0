use std::fmt;

macro_rules! units {
    ($($(#[$doc:meta])+ $variant:ident, $name:literal;)+) => {
        /// A unit that providers count: kinds of tokens, and what is billed in addition to tokens.
        ///
        /// Units overlap. [`InputTokens`](Self::InputTokens), for example, include
        /// [`CacheReadTokens`](Self::CacheReadTokens).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Unit {
            $($(#[$doc])+ $variant,)+
        }

        impl Unit {
            /// All units.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Returns the name in serialized events, such as `cache_read_tokens`.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

units! {
    /// All input tokens, including cache reads and writes.
    InputTokens, "input_tokens";
    /// All output tokens, including reasoning.
    OutputTokens, "output_tokens";
    /// Input tokens read from a prompt cache.
    CacheReadTokens, "cache_read_tokens";
    /// Input tokens written to a prompt cache, for any lifetime.
    CacheWriteTokens, "cache_write_tokens";
    /// Input tokens written to a prompt cache for one hour.
    CacheWrite1hTokens, "cache_write_1h_tokens";
    /// Output tokens spent on reasoning (thinking).
    ReasoningTokens, "reasoning_tokens";
    /// Input tokens of audio.
    InputAudioTokens, "input_audio_tokens";
    /// Output tokens of audio.
    OutputAudioTokens, "output_audio_tokens";
    /// Input tokens written to a prompt cache for five minutes.
    CacheWrite5mTokens, "cache_write_5m_tokens";
    /// Input tokens of text.
    InputTextTokens, "input_text_tokens";
    /// Input tokens of images and documents.
    InputImageTokens, "input_image_tokens";
    /// Input tokens of video.
    InputVideoTokens, "input_video_tokens";
    /// Input tokens produced by the provider's tools.
    InputToolTokens, "input_tool_tokens";
    /// Input tokens of text produced by the provider's tools.
    InputTextToolTokens, "input_text_tool_tokens";
    /// Input tokens of audio produced by the provider's tools.
    InputAudioToolTokens, "input_audio_tool_tokens";
    /// Input tokens of images and documents produced by the provider's tools.
    InputImageToolTokens, "input_image_tool_tokens";
    /// Input tokens of video produced by the provider's tools.
    InputVideoToolTokens, "input_video_tool_tokens";
    /// Output tokens of text.
    OutputTextTokens, "output_text_tokens";
    /// Output tokens of images.
    OutputImageTokens, "output_image_tokens";
    /// Output tokens of video.
    OutputVideoTokens, "output_video_tokens";
    /// Text tokens read from a prompt cache.
    CacheTextReadTokens, "cache_text_read_tokens";
    /// Audio tokens read from a prompt cache.
    CacheAudioReadTokens, "cache_audio_read_tokens";
    /// Image tokens read from a prompt cache.
    CacheImageReadTokens, "cache_image_read_tokens";
    /// Video tokens read from a prompt cache.
    CacheVideoReadTokens, "cache_video_read_tokens";
    /// Output tokens of citations.
    CitationTokens, "citation_tokens";
    /// Billed web searches, which are not tokens.
    ///
    /// Gemini up to 2.5 bills one search per prompt that searched. Other models bill each query.
    WebSearches, "web_searches";
    /// Searches of files that are stored with the provider, which are not tokens.
    FileSearches, "file_searches";
    /// Searches whose results were reranked, which are not tokens.
    RerankSearches, "rerank_searches";
    /// Pages of input documents, which are not tokens.
    InputDocumentPages, "input_document_pages";
    /// Seconds of audio, which are not tokens.
    AudioSeconds, "audio_seconds";
}

impl Unit {
    /// Returns the unit with a name in serialized events.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|unit| unit.as_str() == name)
    }

    /// Returns `true` if serialized usage always has a member for this unit, `null` if the count is unknown.
    pub(super) fn is_always_serialized(self) -> bool {
        self <= Self::OutputAudioTokens
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Unit;

    #[test]
    fn serializes_the_main_counts_of_the_event_schema_always() {
        let always: Vec<_> =
            Unit::ALL.iter().filter(|unit| unit.is_always_serialized()).map(|unit| unit.as_str()).collect();
        assert_eq!(
            always,
            [
                "input_tokens",
                "output_tokens",
                "cache_read_tokens",
                "cache_write_tokens",
                "cache_write_1h_tokens",
                "reasoning_tokens",
                "input_audio_tokens",
                "output_audio_tokens"
            ]
        );
    }
}
