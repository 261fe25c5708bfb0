use std::{cmp::Reverse, collections::HashMap};

use aho_corasick::packed::Searcher;
use http::Method;
use memchr::memmem::Finder;

use super::{
    format::Format,
    pattern::{Pattern, RequestPath},
    route::Route,
};
use crate::{
    body::json_scan::{Node, Want},
    usage::field::{EventEffect, Field, StreamEvent},
};

/// The fields that all formats want, merged so that a response is searched once.
pub(in crate::usage) struct Tables {
    pub(super) wanted: &'static [Node<Field>],
    events: Vec<&'static StreamEvent>,
    /// `None` if the platform lacks the vector instructions. Every document is read then.
    ///
    /// A packed search for all marks takes half the time of one `memmem` search per mark.
    marks: Option<Searcher>,
    /// The number of marks that count with any value. They come first.
    mark_count: usize,
    pub(in crate::usage) text_members: Vec<Finder<'static>>,
    pub(in crate::usage) object_members: Vec<Finder<'static>>,
    pub(in crate::usage) echoes: Vec<Finder<'static>>,
    /// Routes by their last segment or call, the most specific one first.
    routes: HashMap<&'static str, Vec<(Pattern, &'static Route)>>,
    /// Routes whose last segment is a wildcard, the most specific one first.
    open_routes: Vec<(Pattern, &'static Route)>,
}

impl Tables {
    pub(super) fn new(formats: &'static [&'static Format]) -> Self {
        let mut tree = Vec::new();
        let mut routes: HashMap<_, Vec<_>> = HashMap::new();
        let mut open_routes = Vec::new();
        for format in formats {
            format.wanted.iter().for_each(|(path, field)| insert(&mut tree, path, *field));
            for route in format.routes {
                let pattern = Pattern::new(route.path);
                let group = pattern.key().map_or(&mut open_routes, |key| routes.entry(key).or_default());
                group.push((pattern, route));
            }
        }
        for group in routes.values_mut().chain([&mut open_routes]) {
            group.sort_by_key(|(pattern, _)| Reverse(pattern.specificity()));
        }
        let events: Vec<_> = formats.iter().flat_map(|format| format.events).collect();
        let echoes = events.iter().filter(|event| event.effect == EventEffect::EchoesRequest);
        let marks = distinct(formats, |format| format.marks);
        let marks_unless_null = distinct(formats, |format| format.marks_unless_null);
        Self {
            wanted: nodes(tree),
            mark_count: marks.len(),
            marks: Searcher::new(marks.into_iter().chain(marks_unless_null)),
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
        let is_null = |end: usize| {
            let rest = bytes.get(end..).and_then(|rest| rest.strip_prefix(b":")).unwrap_or_default();
            rest.trim_ascii_start().starts_with(b"null")
        };
        self.marks.as_ref().is_none_or(|marks| {
            let mut found = marks.find_iter(bytes);
            found.any(|mark| mark.pattern().as_usize() < self.mark_count || !is_null(mark.end()))
        })
    }

    /// Returns the field of a stream event, given the JSON text of its type.
    pub(super) fn event(&self, value: Option<&[u8]>) -> Field {
        let name = value.and_then(|value| value.strip_prefix(b"\"")?.strip_suffix(b"\""));
        let event = name.and_then(|name| self.events.iter().find(|event| event.name.as_bytes() == name));
        event.map_or(Field::Ignored, |event| Field::Event(event))
    }

    /// Returns the most specific route that matches, and the part of the path that names the model.
    pub(super) fn route<'p>(&self, method: &Method, path: &'p str) -> Option<(&'static Route, &'p str)> {
        let path = RequestPath::new(path);
        let find = |group: &[(Pattern, &'static Route)]| {
            let mut group = group.iter().filter(|(_, route)| route.method == *method);
            group.find_map(|(pattern, route)| Some((pattern.specificity(), *route, pattern.captures(&path)?)))
        };
        let known = self.routes.get(path.key()).and_then(|group| find(group));
        let open = find(&self.open_routes);
        let best = known.into_iter().chain(open).max_by_key(|(specificity, ..)| *specificity);
        best.map(|(_, route, model)| (route, model))
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
