use std::borrow::Cow;

use http::{HeaderMap, HeaderName};
use serde_json::{Map, Value};

use crate::{
    ConfigError,
    metadata::{Diagnostic, DiagnosticCode, Scope, Scopes},
    text::header_text,
};

use super::{json_pointer::JsonPointer, tag_target::TagTarget};

/// The claims that become trusted tags.
///
/// A [JSON Pointer](https://www.rfc-editor.org/rfc/rfc6901) selects each claim: `/sub`, `/org/id`, or `/groups/0`. In the name
/// of a claim, `/` is written as `~1` and `~` as `~0`: `/https:~1~1example.org~1tenant`.
///
/// | claim | tag |
/// |---|---|
/// | a string | the string |
/// | a number, `true`, `false` | its JSON text |
/// | a list with one element | that element |
/// | any other list, an object | compact JSON text |
/// | missing, `null` | no tag |
///
/// If several claims set the same key in the same scope, the last one in the order of configuration wins.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TagMapping {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq)]
struct Rule {
    pointer: JsonPointer,
    target: TagTarget,
    /// The header that chooses among the elements of a list.
    choice: Option<HeaderName>,
}

impl TagMapping {
    /// Creates a mapping without claims.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stores the claim at a JSON Pointer as a tag of a trusted scope.
    ///
    /// # Errors
    ///
    /// Returns an error if the pointer is invalid, the key is empty, the scope is not [trusted](Scope::is_trusted), or the
    /// claim already sets this key.
    pub fn with(self, pointer: &str, key: &str, scope: Scope) -> Result<Self, ConfigError> {
        self.add(pointer, key, scope, None)
    }

    /// Stores one element of a list claim as a tag. A request header chooses the element.
    ///
    /// The header can only choose among the elements, so the tag is as trusted as the claim. Its value is compared with the
    /// text of each element. Without the header, the tag is the first element. The same applies if no element has this
    /// value, with the diagnostic [`NotInClaim`](DiagnosticCode::NotInClaim). A claim that is not a list counts as a list
    /// with one element, and an empty list sets no tag.
    ///
    /// ```
    /// use http::{HeaderMap, HeaderName, HeaderValue};
    /// use serde_json::json;
    /// use tower_tagging::{Scope, metadata::Scopes, registry::TagMapping};
    ///
    /// let header = HeaderName::from_static("x-team");
    /// let mapping = TagMapping::new().choose("/teams", header.clone(), "team", Scope::Workspace)?;
    /// let claims = json!({ "teams": ["growth", "ads"] });
    ///
    /// for (chosen, team, notes) in [("ads", "ads", 0), ("admin", "growth", 1)] {
    ///     let headers = HeaderMap::from_iter([(header.clone(), HeaderValue::from_static(chosen))]);
    ///     let mut scopes = Scopes::new();
    ///     let found = mapping.read_request(claims.as_object().unwrap(), &headers, &mut scopes);
    ///     assert_eq!((&scopes.get(Scope::Workspace)["team"], found.len()), (team, notes));
    /// }
    /// # Ok::<(), tower_tagging::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`with`](Self::with).
    pub fn choose(self, pointer: &str, header: HeaderName, key: &str, scope: Scope) -> Result<Self, ConfigError> {
        self.add(pointer, key, scope, Some(header))
    }

    fn add(mut self, pointer: &str, key: &str, scope: Scope, choice: Option<HeaderName>) -> Result<Self, ConfigError> {
        let pointer = JsonPointer::parse(pointer)?;
        let target = TagTarget::new(key, scope, &format!("the claim \"{pointer}\""))?;
        if self.rules.iter().any(|rule| rule.pointer == pointer && rule.target.key == target.key) {
            return Err(ConfigError::new(format!("the claim \"{pointer}\" sets the tag {key:?} twice: remove one")));
        }
        self.rules.push(Rule { pointer, target, choice });
        Ok(self)
    }

    /// Returns `true` if no claim becomes a tag.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Returns the keys of the tags.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|rule| &*rule.target.key)
    }

    /// Returns the keys of the tags that override those of a client.
    pub(crate) fn overriding_keys(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().filter(|rule| rule.target.overrides_client()).map(|rule| &*rule.target.key)
    }

    /// Returns the headers that choose elements of list claims.
    pub fn headers(&self) -> impl Iterator<Item = &HeaderName> {
        self.rules.iter().filter_map(|rule| rule.choice.as_ref())
    }

    /// Adds the tags of the claims. No header chooses among the elements of lists.
    pub fn read(&self, claims: &Map<String, Value>, scopes: &mut Scopes) {
        self.read_request(claims, &HeaderMap::new(), scopes);
    }

    /// Adds the tags of the claims of a request with these headers. Returns the diagnostics about
    /// [choices](Self::choose).
    pub fn read_request(
        &self,
        claims: &Map<String, Value>,
        headers: &HeaderMap,
        scopes: &mut Scopes,
    ) -> Vec<Diagnostic<'static>> {
        let mut notes = Vec::new();
        for Rule { pointer, target, choice } in &self.rules {
            let Some(claim) = pointer.find(claims) else { continue };
            let value = match choice {
                None => claim_text(claim),
                Some(header) => chosen_text(claim, header, headers, target, &mut notes),
            };
            if let Some(value) = value {
                target.set(&value, scopes);
            }
        }
        notes
    }
}

