use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::Value;

use super::{
    flavor::whole,
    reading::{Field, name_text},
};

/// Most different queries that are counted.
const MAX_QUERIES: usize = 1_024;

/// What an answer tells of in its parts, and its counts do not: what tools of the provider did, and what was embedded.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// Calls of OpenAI's tool for the web, and those of them that searched for nothing but opened a page.
    web_calls: u64,
    opened_pages: u64,
    /// Calls of OpenAI's tool for files.
    pub(super) file_searches: u64,
    /// What Gemini asked Google, by the hash of each query.
    queries: Vec<u64>,
    /// The model by which OpenAI's responses make images.
    pub(super) image_model: Option<String>,
    /// The tool at hand is the one that does; what its model, or that of another tool, is called.
    is_image_tool: bool,
    tool_model: Option<String>,
    /// Tokens that Vertex counts of each text that it embeds.
    pub(super) embedded_tokens: u64,
}

impl Tally {
    /// Calls of OpenAI's tool that searched the web.
    pub(super) fn web_searches(&self) -> u64 {
        self.web_calls.saturating_sub(self.opened_pages)
    }

    /// What Gemini asked Google, each query once.
    pub(super) fn google_queries(&self) -> u64 {
        self.queries.len() as u64
    }

    /// Takes in what another document tells of the same calls: of numbers the larger ones.
    pub(super) fn take_all(&mut self, other: Self) {
        if other.web_searches() > self.web_searches() {
            (self.web_calls, self.opened_pages) = (other.web_calls, other.opened_pages);
        }
        self.file_searches = self.file_searches.max(other.file_searches);
        self.embedded_tokens = self.embedded_tokens.max(other.embedded_tokens);
        self.image_model = self.image_model.take().or(other.image_model);
        other.queries.into_iter().for_each(|query| self.add_query(query));
    }

    fn add_query(&mut self, query: u64) {
        if self.queries.len() < MAX_QUERIES && !self.queries.contains(&query) {
            self.queries.push(query);
        }
    }

    /// Takes in what is told in parts, and nothing else.
    pub(super) fn take(&mut self, field: Field, value: Option<&[u8]>) -> bool {
        match (field, value) {
            (Field::Item, Some(b"\"web_search_call\"")) => self.web_calls += 1,
            (Field::Item, Some(b"\"file_search_call\"")) => self.file_searches += 1,
            (Field::Action, Some(b"\"open_page\"" | b"\"find_in_page\"" | b"\"find\"")) => self.opened_pages += 1,
            (Field::Queries, Some(list)) => {
                let queries: Vec<String> = serde_json::from_slice(list).unwrap_or_default();
                // Empty ones are not billed.
                for query in queries.iter().filter(|query| !query.is_empty()) {
                    let mut hasher = DefaultHasher::new();
                    query.hash(&mut hasher);
                    self.add_query(hasher.finish());
                }
            }
            (Field::ToolType, value) => {
                self.is_image_tool = value == Some(b"\"image_generation\"");
                // Its model may stand before its type.
                let model = self.tool_model.take().filter(|_| self.is_image_tool);
                self.image_model = model.or(self.image_model.take());
            }
            (Field::ToolModel, Some(name)) => {
                let place = if self.is_image_tool { &mut self.image_model } else { &mut self.tool_model };
                *place = name_text(name);
            }
            (Field::EmbeddedTokens, Some(count)) => {
                let count = serde_json::from_slice::<Value>(count).ok().and_then(|count| whole(count.as_f64()?));
                self.embedded_tokens = self.embedded_tokens.saturating_add(count.unwrap_or(0));
            }
            (Field::Item | Field::Action | Field::Queries | Field::EmbeddedTokens | Field::ToolModel, _) => {}
            _ => return false,
        }
        true
    }
}
