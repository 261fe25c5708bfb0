use std::ops::Range;

/// A parsed pattern for the end of a request path. [`Route`](super::Route) documents the syntax.
pub(super) struct Pattern {
    /// The pattern without its call, if it has no wildcards.
    literal: Option<&'static str>,
    /// The segments, the last one first.
    segments: Vec<Segment>,
    /// The call at the end, as in `{*}:generateContent`.
    call: Option<&'static str>,
    /// Nothing may come before the first segment.
    is_whole: bool,
    specificity: (bool, usize),
}

struct Segment {
    kind: SegmentKind,
    /// The segment is a part of the name of the model.
    is_model: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum SegmentKind {
    Literal(&'static str),
    /// `v` and a number.
    Version,
    One,
    Many,
}

impl Pattern {
    pub(super) fn new(text: &'static str) -> Self {
        let (path, call) = text.rsplit_once(':').map_or((text, None), |(path, call)| (path, Some(call)));
        let literals = text.bytes().filter(|byte| !b"*#{}".contains(byte)).count();
        let is_whole = path.starts_with('^');
        let path = path.strip_prefix('^').unwrap_or(path);
        Self {
            literal: (!path.contains(['*', '#', '{'])).then_some(path),
            segments: path.rsplit('/').map(Segment::new).take(path.matches('/').count()).collect(),
            call,
            is_whole,
            specificity: (path.ends_with("{**}"), literals),
        }
    }

    /// Returns the rank among patterns that match the same path: the one with the most literal characters wins. A name of a
    /// model at the end wins over everything, since no part of it can be an endpoint.
    pub(super) fn specificity(&self) -> (bool, usize) {
        self.specificity
    }

    /// Returns the text that [`RequestPath::key`] has for all matching paths, if that is always the same.
    pub(super) fn key(&self) -> Option<&'static str> {
        self.call.or_else(|| match self.segments.first()?.kind {
            SegmentKind::Literal(text) => Some(text),
            _ => None,
        })
    }

    /// Returns the part of the path that names the model (empty if the pattern has none), or `None` if the path does not
    /// match.
    pub(super) fn captures<'p>(&self, path: &RequestPath<'p>) -> Option<&'p str> {
        let text = match (self.call, path.call) {
            (Some(call), Some(path_call)) if call == path_call => path.before_call,
            (Some(_), _) => return None,
            (None, _) => path.text,
        };
        if let Some(literal) = self.literal {
            let is_match = if self.is_whole { text == literal } else { text.ends_with(literal) };
            return is_match.then_some("");
        }
        text.get(self.match_end(&self.segments, text)?)
    }

    /// Matches the end of a path and returns the range of the segments that name the model, which may be empty.
    fn match_end(&self, segments: &[Segment], path: &str) -> Option<Range<usize>> {
        let Some((segment, others)) = segments.split_first() else {
            return (!self.is_whole || path.is_empty()).then_some(0..0);
        };
        let mut before = path;
        loop {
            let start = last_slash(before)?;
            let text = path.get(start + 1..)?;
            before = before.get(..start)?;
            if segment.matches(text)
                && let Some(model) = self.match_end(others, before)
            {
                if !segment.is_model {
                    return Some(model);
                }
                let model_start = if model.is_empty() { start + 1 } else { model.start };
                return Some(model_start..path.len());
            }
            if segment.kind != SegmentKind::Many {
                return None;
            }
        }
    }
}

impl Segment {
    fn new(text: &'static str) -> Self {
        let (text, is_model) = match text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
            Some(inner) => (inner, true),
            None => (text, false),
        };
        let kind = match text {
            "*" => SegmentKind::One,
            "**" => SegmentKind::Many,
            "v#" => SegmentKind::Version,
            literal => SegmentKind::Literal(literal),
        };
        Self { kind, is_model }
    }

    fn matches(&self, text: &str) -> bool {
        match self.kind {
            SegmentKind::Literal(literal) => text == literal,
            SegmentKind::Version => {
                text.strip_prefix('v').is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
            }
            SegmentKind::One => !text.is_empty() && (self.is_model || split_call(text).is_none()),
            SegmentKind::Many => true,
        }
    }
}

