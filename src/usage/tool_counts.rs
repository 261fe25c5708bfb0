use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::Value;

use super::{
    field::ToolField,
    values::{name_text, whole_number},
};

/// Maximum number of distinct queries that are counted.
const MAX_QUERIES: usize = 1_024;

/// Counts of what an answer shows in its parts and the usage object leaves out: calls of the provider's tools, and
/// embedded tokens.
#[derive(Clone, Debug, Default)]
pub(super) struct ToolCounts {
    /// Calls of OpenAI's web search tool.
    web_calls: u64,
    /// The calls among them that did not search but opened a page.
    opened_pages: u64,
    /// Calls of OpenAI's file search tool.
    pub(super) file_searches: u64,
    /// The hashes of the queries that Gemini sent to Google Search.
    queries: Vec<u64>,
    /// The model with which OpenAI's responses make images.
    pub(super) image_model: Option<String>,
    /// The tool being read makes images.
    is_image_tool: bool,
    /// The model of the tool being read, if it came before the type of the tool.
    tool_model: Option<String>,
    /// The sum of the tokens that Vertex AI reports for each embedded text.
    pub(super) embedded_tokens: u64,
}

impl ToolCounts {
    /// Returns the number of calls of OpenAI's web search tool that searched.
    pub(super) fn web_searches(&self) -> u64 {
        self.web_calls.saturating_sub(self.opened_pages)
    }

    /// Returns the number of distinct queries that Gemini sent to Google Search.
    pub(super) fn google_queries(&self) -> u64 {
        self.queries.len() as u64
    }

    /// Merges the counts of another document about the same call. The larger number wins.
    pub(super) fn merge(&mut self, other: Self) {
        if other.web_searches() > self.web_searches() {
            (self.web_calls, self.opened_pages) = (other.web_calls, other.opened_pages);
        }
        self.file_searches = self.file_searches.max(other.file_searches);
        self.embedded_tokens = self.embedded_tokens.max(other.embedded_tokens);
        self.image_model = self.image_model.take().or(other.image_model);
        other.queries.into_iter().for_each(|query| self.add_query(query));
    }

    /// Counts a part of an answer.
    pub(super) fn take(&mut self, field: ToolField, value: Option<&[u8]>) {
        match (field, value) {
            (ToolField::ItemType, Some(b"\"web_search_call\"")) => self.web_calls += 1,
            (ToolField::ItemType, Some(b"\"file_search_call\"")) => self.file_searches += 1,
            (ToolField::ActionType, Some(b"\"open_page\"" | b"\"find_in_page\"" | b"\"find\"")) => {
                self.opened_pages += 1;
            }
            (ToolField::Queries, Some(list)) => self.add_queries(list),
            (ToolField::ToolType, kind) => {
                self.is_image_tool = kind == Some(b"\"image_generation\"");
                let model = self.tool_model.take().filter(|_| self.is_image_tool);
                self.image_model = model.or(self.image_model.take());
            }
            (ToolField::ToolModel, Some(name)) => {
                let model = if self.is_image_tool { &mut self.image_model } else { &mut self.tool_model };
                *model = name_text(name);
            }
            (ToolField::EmbeddedTokens, Some(count)) => {
                let count = serde_json::from_slice::<Value>(count).ok();
                let count = count.and_then(|count| whole_number(count.as_f64()?)).unwrap_or(0);
                self.embedded_tokens = self.embedded_tokens.saturating_add(count);
            }
            _ => {}
        }
    }

    fn add_queries(&mut self, list: &[u8]) {
        let queries: Vec<String> = serde_json::from_slice(list).unwrap_or_default();
        // Google does not bill empty queries.
        for query in queries.iter().filter(|query| !query.is_empty()) {
            let mut hasher = DefaultHasher::new();
            query.hash(&mut hasher);
            self.add_query(hasher.finish());
        }
    }

    fn add_query(&mut self, query: u64) {
        if self.queries.len() < MAX_QUERIES && !self.queries.contains(&query) {
            self.queries.push(query);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ToolCounts, ToolField};

    #[test]
    fn counts_each_query_once() {
        let mut counts = ToolCounts::default();
        counts.take(ToolField::Queries, Some(br#"["weather","news",""]"#));
        counts.take(ToolField::Queries, Some(br#"["news"]"#));
        assert_eq!(counts.google_queries(), 2);
    }

    #[test]
    fn finds_the_image_model_before_and_after_the_tool_type() {
        let (kind, model) = (Some(&b"\"image_generation\""[..]), Some(&b"\"gpt-image-1\""[..]));
        for order in [[ToolField::ToolType, ToolField::ToolModel], [ToolField::ToolModel, ToolField::ToolType]] {
            let mut counts = ToolCounts::default();
            for field in order {
                counts.take(field, if field == ToolField::ToolType { kind } else { model });
            }
            assert_eq!(counts.image_model.as_deref(), Some("gpt-image-1"));
        }
    }
}
