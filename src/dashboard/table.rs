//! Tables, as several pages show them.

/// A table with a heading. Templates write all of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    /// The id of the heading.
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) note: String,
    /// The page with the whole table.
    pub(crate) more: Option<String>,
    /// The text of that link. Empty for "All".
    pub(crate) more_label: &'static str,
    /// The first column names the rows.
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<TableRow>,
    /// What the table says if it has no rows.
    pub(crate) empty: String,
}

/// The heading of a column.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) title: String,
    /// `true` for text, which is on the left.
    pub(crate) is_text: bool,
}

/// A row of a table.
#[derive(Clone, Debug, Default)]
pub(crate) struct TableRow {
    pub(crate) label: String,
    /// `true` if the label is not a value of the data, such as "not set".
    pub(crate) is_unset: bool,
    pub(crate) href: Option<String>,
    pub(crate) cells: Vec<Cell>,
}

/// A cell of a table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cell {
    pub(crate) text: String,
    pub(crate) is_text: bool,
    /// The class of a badge. Empty for plain text.
    pub(crate) badge: &'static str,
    /// The page that the text leads to.
    pub(crate) href: Option<String>,
}

impl Table {
    /// Creates a table. Titles that begin with `<` are those of columns with text.
    pub(crate) fn new(id: &str, title: impl Into<String>, columns: &[&str]) -> Self {
        let column =
            |title: &&str| Column { is_text: title.starts_with('<'), title: title.trim_start_matches('<').to_owned() };
        Self {
            id: id.to_owned(),
            title: title.into(),
            columns: columns.iter().map(column).collect(),
            ..Self::default()
        }
    }
}

impl Cell {
    /// Creates a cell with a number, on the right.
    pub(crate) fn number(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// Creates a cell with text, on the left.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_text: true, ..Self::default() }
    }

    /// Creates a cell with a badge.
    pub(crate) fn badge(text: impl Into<String>, badge: &'static str) -> Self {
        Self { text: text.into(), is_text: true, badge, href: None }
    }

    /// Creates a cell with a link.
    pub(crate) fn link(text: impl Into<String>, href: String) -> Self {
        Self { href: Some(href), ..Self::text(text) }
    }
}
