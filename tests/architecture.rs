//! Checks the allowed dependencies between modules, and that there are no import cycles and no long files.
//!
//! The paths are read from the source as text: `use` trees and paths that start with `crate::`, `super::`, or `self::`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Each module with the modules that it may use. A module listed here may use the leaves without naming them.
const MAY_USE: &[(&str, &[&str])] = &[
    ("body", &[]),
    ("metadata", &[]),
    ("sources", &["metadata"]),
    ("trace", &["metadata"]),
    ("usage", &["body", "metadata", "trace"]),
    ("event", &["usage", "trace", "metadata"]),
    // The flat form of an event, which stores, exporters, and the tracing sink share.
    ("row", &["event", "usage", "trace", "metadata"]),
    ("request", &["event", "usage", "trace", "sources", "metadata", "body"]),
    ("sink", &["row", "event", "usage", "trace", "metadata"]),
    ("propagate", &["request", "trace", "metadata"]),
    ("tagging", &["request", "sink", "event", "usage", "trace", "sources", "metadata", "body"]),
    ("client", &["tagging", "propagate", "request"]),
    ("otel", &["tagging", "request", "sink", "event", "usage", "trace", "metadata"]),
    ("store", &["sink", "row", "event", "usage", "trace", "metadata"]),
    ("registry", &["tagging", "request", "sink", "event", "usage", "sources", "trace", "metadata", "store"]),
    (
        "analytics",
        &["registry", "store", "tagging", "request", "sink", "row", "event", "usage", "sources", "trace", "metadata"],
    ),
    (
        "limit",
        &[
            "analytics",
            "registry",
            "store",
            "tagging",
            "request",
            "sink",
            "row",
            "event",
            "usage",
            "sources",
            "trace",
            "metadata",
            "body",
        ],
    ),
    // The URLs of the dashboard, which its pages read, and to which answers to agents link.
    ("view", &["analytics"]),
    // The sinks are needed for the counts of events.
    ("dashboard", &["view", "limit", "analytics", "registry", "tagging", "sink"]),
    ("mcp", &["view", "limit", "analytics", "registry", "tagging"]),
    ("guide", &[]),
];

/// Modules that have no dependencies within the crate. Every module may use them.
const LEAVES: &[&str] = &["config_error", "headers", "https", "media", "short_text", "sync", "text", "time"];

/// Maximum number of lines of a file.
const MAX_LINES: usize = 500;
const MAX_LINES_IN_USAGE: usize = 300;

struct Source {
    path: PathBuf,
    /// The path of the module: `["sink", "queued", "queue"]`.
    module: Vec<String>,
    text: String,
}

impl Source {
    /// Creates a source from text without comments and string literals.
    fn new(path: &Path, text: &str) -> Self {
        let mut module: Vec<String> =
            path.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
        if module.last().is_some_and(|name| name == "mod" || name == "lib") {
            module.pop();
        }
        Self { path: path.to_owned(), module, text: code(text) }
    }
}

/// Removes comments and string literals, so that only code remains.
fn code(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['/', '"', '\'']) {
        code.push_str(&rest[..at]);
        let tail = &rest[at..];
        rest = if tail.starts_with("//") {
            tail.find('\n').map_or("", |end| &tail[end..])
        } else if let Some(comment) = tail.strip_prefix("/*") {
            comment.split_once("*/").map_or("", |(_, rest)| rest)
        } else if let Some(text) = tail.strip_prefix('"') {
            skip_string(&code, text)
        } else if let Some(text) = tail.strip_prefix('\'') {
            skip_character(text)
        } else {
            code.push('/');
            &tail[1..]
        };
    }
    code.push_str(rest);
    code
}

/// Returns the text after a string literal, without its opening quote. `before` ends with `r#` if it is a raw string.
fn skip_string<'t>(before: &str, text: &'t str) -> &'t str {
    let unhashed = before.trim_end_matches('#');
    let hashes = before.len() - unhashed.len();
    let is_raw = unhashed.ends_with('r') && (hashes > 0 || unhashed.ends_with(" r") || unhashed.ends_with("(r"));
    if is_raw {
        let end = format!("\"{}", "#".repeat(hashes));
        return text.split_once(&end).map_or("", |(_, rest)| rest);
    }
    let mut escaped = false;
    for (at, letter) in text.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return &text[at + 1..],
            _ => {}
        }
    }
    ""
}

/// Returns the text after a character literal, or after the quote of a lifetime.
fn skip_character(text: &str) -> &str {
    let mut letters = text.char_indices();
    match (letters.next(), letters.next()) {
        (Some((_, '\\')), Some((at, escaped))) => {
            text[at + escaped.len_utf8()..].split_once('\'').map_or("", |(_, rest)| rest)
        }
        (Some(_), Some((at, '\''))) => &text[at + 1..],
        _ => text,
    }
}

