use crate::analytics::QueryError;

/// Maximum number of parameters of a URL.
const MAX_PARAMETERS: usize = 100;

/// The parameters of a URL in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct UrlQuery {
    pairs: Vec<(String, String)>,
}

impl UrlQuery {
    /// Reads a query string. Parameters without a value, which forms send for empty inputs, are left out.
    ///
    /// # Errors
    /// Returns an error if there are too many parameters.
    pub(crate) fn parse(query: &str) -> Result<Self, QueryError> {
        let pairs = form_urlencoded::parse(query.as_bytes()).filter(|(_, value)| !value.is_empty());
        let pairs: Vec<_> = pairs.take(MAX_PARAMETERS + 1).map(|(name, value)| (name.into(), value.into())).collect();
        if pairs.len() > MAX_PARAMETERS {
            return Err(QueryError::invalid(format!("more than {MAX_PARAMETERS} parameters")));
        }
        Ok(Self { pairs })
    }

    /// Returns the first value of a parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// Returns all values of a parameter.
    pub(crate) fn all<'q>(&'q self, name: &'q str) -> impl Iterator<Item = &'q str> {
        self.pairs.iter().filter(move |(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// Adds a parameter.
    pub(crate) fn push(&mut self, name: &str, value: impl Into<String>) {
        self.pairs.push((name.to_owned(), value.into()));
    }

    /// Adds all parameters of another query.
    pub(crate) fn extend(&mut self, other: &Self) {
        self.pairs.extend_from_slice(&other.pairs);
    }

    /// Removes a parameter.
    pub(crate) fn remove(&mut self, name: &str) {
        self.pairs.retain(|(other, _)| other != name);
    }

    pub(crate) fn into_pairs(self) -> Vec<(String, String)> {
        self.pairs
    }

    /// Returns the link from a page to itself with these parameters.
    pub(crate) fn href(&self) -> String {
        // An empty reference would keep the parameters of the page.
        if self.pairs.is_empty() { "?".to_owned() } else { self.text() }
    }

    /// Checks that there are no other parameters.
    ///
    /// # Errors
    /// Returns an error that names an unknown parameter. A condition that is ignored would show wrong numbers.
    pub(crate) fn check_names(&self, known: &[&[&str]]) -> Result<(), QueryError> {
        let unknown = self.pairs.iter().find(|(name, _)| !known.iter().any(|names| names.contains(&name.as_str())));
        unknown.map_or(Ok(()), |(name, _)| Err(QueryError::invalid(format!("unknown parameter {name:?}"))))
    }

    /// Checks that parameters with a single value occur once.
    ///
    /// # Errors
    /// Returns an error that names a repeated parameter. Only one of its values would have an effect.
    pub(crate) fn check_repeats(&self, lists: &[&str]) -> Result<(), QueryError> {
        let is_repeated = |(at, (name, _)): &(usize, &(String, String))| {
            !lists.contains(&name.as_str()) && self.pairs.iter().take(*at).any(|(other, _)| other == name)
        };
        match self.pairs.iter().enumerate().find(is_repeated) {
            Some((_, (name, _))) => {
                Err(QueryError::invalid(format!("the parameter {name:?} is repeated: expected one value")))
            }
            None => Ok(()),
        }
    }

    /// Returns the query string, with a question mark in front unless it is empty.
    pub(crate) fn text(&self) -> String {
        if self.pairs.is_empty() {
            return String::new();
        }
        let mut text = form_urlencoded::Serializer::for_suffix("?".to_owned(), 1);
        // The grammar of ranges and conditions is readable: `:`, `,` and `/` need no encoding in a query.
        text.extend_pairs(&self.pairs).finish().replace("%3A", ":").replace("%2C", ",").replace("%2F", "/")
    }
}
