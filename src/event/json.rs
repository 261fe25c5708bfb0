//! The event as JSON, `tower-tagging/1`: written and read side by side.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{Method, StatusCode, Version};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, MapAccess, Visitor},
    ser::SerializeStruct,
};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{
    metadata::{Diagnostic, Metadata, Scope},
    text::http_version,
    time::{micros, whole_micros},
    trace::TraceContext,
    usage::LlmCall,
};

use super::{Event, Outcome, facts::Facts, settle::Settled};

/// The name of the schema. It changes only if a field is renamed or removed.
const SCHEMA: &str = "tower-tagging/1";

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Event", 18)?;
        object.serialize_field("schema", SCHEMA)?;
        object.serialize_field("id", self.facts.id.hyphenated().encode_lower(&mut Uuid::encode_buffer()))?;
        object.serialize_field("time", &Display(humantime::format_rfc3339_micros(whole_micros(self.facts.time))))?;
        object.serialize_field("trace", self.trace())?;
        object.serialize_field("request", &Request(self))?;
        object.serialize_field("response", &Response(self))?;
        object.serialize_field("timing", &Timing(self))?;
        object.serialize_field("api_key", &self.facts.api_key.as_deref())?;
        object.serialize_field("workspace", &self.facts.workspace.as_deref())?;
        object.serialize_field("virtual_key", &self.facts.virtual_key.as_deref())?;
        object.serialize_field("outcome", &self.facts.outcome)?;
        object.serialize_field("rejection", &self.facts.rejection)?;
        object.serialize_field("limit_rule", &self.facts.limit_rule)?;
        object.serialize_field("error", &self.facts.error)?;
        object.serialize_field("metadata", self.metadata())?;
        object.serialize_field("sources", &Sources(self))?;
        object.serialize_field("diagnostics", self.diagnostics())?;
        if let Some(llm) = self.llm() {
            object.serialize_field("llm", llm)?;
        }
        object.end()
    }
}

/// Serializes as its `Display` text.
struct Display<T>(T);

impl<T: fmt::Display> Serialize for Display<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

struct Request<'a>(&'a Event);

impl Serialize for Request<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let facts = &self.0.facts;
        let mut object = serializer.serialize_struct("Request", 6)?;
        object.serialize_field("method", facts.method.as_str())?;
        object.serialize_field("path", &facts.path)?;
        object.serialize_field("route", &facts.route())?;
        object.serialize_field("host", &facts.host())?;
        object.serialize_field("http_version", http_version(facts.version))?;
        object.serialize_field("body_bytes", &facts.request_body_bytes)?;
        object.end()
    }
}

struct Response<'a>(&'a Event);

impl Serialize for Response<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let grpc_status = self.0.facts.grpc_status;
        let mut object = serializer.serialize_struct("Response", 2 + usize::from(grpc_status.is_some()))?;
        object.serialize_field("status", &self.0.facts.status.map(|status| status.as_u16()))?;
        if let Some(status) = grpc_status {
            object.serialize_field("grpc_status", &status)?;
        }
        object.serialize_field("body_bytes", &self.0.facts.response_body_bytes)?;
        object.end()
    }
}

struct Timing<'a>(&'a Event);

impl Serialize for Timing<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Timing", 3)?;
        object.serialize_field("head_us", &self.0.facts.time_to_head.map(micros))?;
        object.serialize_field("first_byte_us", &self.0.facts.time_to_first_byte.map(micros))?;
        object.serialize_field("duration_us", &micros(self.0.facts.duration))?;
        object.end()
    }
}

/// Serializes the scope of each tag as a JSON object.
struct Sources<'a>(&'a Event);

impl Serialize for Sources<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.sources())
    }
}

impl<'de> Deserialize<'de> for Event {
    /// Reads a serialized event. Times have microsecond resolution; unknown members are ignored.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let members = deserializer.deserialize_map(MembersVisitor)?;
        parse(members)
            .map_err(|member| D::Error::custom(format_args!("missing or invalid member `{member}` of the event")))
    }
}

/// The members of an event. Objects whose keys a client chooses are not read as a [`Value`], because `serde_json` gives some
/// keys a special meaning.
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
        f.write_str("an event object")
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

/// Returns the event, or the name of the member that is missing or invalid.
fn parse(members: Members) -> Result<Event, &'static str> {
    let Members { object, metadata, sources } = members;
    if object.get("schema").and_then(Value::as_str) != Some(SCHEMA) {
        return Err("schema");
    }
    let null = Value::Null;
    let part = |name: &str| object.get(name).unwrap_or(&null);
    let (request, response, timing) = (part("request"), part("response"), part("timing"));
    let facts = Facts {
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
        status: response.get("status").and_then(Value::as_u64).map(status).transpose()?,
        grpc_status: response.get("grpc_status").and_then(Value::as_u64).and_then(|status| status.try_into().ok()),
        response_body_bytes: response.get("body_bytes").and_then(Value::as_u64).ok_or("response.body_bytes")?,
        time_to_head: duration(timing.get("head_us")),
        time_to_first_byte: duration(timing.get("first_byte_us")),
        duration: duration(timing.get("duration_us")).ok_or("timing.duration_us")?,
        outcome: text(object.get("outcome"))
            .and_then(|name| Outcome::ALL.iter().copied().find(|outcome| outcome.as_str() == name))
            .ok_or("outcome")?,
        api_key: text(object.get("api_key")).map(Arc::from),
        workspace: text(object.get("workspace")).map(Arc::from),
        virtual_key: text(object.get("virtual_key")).map(Arc::from),
        rejection: text(object.get("rejection")).map(Box::from),
        limit_rule: text(object.get("limit_rule")).map(Box::from),
        error: text(object.get("error")).map(str::to_owned),
        ..Facts::default()
    };
    let metadata = metadata.ok_or("metadata")?;
    let source = |key: &str| {
        let name = sources.get(key).unwrap_or_default();
        Scope::ALL.iter().copied().find(|scope| scope.as_str() == name).unwrap_or(Scope::Request)
    };
    let sources = metadata.iter().map(|(key, _)| source(key)).collect();
    let diagnostics = part("diagnostics").as_array().into_iter().flatten().filter_map(Diagnostic::from_json).collect();
    let settled = Settled {
        metadata,
        sources,
        diagnostics,
        llm: match part("llm") {
            Value::Null => None,
            call => Some(Box::new(LlmCall::from_json(call).ok_or("llm")?)),
        },
    };
    Ok(Event::new(facts, settled))
}

fn text(value: Option<&Value>) -> Option<&str> {
    value?.as_str()
}

fn status(status: u64) -> Result<StatusCode, &'static str> {
    u16::try_from(status).ok().and_then(|status| StatusCode::from_u16(status).ok()).ok_or("response.status")
}

fn duration(value: Option<&Value>) -> Option<Duration> {
    value?.as_u64().map(Duration::from_micros)
}

fn time(value: Option<&Value>) -> Option<SystemTime> {
    humantime::parse_rfc3339(value?.as_str()?).ok()
}

fn version(name: &str) -> Version {
    [Version::HTTP_09, Version::HTTP_10, Version::HTTP_2, Version::HTTP_3]
        .into_iter()
        .find(|version| http_version(*version) == name)
        .unwrap_or(Version::HTTP_11)
}
