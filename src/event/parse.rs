//! Reads a serialized event back.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use http::{Method, StatusCode, Version};
use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor},
};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{
    metadata::{Diagnostic, DiagnosticCode, Metadata, Scope, diagnostic::Diagnostics},
    request::request_tags::RequestTags,
    trace::TraceContext,
};

use super::{Event, Outcome};

impl<'de> Deserialize<'de> for Event {
    /// Reads what `Serialize` writes: `serde_json::from_str::<Event>(line)`. Times have lost what they had below a
    /// microsecond; members and diagnostics that this version does not know are left out.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let members = deserializer.deserialize_map(MembersVisitor)?;
        parse(members).map_err(|member| D::Error::custom(format_args!("the event's member `{member}` can't be read")))
    }
}

/// The members of an event. Those whose keys a client chooses are not read as a [`Value`], which sees more in some keys than
/// keys.
#[derive(Default)]
struct Members {
    object: Map<String, Value>,
    metadata: Option<Metadata>,
    sources: Metadata,
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event, which is an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut members = Members::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "metadata" => members.metadata = Some(map.next_value()?),
                "sources" => members.sources = map.next_value()?,
                _ => _ = members.object.insert(key, map.next_value()?),
            }
        }
        Ok(members)
    }
}

/// The event, or the name of the member that can't be read.
fn parse(members: Members) -> Result<Event, &'static str> {
    let Members { object, metadata, sources } = members;
    if object.get("schema").and_then(Value::as_str) != Some("tower-tagging/1") {
        return Err("schema");
    }
    let null = Value::Null;
    let part = |name: &str| object.get(name).unwrap_or(&null);
    let (request, response, timing) = (part("request"), part("response"), part("timing"));
    let mut event = Event {
        id: text(object.get("id")).and_then(|id| Uuid::parse_str(id).ok()).ok_or("id")?,
        time: time(object.get("time")).ok_or("time")?,
        trace: TraceContext::from_json(part("trace")).ok_or("trace")?,
        method: text(request.get("method"))
            .and_then(|name| Method::from_bytes(name.as_bytes()).ok())
            .ok_or("request.method")?,
        version: version(text(request.get("http_version")).unwrap_or_default()),
        path: text(request.get("path")).ok_or("request.path")?.to_owned(),
        route: text(request.get("route")).unwrap_or_default().to_owned(),
        host: text(request.get("host")).unwrap_or_default().to_owned(),
        request_body_bytes: request.get("body_bytes").and_then(Value::as_u64),
        status: match response.get("status").and_then(Value::as_u64) {
            Some(status) => {
                Some(u16::try_from(status).ok().and_then(|s| StatusCode::from_u16(s).ok()).ok_or("status")?)
            }
            None => None,
        },
        response_body_bytes: response.get("body_bytes").and_then(Value::as_u64).ok_or("response.body_bytes")?,
        head: micros(timing.get("head_us")),
        first_byte: micros(timing.get("first_byte_us")),
        duration: micros(timing.get("duration_us")).ok_or("timing.duration_us")?,
        outcome: text(object.get("outcome"))
            .and_then(|name| Outcome::ALL.iter().copied().find(|outcome| outcome.as_str() == name))
            .ok_or("outcome")?,
        api_key: text(object.get("api_key")).map(Box::from),
        workspace: text(object.get("workspace")).map(Box::from),
        virtual_key: text(object.get("virtual_key")).map(Box::from),
        rejection: text(object.get("rejection")).map(Box::from),
        limit_rule: text(object.get("limit_rule")).map(Box::from),
        error: text(object.get("error")).map(str::to_owned),
        ..Event::default()
    };
    let metadata = metadata.ok_or("metadata")?;
    let source = |key: &str| {
        let name = sources.get(key).unwrap_or_default();
        Scope::ALL.into_iter().find(|scope| scope.as_str() == name).unwrap_or(Scope::Request)
    };
    let sources = metadata.iter().map(|(key, _)| source(key)).collect();
    let mut notes = Diagnostics::default();
    for note in part("diagnostics").as_array().into_iter().flatten() {
        let code = text(note.get("code")).and_then(DiagnosticCode::of_name);
        let Some(code) = code else { continue };
        let mut diagnostic = Diagnostic::new(code);
        if let Some(key) = text(note.get("key")) {
            diagnostic = diagnostic.with_key(key);
        }
        if let Some(detail) = text(note.get("detail")) {
            diagnostic = diagnostic.with_detail(detail);
        }
        notes.keep(diagnostic);
    }
    event.tags = RequestTags::merged_before(metadata, sources, notes);
    #[cfg(feature = "llm")]
    if let Some(llm) = object.get("llm") {
        let llm = crate::usage::LlmCall::from_json(llm).ok_or("llm")?;
        event.llm = Some(crate::usage::ObservedCall::settled(llm));
    }
    Ok(event)
}

fn text(value: Option<&Value>) -> Option<&str> {
    value?.as_str()
}

fn micros(value: Option<&Value>) -> Option<Duration> {
    value?.as_u64().map(Duration::from_micros)
}

fn time(value: Option<&Value>) -> Option<SystemTime> {
    humantime::parse_rfc3339(value?.as_str()?).ok()
}

fn version(name: &str) -> Version {
    [Version::HTTP_09, Version::HTTP_10, Version::HTTP_2, Version::HTTP_3]
        .into_iter()
        .find(|version| super::record::version_name(*version) == name)
        .unwrap_or(Version::HTTP_11)
}