/// Expands the paths that start with a keyword: `crate::{a::B, c}` becomes `["a", "B"]` and `["c"]`, as absolute paths.
fn paths(source: &Source) -> BTreeSet<Vec<String>> {
    let mut found = BTreeSet::new();
    for (keyword, _) in [("crate::", 0), ("super::", 1), ("self::", 2)] {
        for (at, _) in source.text.match_indices(keyword) {
            let before = source.text[..at].chars().next_back();
            if before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_' || letter == ':') {
                continue;
            }
            let mut base = match keyword {
                "crate::" => Vec::new(),
                // `super` and `self` are relative to the file's module. The only inline modules are tests, which are
                // removed.
                "super::" => parent(&source.module),
                _ => source.module.clone(),
            };
            let mut rest = &source.text[at + keyword.len()..];
            while let Some(after) = rest.strip_prefix("super::") {
                base = parent(&base);
                rest = after;
            }
            expand(rest, &mut base, &mut found);
        }
    }
    found
}

fn parent(module: &[String]) -> Vec<String> {
    module[..module.len().saturating_sub(1)].to_vec()
}

/// Reads one path or one `{…}` tree and returns the rest of the text.
fn expand<'t>(text: &'t str, base: &mut Vec<String>, found: &mut BTreeSet<Vec<String>>) -> &'t str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = rest.trim_start();
            if let Some(after) = rest.strip_prefix('}') {
                return after;
            }
            let length = base.len();
            let after = expand(rest, base, found);
            base.truncate(length);
            let after = after.trim_start();
            let after = match after.strip_prefix("as ") {
                Some(alias) => alias.trim_start_matches(|letter: char| letter.is_alphanumeric() || letter == '_'),
                None => after,
            };
            let after = after.trim_start();
            match after.strip_prefix(',') {
                Some(after) => rest = after,
                None => return after.strip_prefix('}').unwrap_or(after),
            }
        }
    }
    let end =
        text.find(|letter: char| !letter.is_alphanumeric() && letter != '_' && letter != '*').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if name.is_empty() {
        return rest;
    }
    base.push(name.to_owned());
    match rest.strip_prefix("::") {
        Some(deeper)
            if deeper.trim_start().starts_with(|l: char| l.is_alphabetic() || l == '_' || l == '{' || l == '*') =>
        {
            expand(deeper, base, found)
        }
        _ => {
            found.insert(base.clone());
            rest
        }
    }
}

/// Returns the files of the crate, without their unit tests.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
                sources.push(Source::new(path.strip_prefix(&root).unwrap(), text));
            }
        }
    }
    sources.sort_by(|one, other| one.path.cmp(&other.path));
    sources
}

/// Maps each path that a `mod.rs` or `lib.rs` re-exports to the path of the item.
fn re_exports(sources: &[Source]) -> BTreeMap<Vec<String>, Vec<String>> {
    let mut map = BTreeMap::new();
    for source in sources.iter().filter(|source| source.path.ends_with("mod.rs") || source.path.ends_with("lib.rs")) {
        for (at, _) in source.text.match_indices("use self::") {
            let mut found = BTreeSet::new();
            expand(&source.text[at + "use self::".len()..], &mut source.module.clone(), &mut found);
            for path in found {
                let mut alias = source.module.clone();
                alias.extend(path.last().cloned());
                if alias != path {
                    map.insert(alias, path);
                }
            }
        }
    }
    map
}

/// Returns the index of the file that defines the item of a path.
fn file_of(
    path: &[String],
    re_exports: &BTreeMap<Vec<String>, Vec<String>>,
    files: &BTreeMap<Vec<String>, usize>,
) -> Option<usize> {
    let mut path = path.to_vec();
    // A prefix of the path may be re-exported: `crate::Tags::new`.
    for _ in 0..8 {
        let alias = (1..=path.len()).rev().find(|length| re_exports.contains_key(&path[..*length]));
        let Some(length) = alias else { break };
        let mut target = re_exports[&path[..length]].clone();
        target.extend_from_slice(&path[length..]);
        path = target;
    }
    (0..=path.len()).rev().find_map(|length| files.get(&path[..length]).copied())
}

/// Returns the files that each file uses.
fn graph(sources: &[Source]) -> Vec<BTreeSet<usize>> {
    let files: BTreeMap<_, _> =
        sources.iter().enumerate().map(|(index, source)| (source.module.clone(), index)).collect();
    let re_exports = re_exports(sources);
    let uses = sources.iter().enumerate().map(|(index, source)| {
        let is_index = source.path.ends_with("mod.rs") || source.path.ends_with("lib.rs");
        let used = paths(source).into_iter().filter_map(|path| file_of(&path, &re_exports, &files));
        // The declarations and re-exports of an index file are not uses.
        used.filter(|other| *other != index && !(is_index && sources[*other].module.starts_with(&source.module)))
            .collect()
    });
    uses.collect()
}

/// Returns one violation per line.
fn forbidden_uses(sources: &[Source]) -> Vec<String> {
    let mut violations = Vec::new();
    for (source, used) in sources.iter().zip(graph(sources)) {
        let Some(module) = source.module.first() else { continue };
        let may_use = MAY_USE.iter().find(|(name, _)| name == module).map(|(_, may_use)| *may_use);
        for other in used {
            let Some(target) = sources[other].module.first() else {
                violations.push(format!("{} uses the crate root", source.path.display()));
                continue;
            };
            let is_allowed = target == module
                || may_use
                    .is_some_and(|may_use| may_use.contains(&target.as_str()) || LEAVES.contains(&target.as_str()));
            if !is_allowed {
                violations.push(format!("{} must not use `{}`", source.path.display(), sources[other].path.display()));
            }
        }
    }
    violations
}

