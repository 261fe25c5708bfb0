use askama::Template;

use crate::dashboard::{frame::Frame, table::Table};

/// A page that consists of tables.
#[derive(Template)]
#[template(path = "tables.html", config = "src/dashboard/askama.toml")]
pub(crate) struct TablesPage {
    pub(crate) frame: Frame,
    pub(crate) notes: Vec<String>,
    pub(crate) tables: Vec<Table>,
}
