//! The stand-in for the decoders, which need the feature `llm`.

use http::{HeaderMap, header};

/// Passes bodies without a content coding through.
#[derive(Default)]
pub(crate) struct ContentDecoder;

impl ContentDecoder {
    /// Creates the decoder for a message with these headers, or returns `None` if it has a content coding.
    pub(crate) fn for_headers(headers: &HeaderMap) -> Option<Self> {
        let mut codings = headers.get_all(header::CONTENT_ENCODING).iter();
        codings.all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity")).then_some(Self)
    }

    #[allow(clippy::unused_self, reason = "the decoders need it")]
    pub(crate) fn decode(&mut self, chunk: &[u8], mut output: impl FnMut(&[u8])) -> bool {
        output(chunk);
        true
    }
}