/// Returns the element that the header chooses, or else the first one.
fn chosen_text<'c>(
    claim: &'c Value,
    header: &HeaderName,
    headers: &HeaderMap,
    target: &TagTarget,
    notes: &mut Vec<Diagnostic<'static>>,
) -> Option<Cow<'c, str>> {
    let elements = match claim {
        Value::Array(elements) => elements.as_slice(),
        single => std::slice::from_ref(single),
    };
    if let Some(value) = headers.get(header) {
        let (wanted, _) = header_text(value.as_bytes());
        let chosen = elements.iter().filter_map(element_text).find(|text| *text == wanted.trim());
        if chosen.is_some() {
            return chosen;
        }
        let note = Diagnostic::new(DiagnosticCode::NotInClaim).with_key(&*target.key).with_detail(wanted);
        notes.push(note.into_owned());
    }
    elements.iter().find_map(element_text)
}

/// Returns the text of a claim. `None` if it sets no tag.
fn claim_text(claim: &Value) -> Option<Cow<'_, str>> {
    match claim {
        Value::Array(elements) => match elements.as_slice() {
            [single] => element_text(single),
            _ => Some(Cow::Owned(claim.to_string())),
        },
        _ => element_text(claim),
    }
}

fn element_text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(Cow::Borrowed(text)),
        other => Some(Cow::Owned(other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};
    use serde_json::{Value, json};

    use super::TagMapping;
    use crate::metadata::{DiagnosticCode, Scope, Scopes};

    const HEADER: HeaderName = HeaderName::from_static("x-team");

    #[test]
    fn converts_each_type_of_claim() {
        for (claim, tag) in [
            (json!("ada"), Some("ada")),
            (json!(""), Some("")),
            (json!(42), Some("42")),
            (json!(-1.5), Some("-1.5")),
            (json!(true), Some("true")),
            (json!(null), None),
            (json!([]), Some("[]")),
            (json!(["growth"]), Some("growth")),
            (json!([7]), Some("7")),
            (json!([null]), None),
            (json!([["a", "b"]]), Some(r#"["a","b"]"#)),
            (json!(["growth", "ads"]), Some(r#"["growth","ads"]"#)),
            (json!({"id": 1, "name": "Acme"}), Some(r#"{"id":1,"name":"Acme"}"#)),
        ] {
            let mapping = TagMapping::new().with("/claim", "tag", Scope::Workspace).unwrap();
            let mut scopes = Scopes::new();
            let claims = json!({ "claim": claim });
            mapping.read(claims.as_object().unwrap(), &mut scopes);
            assert_eq!(scopes.get(Scope::Workspace).get("tag"), tag, "{claims}");
            mapping.read(&serde_json::Map::new(), &mut scopes);
            assert_eq!(scopes.get(Scope::Workspace).get("tag"), tag, "a missing claim changes nothing");
        }
    }

    #[test]
    fn refuses_rules_that_are_not_trusted_or_ambiguous() {
        let problem = |pointer: &str, key: &str, scope| {
            let mapping = TagMapping::new().with("/sub", "_user", Scope::Forced).unwrap();
            let chosen = mapping.clone().choose(pointer, HEADER, key, scope).unwrap_err();
            let error = mapping.with(pointer, key, scope).unwrap_err();
            assert_eq!(chosen, error);
            error.to_string()
        };
        assert!(problem("/a", "key", Scope::Request).contains("invalid scope \"request\""));
        assert!(problem("/a", "key", Scope::Handler).contains("invalid scope \"handler\""));
        assert!(problem("/a", " ", Scope::Forced).contains("for the claim \"/a\""));
        assert!(problem("a", "key", Scope::Forced).contains("invalid JSON Pointer"));
        assert!(problem("/sub", "_user", Scope::ApiKey).contains("twice"));
        let mapping = TagMapping::new().with("/sub", "_user", Scope::Forced).unwrap();
        assert!(mapping.with("/sub", "owner", Scope::Forced).is_ok());
    }

    #[allow(clippy::needless_pass_by_value, reason = "tests pass literals")]
    fn chosen(claim: Value, header: Option<&'static [u8]>) -> (Option<String>, Vec<String>) {
        let mapping = TagMapping::new().choose("/teams", HEADER, "team", Scope::Workspace).unwrap();
        assert!(mapping.headers().eq([&HEADER]));
        let headers: HeaderMap =
            header.map(|value| (HEADER, HeaderValue::from_bytes(value).unwrap())).into_iter().collect();
        let mut scopes = Scopes::new();
        let notes = mapping.read_request(json!({ "teams": claim }).as_object().unwrap(), &headers, &mut scopes);
        assert!(notes.iter().all(|note| note.code() == DiagnosticCode::NotInClaim && note.key() == Some("team")));
        let notes = notes.iter().map(|note| note.detail().unwrap().to_owned()).collect();
        (scopes.get(Scope::Workspace).get("team").map(str::to_owned), notes)
    }

    #[test]
    fn a_header_chooses_within_a_claim_and_never_outside_of_it() {
        let teams = || json!(["growth", "ads", 7, "Zoë"]);
        let of = |team: &str, notes: &[&str]| {
            (Some(team.to_owned()), notes.iter().map(|note| (*note).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(chosen(teams(), None), of("growth", &[]));
        assert_eq!(chosen(teams(), Some(b"ads")), of("ads", &[]));
        assert_eq!(chosen(teams(), Some(b"7")), of("7", &[]));
        assert_eq!(chosen(teams(), Some("Zoë".as_bytes())), of("Zoë", &[]));
        for outside in ["admin", "ADS", "ads, growth", "", "[\"ads\"]"] {
            assert_eq!(chosen(teams(), Some(outside.as_bytes())), of("growth", &[outside]), "{outside}");
        }
        assert_eq!(chosen(json!("growth"), Some(b"growth")), of("growth", &[]));
        assert_eq!(chosen(json!("growth"), Some(b"ads")), of("growth", &["ads"]));
        assert_eq!(chosen(json!([]), Some(b"ads")), (None, vec!["ads".to_owned()]));
        assert_eq!(chosen(json!([null]), None), (None, vec![]));
    }
}
