//! The selection of a request's headers, and their conversion to tags.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{
    headers::BAGGAGE,
    metadata::{Diagnostic, DiagnosticCode, TagWriter},
};

use super::{
    baggage,
    captured::{Captured, Source},
    header_value::text_of,
    json,
    strip_headers::StripHeaders,
    tag_sources::TagSources,
};

impl TagSources {
    /// Copies the headers that become tags, strongest source first.
    pub(crate) fn capture(&self, headers: &HeaderMap, captured: &mut Captured) {
        if let Some(name) = &self.json_header {
            // A repeated header fills the keys that the first one left unset, like any weaker source.
            self.capture_all(headers, name, Source::JsonHeader, captured);
        }
        for (index, prefix) in self.prefixes.iter().enumerate() {
            for name in headers.keys() {
                if prefix.rest_of(name.as_str()).is_some()
                    && self.json_header.as_ref() != Some(name)
                    && !self.is_refused_credential(name)
                    && let Some(first) = headers.get(name)
                    && self.may_read(name, first, captured)
                {
                    captured.add_named(Source::Prefixed(index), name, first);
                }
            }
        }
        for (index, entry) in self.allow_list.entries().iter().enumerate() {
            if let Some(first) = headers.get(&entry.name)
                && self.may_read(&entry.name, first, captured)
            {
                captured.add(Source::AllowListed(index), first);
            }
        }
        if self.baggage {
            self.capture_all(headers, &BAGGAGE, Source::Baggage, captured);
        }
    }

    fn capture_all(&self, headers: &HeaderMap, name: &HeaderName, source: Source, captured: &mut Captured) {
        for value in headers.get_all(name) {
            if self.may_read(name, value, captured) {
                captured.add(source, value);
            }
        }
    }

    /// Returns `false` for a value that is marked sensitive, unless the header is opted in.
    fn may_read(&self, name: &HeaderName, value: &HeaderValue, captured: &mut Captured) -> bool {
        let may_read = !value.is_sensitive() || self.secrets.contains(name);
        if !may_read {
            captured.refuse(name);
        }
        may_read
    }

    /// Writes the tags of headers that [`capture`](Self::capture) copied.
    pub(crate) fn read(&self, captured: &Captured, tags: &mut TagWriter<'_>) {
        for (source, name, value) in captured.iter() {
            match source {
                Source::JsonHeader => {
                    let name = self.json_header.as_ref().map_or("", HeaderName::as_str);
                    json::read(name, value, self.strict_json, tags);
                }
                Source::Prefixed(index) => {
                    if let Some(rest) = self.prefixes.get(index).and_then(|prefix| prefix.rest_of(name)) {
                        fill(name, &self.key_case.apply(rest), value, tags);
                    }
                }
                Source::AllowListed(index) => {
                    if let Some(entry) = self.allow_list.entries().get(index) {
                        let text = text_of(entry.name.as_str(), value, tags);
                        // Headers of the list that share a key are alternatives.
                        let mut earlier = self.allow_list.entries().iter().take(index);
                        if earlier.any(|other| other.key == entry.key) || self.is_prefixed(&entry.key, captured) {
                            tags.fill(&entry.key, &text);
                        } else {
                            tags.fill_or_note(&entry.key, &text);
                        }
                    }
                }
                Source::Baggage => baggage::read(&text_of(BAGGAGE.as_str(), value, tags), tags),
                Source::Refused => tags.note(Diagnostic::new(DiagnosticCode::SensitiveHeader).with_key(name)),
            }
        }
    }

    /// Returns `true` if a header with a prefix sets a tag.
    fn is_prefixed(&self, key: &str, captured: &Captured) -> bool {
        captured.iter().any(|(source, name, _)| match source {
            Source::Prefixed(index) => {
                let rest = self.prefixes.get(index).and_then(|prefix| prefix.rest_of(name));
                rest.is_some_and(|rest| self.key_case.apply(rest) == key)
            }
            _ => false,
        })
    }

    /// Removes headers before the service is called.
    pub(crate) fn strip(&self, strip: StripHeaders, headers: &mut HeaderMap) {
        if strip == StripHeaders::Nothing {
            return;
        }
        let stripped: Vec<HeaderName> = headers.keys().filter(|name| self.strips(name, strip)).cloned().collect();
        for name in stripped {
            headers.remove(name);
        }
    }

    fn strips(&self, name: &HeaderName, strip: StripHeaders) -> bool {
        let text = name.as_str();
        text.starts_with("x-portkey-")
            || text.starts_with("x-majordomo")
            || self.json_header.as_ref() == Some(name)
            // A secret that does not become a tag may be for the service.
            || (self.prefixes.iter().any(|prefix| prefix.matches(text)) && !self.is_refused_credential(name))
            || (strip == StripHeaders::DialectsAndAllowList && self.allow_list.contains(name))
    }
}

fn fill(name: &str, key: &str, value: &[u8], tags: &mut TagWriter<'_>) {
    let text = text_of(name, value, tags);
    tags.fill(key, &text);
}
