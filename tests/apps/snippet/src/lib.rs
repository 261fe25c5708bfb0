//! Extracts an example from a page of the docs: under a heading, the dependencies as TOML, and then the code.

use std::{env, fs, path::Path};

const PUBLISHED: &str = r#"tower-tagging = { version = "0.1""#;
const LOCAL: &str = r#"tower-tagging = { path = "../../..""#;

/// Writes the code under the heading to `OUT_DIR/example.rs`.
///
/// # Panics
///
/// Panics if there is no such example, or if the dependencies of the package are not those that the page lists.
pub fn extract(page: &str, heading: &str) {
    println!("cargo::rerun-if-changed={page}");
    let text = fs::read_to_string(page).unwrap_or_else(|error| panic!("cannot read {page}: {error}"));
    let section = format!("\n# {heading}\n");
    let (_, section) = text.split_once(&section).unwrap_or_else(|| panic!("{page} has no heading {heading:?}"));
    let section = section.split("\n# ").next().unwrap_or(section);
    // The page lists the published package.
    let listed = block(section, "toml").replace(PUBLISHED, LOCAL);
    let manifest = fs::read_to_string("Cargo.toml").expect("build scripts run in the folder of their package");
    let dependencies = manifest.split_once("\n[dependencies]\n").map_or("", |(_, rest)| rest);
    let dependencies = dependencies.split("\n[").next().unwrap_or_default();
    assert_eq!(dependencies.trim(), listed.trim(), "Cargo.toml and {page} list different dependencies");
    let path = Path::new(&env::var("OUT_DIR").expect("set by Cargo")).join("example.rs");
    fs::write(path, block(section, "rust,ignore")).expect("OUT_DIR is writable");
}

/// Returns the first code block with this language.
fn block<'t>(section: &'t str, language: &str) -> &'t str {
    let start = format!("```{language}\n");
    let block = section.split_once(&start).and_then(|(_, rest)| rest.split_once("```"));
    block.unwrap_or_else(|| panic!("no {language} block")).0
}
