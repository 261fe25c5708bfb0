use serde_json::Value;

use super::{flavour::whole, reading::Field};

/// What an answer tells of in its parts, and its counts do not: what tools of the provider did, and what was embedded.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    /// Calls of OpenAI's tool for the web, and those of them that searched for nothing but opened a page.
    web_calls: u64,
    opened_pages: u64,
    /// Calls of OpenAI's tool for files.
    pub(super) file_searches: u64,
    /// What Gemini asked Google, each query once.
    pub(super) google_queries: u64,
    /// Tokens that Vertex counts of each text that it embeds.
    pub(super) embedded_tokens: u64,
}

impl Tally {
    /// Calls of OpenAI's tool that searched the web.
    pub(super) fn web_searches(&self) -> u64 {
        self.web_calls.saturating_sub(self.opened_pages)
    }

    /// Of two documents that tell of the same, the one that tells more.
    pub(super) fn or_more(self, other: Self) -> Self {
        let web = if other.web_searches() > self.web_searches() { other } else { self };
        Self {
            file_searches: self.file_searches.max(other.file_searches),
            google_queries: self.google_queries.max(other.google_queries),
            embedded_tokens: self.embedded_tokens.max(other.embedded_tokens),
            ..web
        }
    }

    /// Takes in what is told in parts, and nothing else.
    pub(super) fn take(&mut self, field: Field, value: Option<&[u8]>) -> bool {
        match (field, value) {
            (Field::Item, Some(b"\"web_search_call\"")) => self.web_calls += 1,
            (Field::Item, Some(b"\"file_search_call\"")) => self.file_searches += 1,
            (Field::Action, Some(b"\"open_page\"" | b"\"find_in_page\"" | b"\"find\"")) => self.opened_pages += 1,
            (Field::Queries, Some(list)) => {
                let mut queries: Vec<String> = serde_json::from_slice(list).unwrap_or_default();
                // Empty ones are not billed.
                queries.retain(|query| !query.is_empty());
                queries.sort_unstable();
                queries.dedup();
                self.google_queries += queries.len() as u64;
            }
            (Field::EmbeddedTokens, Some(count)) => {
                let count = serde_json::from_slice::<Value>(count).ok().and_then(|count| whole(count.as_f64()?));
                self.embedded_tokens = self.embedded_tokens.saturating_add(count.unwrap_or(0));
            }
            (Field::Item | Field::Action | Field::Queries | Field::EmbeddedTokens, _) => {}
            _ => return false,
        }
        true
    }
}