/// The path of a request.
pub(super) struct RequestPath<'p> {
    text: &'p str,
    /// The path without its call. The same as `text` if there is none.
    before_call: &'p str,
    /// The call at the end of a path such as `/models/gemini-2.5-pro:generateContent`.
    call: Option<&'p str>,
    last_segment: &'p str,
}

impl<'p> RequestPath<'p> {
    pub(super) fn new(text: &'p str) -> Self {
        let start = last_slash(text).map_or(text.len(), |at| at + 1);
        let last_segment = text.get(start..).unwrap_or_default();
        let (before_call, call) = match split_call(last_segment) {
            Some((stem, call)) => (text.get(..start + stem.len()).unwrap_or_default(), Some(call)),
            None => (text, None),
        };
        Self { text, before_call, call, last_segment }
    }

    /// Returns the call, or else the last segment.
    pub(super) fn key(&self) -> &'p str {
        self.call.unwrap_or(self.last_segment)
    }
}

/// Segments are too short for a vectorized search to pay off.
fn last_slash(path: &str) -> Option<usize> {
    path.bytes().rposition(|byte| byte == b'/')
}

/// Splits a segment at its last colon, which some clients encode.
fn split_call(segment: &str) -> Option<(&str, &str)> {
    let at = segment.bytes().rposition(|byte| matches!(byte, b':' | b'%'))?;
    let (stem, rest) = segment.split_at_checked(at)?;
    let call = [":", "%3A", "%3a"].into_iter().find_map(|colon| rest.strip_prefix(colon))?;
    Some((stem, call))
}

#[cfg(test)]
mod tests {
    use super::{Pattern, RequestPath};

    fn captures<'p>(pattern: &'static str, path: &'p str) -> Option<&'p str> {
        Pattern::new(pattern).captures(&RequestPath::new(path))
    }

    #[test]
    fn matches_whole_segments_from_the_end() {
        assert_eq!(captures("/v1/messages", "/proxy/v1/messages"), Some(""));
        assert_eq!(captures("/v1/messages", "/xv1/messages"), None);
        assert_eq!(captures("/v1/messages", "/messages"), None);
        assert_eq!(captures("^/responses", "/responses"), Some(""));
        assert_eq!(captures("^/responses", "/v1/responses"), None);
        assert_eq!(captures("/v#/responses", "/api/v12/responses"), Some(""));
        assert_eq!(captures("/v#/responses", "/api/vx/responses"), None);
        assert_eq!(captures("^/jobs/*", "/jobs/7"), Some(""));
        assert_eq!(captures("^/jobs/*", "/v1/jobs/7"), None);
        assert_eq!(captures("/jobs/*", "/v1/jobs/7:run"), None);
        assert_eq!(captures("/a/**/z", "/a/b/c/z"), Some(""));
        assert_eq!(captures("/a/**/z", "/a/z"), None);
    }

    #[test]
    fn captures_the_model() {
        assert_eq!(captures("/model/{**}/invoke", "/model/arn:aws/nova/invoke"), Some("arn:aws/nova"));
        assert_eq!(captures("/{@cf}/{**}", "/run/@cf/meta/llama"), Some("@cf/meta/llama"));
        assert_eq!(captures("/{*}:predict", "/models/text-embedding:predict"), Some("text-embedding"));
        assert_eq!(captures("/{*}:predict", "/models/text-embedding%3Apredict"), Some("text-embedding"));
        assert_eq!(captures("/{*}:predict", "/models/text-embedding:other"), None);
        assert_eq!(captures("/names/{*}/run/*", "/names/x/run/1"), Some("x"));
    }
}