/// Returns the names of the nodes of each cycle.
fn cycles(graph: &[BTreeSet<usize>], name: impl Fn(usize) -> String) -> Vec<String> {
    /// Returns every node that can be reached from `start`.
    fn reachable(graph: &[BTreeSet<usize>], start: usize) -> BTreeSet<usize> {
        let mut reached = BTreeSet::new();
        let mut next: Vec<_> = graph[start].iter().copied().collect();
        while let Some(node) = next.pop() {
            if reached.insert(node) {
                next.extend(&graph[node]);
            }
        }
        reached
    }

    let reachable: Vec<_> = (0..graph.len()).map(|node| reachable(graph, node)).collect();
    let mut groups = BTreeSet::new();
    for node in 0..graph.len() {
        if reachable[node].contains(&node) {
            let group: Vec<_> =
                reachable[node].iter().copied().filter(|other| reachable[*other].contains(&node)).collect();
            groups.insert(group);
        }
    }
    groups.into_iter().map(|group| group.into_iter().map(&name).collect::<Vec<_>>().join(", ")).collect()
}

#[test]
fn modules_use_only_what_the_table_allows() {
    let violations = forbidden_uses(&sources());
    assert!(violations.is_empty(), "{} forbidden uses:\n{}", violations.len(), violations.join("\n"));
}

#[test]
fn every_module_has_a_row() {
    let mut modules: BTreeSet<_> = sources().iter().filter_map(|source| source.module.first().cloned()).collect();
    for (name, _) in MAY_USE {
        assert!(modules.remove(*name), "{name} is in the table but not in src/");
    }
    for name in LEAVES {
        modules.remove(*name);
    }
    assert!(modules.is_empty(), "modules without a row: {modules:?}");
}

#[test]
fn no_files_import_each_other_in_a_cycle() {
    let sources = sources();
    let cycles = cycles(&graph(&sources), |file| sources[file].path.display().to_string());
    assert!(cycles.is_empty(), "{} import cycles:\n{}", cycles.len(), cycles.join("\n"));
}

/// The declarations of an index file are not checked for cycles, so it must not contain code.
#[test]
fn index_files_contain_no_code() {
    let with_code: Vec<_> = sources()
        .into_iter()
        .filter(|source| source.path.ends_with("mod.rs"))
        .filter(|source| {
            let mut words = source.text.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
            words
                .any(|word| ["fn", "struct", "enum", "trait", "impl", "const", "static", "macro_rules"].contains(&word))
        })
        .map(|source| source.path.display().to_string())
        .collect();
    assert!(with_code.is_empty(), "index files with code: {with_code:?}");
}

#[test]
fn files_are_short() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let long: Vec<_> = sources()
        .into_iter()
        .filter_map(|source| {
            let lines = fs::read_to_string(root.join(&source.path)).unwrap().lines().count();
            let is_usage = source.module.first().is_some_and(|module| module == "usage");
            let max = if is_usage { MAX_LINES_IN_USAGE } else { MAX_LINES };
            (lines > max).then(|| format!("{}: {lines} lines, more than {max}", source.path.display()))
        })
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn finds_a_forbidden_use() {
    let sources = [
        ("lib.rs", "pub mod metadata; pub use self::sink::Sink;"),
        ("metadata/mod.rs", "mod limits;"),
        (
            "metadata/limits.rs",
            "use crate::{text::truncated, Sink};\n/// use crate::otel::Otel;\nfn f() { \"crate::otel\"; }",
        ),
        ("sink/mod.rs", "mod sink; pub use self::sink::Sink;"),
        ("sink/sink.rs", "use super::super::event::Event;"),
        ("event/mod.rs", ""),
        ("text.rs", ""),
        ("otel/mod.rs", ""),
    ];
    let sources: Vec<_> = sources.into_iter().map(|(path, text)| Source::new(Path::new(path), text)).collect();
    assert_eq!(forbidden_uses(&sources), ["metadata/limits.rs must not use `sink/sink.rs`"]);
}

#[test]
fn finds_a_cycle() {
    let sources = [
        ("lib.rs", ""),
        ("event/mod.rs", "mod pool; mod record; pub use self::{pool::Pool, record::{Event, Other}};"),
        ("event/pool.rs", "use super::Event;"),
        ("event/record.rs", "use super::pool::{self, Pool as P};"),
        ("event/free.rs", "use super::{pool::Pool, Other};"),
    ];
    let sources: Vec<_> = sources.into_iter().map(|(path, text)| Source::new(Path::new(path), text)).collect();
    let cycles = cycles(&graph(&sources), |file| sources[file].path.display().to_string());
    assert_eq!(cycles, ["event/pool.rs, event/record.rs"]);
}
