use std::{collections::HashSet, path::Path};

use crate::ConfigError;

#[cfg(feature = "jwt")]
use super::super::jwt_definition::JwtDefinition;
#[cfg(feature = "analytics")]
use super::place::Table;
use super::{
    super::{
        build::build,
        file_set::FileSet,
        problem::{Problem, Problems},
        registry_builder::RegistryBuilder,
        snapshot::Snapshot,
    },
    config_format::ConfigFormat,
    config_problem::ConfigProblem,
    json_text,
    node::Node,
    place::Place,
    position::Lines,
    read_settings::SECTIONS,
    reader::Reader,
    toml_text,
};

/// Loads a configuration. Relative paths start at the folder of the file.
pub(crate) fn load(
    text: &str,
    format: ConfigFormat,
    file: Option<&Path>,
    previous: Option<&Snapshot>,
) -> Result<Snapshot, ConfigError> {
    read(text, format, file, previous).map_err(|problems| ConfigProblem::error_of(&problems))
}

/// Returns every problem of a configuration.
pub(crate) fn check(text: &str, format: ConfigFormat, file: Option<&Path>) -> Vec<ConfigProblem> {
    read(text, format, file, None).err().unwrap_or_default()
}

/// Loads workspaces, API keys, and virtual keys in JSON in addition to a definition.
#[cfg(feature = "postgres")]
pub(crate) fn load_callers(
    json: &str,
    mut definition: RegistryBuilder,
    previous: Option<&Snapshot>,
) -> Result<Snapshot, ConfigError> {
    let (root, syntax) = json_text::parse(json, &Lines::new(json));
    let mut reader = Reader::new(None);
    syntax.into_iter().for_each(|problem| reader.problems.push(problem));
    let place = Place::root(&root);
    let table = place.table(CALLERS, &mut reader.problems);
    reader.callers(&table, &mut definition);
    definition.files = FileSet::read(json, reader.files);
    let mut problems = reader.problems.into_vec();
    let mut found = Problems::default();
    let snapshot = build(definition, previous, &mut found);
    add_causes(&mut problems, found.into_vec());
    Problems::from(problems).into_result().map(|()| snapshot)
}

/// Reads sections that belong to another module. Unknown sections are left to the registry.
///
/// Returns every problem of the sections and of the syntax, in the order of the text.
#[cfg(feature = "analytics")]
pub(crate) fn read_sections<T>(
    text: &str,
    format: ConfigFormat,
    file: Option<&Path>,
    read: impl FnOnce(&mut Reader<'_>, &Table<'_>) -> T,
) -> Result<T, Vec<ConfigProblem>> {
    let lines = Lines::new(text);
    let (root, syntax) = parse(text, format, &lines);
    let mut reader = Reader::new(file.and_then(Path::parent));
    let place = Place::root(&root);
    let table = place.any_table(&mut reader.problems);
    // Their problems are those of the registry.
    let names = table.get("names").and_then(|place| Reader::new(None).names(&place));
    reader.names = names.unwrap_or_default();
    let sections = read(&mut reader, &table);
    let mut problems = reader.problems.into_vec();
    add_syntax(&mut problems, syntax, &root, &lines);
    if problems.is_empty() { Ok(sections) } else { Err(positioned(problems, &root, &lines, file)) }
}

fn parse<'t>(text: &'t str, format: ConfigFormat, lines: &Lines<'t>) -> (Node<'t>, Vec<Problem>) {
    match format {
        ConfigFormat::Toml => toml_text::parse(text),
        ConfigFormat::Json => json_text::parse(text, lines),
    }
}

/// Adds errors of the syntax. What the parser made of a line with an error may cause further problems, which are removed.
fn add_syntax(problems: &mut Vec<Problem>, syntax: Vec<Problem>, root: &Node<'_>, lines: &Lines<'_>) {
    let line = |problem: &Problem| lines.position(start(problem, root)).0;
    let broken: HashSet<usize> = syntax.iter().map(line).collect();
    problems.retain(|problem| !broken.contains(&line(problem)));
    problems.extend(syntax);
}

fn read(
    text: &str,
    format: ConfigFormat,
    file: Option<&Path>,
    previous: Option<&Snapshot>,
) -> Result<Snapshot, Vec<ConfigProblem>> {
    let lines = Lines::new(text);
    let (root, syntax) = parse(text, format, &lines);
    let mut reader = Reader::new(file.and_then(Path::parent));
    let mut definition = reader.definition(&root);
    let mut problems = reader.problems.into_vec();
    let snapshot = if syntax.is_empty() {
        definition.files = FileSet::read(text, reader.files);
        let mut found = Problems::default();
        let snapshot = build(definition, previous, &mut found);
        add_causes(&mut problems, found.into_vec());
        Some(snapshot)
    } else {
        add_syntax(&mut problems, syntax, &root, &lines);
        None
    };
    match snapshot {
        Some(snapshot) if problems.is_empty() => Ok(snapshot),
        _ => Err(positioned(problems, &root, &lines, file)),
    }
}

/// The sections with callers.
#[cfg(feature = "postgres")]
const CALLERS: &[&str] = &["api_keys", "virtual_keys", "workspaces"];

impl Reader<'_> {
    fn definition(&mut self, root: &Node<'_>) -> RegistryBuilder {
        let mut builder = RegistryBuilder::default();
        let place = Place::root(root);
        let root = place.table(SECTIONS, &mut self.problems);
        self.callers(&root, &mut builder);
        self.settings(&root, &mut builder);
        if let Some(place) = root.get("jwt") {
            #[cfg(feature = "jwt")]
            {
                builder.jwt = self.jwt(&place).map(JwtDefinition::Settings);
            }
            #[cfg(not(feature = "jwt"))]
            place.fail(&mut self.problems, "tokens need the feature `jwt` of the crate `tower-tagging`");
        }
        builder
    }
}

/// Adds the problems that are not reported just because a value could not be read.
fn add_causes(unread: &mut Vec<Problem>, found: Vec<Problem>) {
    let parts = |problem: &Problem| {
        (0..=problem.path.len()).filter_map(|end| Some(problem.path.get(..end)?.to_vec())).collect::<Vec<_>>()
    };
    let explained: HashSet<Vec<String>> = unread.iter().flat_map(parts).collect();
    unread.extend(found.into_iter().filter(|problem| problem.is_certain || !explained.contains(&problem.path)));
}

/// Returns the place of a problem in bytes.
fn start(problem: &Problem, root: &Node<'_>) -> usize {
    problem.span.clone().unwrap_or_else(|| root.locate(&problem.path)).start
}

/// Adds lines and columns, and sorts by them.
fn positioned(problems: Vec<Problem>, root: &Node<'_>, lines: &Lines<'_>, file: Option<&Path>) -> Vec<ConfigProblem> {
    let file = file.map(|file| file.display().to_string());
    let mut problems: Vec<ConfigProblem> = problems
        .into_iter()
        .map(|problem| {
            let (line, column) = lines.position(start(&problem, root));
            let path = problem.path_text();
            ConfigProblem { file: file.clone(), line, column, path, message: problem.message }
        })
        .collect();
    problems.sort_by_key(|problem| (problem.line, problem.column));
    problems
}
