use std::collections::HashMap;

use aho_corasick::packed::Searcher;
use http::Method;
use memchr::memmem::Finder;

use super::{
    format::Format,
    route::{Route, key_of_path},
};
use crate::{
    body::json_scan::{Node, Want},
    usage::field::{EventEffect, Field, StreamEvent},
};

/// What all formats want, merged so that a response is searched once.
pub(in crate::usage) struct Tables {
    pub(super) wanted: &'static [Node<Field>],
    events: Vec<StreamEvent>,
    /// `None` if the platform lacks the vector instructions. Every document is read then.
    ///
    /// A packed search for all marks takes half the time of one `memmem` search per mark.
    marks: Option<Searcher>,
    pub(in crate::usage) text_members: Vec<Finder<'static>>,
    pub(in crate::usage) object_members: Vec<Finder<'static>>,
    pub(in crate::usage) echoes: Vec<Finder<'static>>,
    /// Routes by their last segment or call.
    routes: HashMap<&'static str, Vec<&'static Route>>,
    /// Routes whose last segment is a wildcard.
    open_routes: Vec<&'static Route>,
}

impl Tables {
    pub(super) fn new(formats: &'static [&'static Format]) -> Self {
        let mut tree = Vec::new();
        let mut routes: HashMap<_, Vec<_>> = HashMap::new();
        let mut open_routes = Vec::new();
        for format in formats {
            format.wanted.iter().for_each(|(path, field)| insert(&mut tree, path, *field));
            for route in format.routes {
                route.key().map_or(&mut open_routes, |key| routes.entry(key).or_default()).push(route);
            }
        }
        let events: Vec<_> = formats.iter().flat_map(|format| format.events).copied().collect();
        let echoes = events.iter().filter(|event| event.effect == EventEffect::EchoesRequest);
        Self {
            wanted: nodes(tree),
            marks: Searcher::new(distinct(formats, |format| format.marks)),
            text_members: quoted(&distinct(formats, |format| format.text_members)),
            object_members: quoted(&distinct(formats, |format| format.object_members)),
            echoes: quoted(&echoes.map(|event| event.name).collect::<Vec<_>>()),
            events,
            routes,
            open_routes,
        }
    }

    /// Returns `true` if the bytes may contain a mark: the name of a count, the end of a stream, or an error.
    pub(in crate::usage) fn may_have_mark(&self, bytes: &[u8]) -> bool {
        self.marks.as_ref().is_none_or(|marks| marks.find(bytes).is_some())
    }

    /// Returns the field of a stream event, given the JSON text of its type.
    pub(super) fn event(&self, value: Option<&[u8]>) -> Field {
        let name = value.and_then(|value| value.strip_prefix(b"\"")?.strip_suffix(b"\""));
        let event = name.and_then(|name| self.events.iter().find(|event| event.name.as_bytes() == name));
        event.map_or(Field::Ignored, |event| Field::Event(*event))
    }

    /// Returns the most specific route that matches, and the part of the path that names the model.
    pub(super) fn route<'p>(&self, method: &Method, path: &'p str) -> Option<(&'static Route, &'p str)> {
        let known = self.routes.get(key_of_path(path)).into_iter().flatten();
        let candidates = known.chain(&self.open_routes).filter(|route| route.method == *method);
        candidates
            .filter_map(|route| Some((*route, route.captures(path)?)))
            .max_by_key(|(route, _)| route.specificity())
    }
}

/// A member that is wanted, or leads to wanted ones.
struct Branch {
    key: &'static str,
    field: Option<Field>,
    is_array: bool,
    members: Vec<Branch>,
}

fn insert(tree: &mut Vec<Branch>, path: &'static str, field: Field) {
    let (segment, rest) = match path.split_once('.') {
        Some((segment, rest)) => (segment, Some(rest)),
        None => (path, None),
    };
    let (key, is_array) = segment.strip_suffix("[]").map_or((segment, false), |key| (key, true));
    let at = tree.iter().position(|branch| branch.key == key).unwrap_or_else(|| {
        tree.push(Branch { key, field: None, is_array, members: Vec::new() });
        tree.len() - 1
    });
    let Some(branch) = tree.get_mut(at) else { return };
    match rest {
        Some(rest) => insert(&mut branch.members, rest, field),
        None => _ = branch.field.get_or_insert(field),
    }
}

/// Turns the tree into the form that scanners take. It lives as long as the process, in which it is made once.
fn nodes(tree: Vec<Branch>) -> &'static [Node<Field>] {
    let nodes = tree.into_iter().map(|Branch { key, field, is_array, members }| {
        let want = if is_array {
            Want::Array(nodes(members), field.unwrap_or(Field::Ignored))
        } else if members.is_empty() {
            Want::Value(field.unwrap_or(Field::Ignored))
        } else {
            Want::Object(nodes(members))
        };
        Node { key, want }
    });
    Box::leak(nodes.collect())
}

fn distinct(
    formats: &[&'static Format],
    texts: impl Fn(&'static Format) -> &'static [&'static str],
) -> Vec<&'static str> {
    let mut all = Vec::new();
    for text in formats.iter().copied().flat_map(texts) {
        if !all.contains(text) {
            all.push(*text);
        }
    }
    all
}

/// Creates searchers for JSON strings.
fn quoted(names: &[&'static str]) -> Vec<Finder<'static>> {
    names.iter().map(|name| Finder::new(&format!("\"{name}\"")).into_owned()).collect()
}
