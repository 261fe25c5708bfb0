//! Tags: reading them, merging them by scope, keeping them within limits.
//!
//! [`MetadataLayer`] reads request-scope tags out of the headers, merges them with the tags of trusted scopes, and puts
//! the handle [`Tags`](crate::Tags) into the request extensions. It is one of the three layers that
//! [`TaggingLayer`](crate::TaggingLayer) composes, and works alone when you want tags without trace ids or events:
//!
//! ```
//! use tower::{Layer, ServiceExt};
//! use tower_tagging::{Tags, tags, metadata::Scope, sources::TagSources, MetadataLayer};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let layer = MetadataLayer::builder()
//!     .sources(TagSources::portkey())
//!     .scope(Scope::Fallback, tags! { "env" => "dev" })
//!     .scope(Scope::Forced, tags! { "region" => "eu" })
//!     .build()?;
//!
//! let service = layer.layer(tower::service_fn(|request: http::Request<String>| async move {
//!     let tags = request.extensions().get::<Tags>().ok_or("no tags")?;
//!     assert_eq!(tags.metadata(), tags! { "_user" => "ada", "env" => "dev", "region" => "eu" });
//!     Ok::<_, &str>(http::Response::new(String::new()))
//! }));
//!
//! let request = http::Request::builder()
//!     .header("x-portkey-metadata", r#"{"_user": "ada", "region": "spoofed"}"#)
//!     .body(String::new())?;
//! service.oneshot(request).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Which value wins
//!
//! Every tag has a [`Scope`], and the strongest scope wins: [`Precedence::Strict`] trusts code over the client.
//! What a client says can only ever be of scope [`Request`](Scope::Request). A client's tag under a trusted one of the
//! same key is `shadowed`: it stays visible as a [diagnostic](Diagnostic) on the event and is
//! [counted](MetadataLayer::shadowed_total).
//!
//! Trusted tags come from, each over the one before where they name the same key in the same scope:
//!
//! 1. [`MetadataLayerBuilder::scope`]: maps known when the layer is built, which must be within the limits;
//! 2. [`MetadataLayerBuilder::resolver`]: a closure over the request head, for example a look-up of the API key;
//! 3. a [`Scopes`] extension in the request, inserted by an outer layer;
//! 4. [`Tags::extend_scope`](crate::Tags::extend_scope), called by an inner layer or handler.
//!
//! # What is read
//!
//! See [`sources`]. What is longer than the [`Limits`] is cut or dropped, and noted.
//!
//! The headers are kept when the request comes, and read when somebody asks for the tags: the handler through
//! [`Tags`](crate::Tags), or else the thread of a sink. Only where a request may be [rejected](Overflow::Reject) for its
//! tags are they read before it goes on.

pub(crate) mod diagnostic;
pub(crate) mod limits;
mod map;
mod scope;

use std::{env, fmt};

use http::HeaderName;

pub use self::{
    diagnostic::{Diagnostic, DiagnosticCode},
    limits::{Limits, Overflow},
    map::{Iter, Metadata},
    scope::{ParsePrecedenceError, Precedence, Scope, Scopes},
};

/// Why a layer could not be built.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// An entry of an allow-list is no header name, or renames to an empty key.
    InvalidHeader {
        /// The entry as it was written.
        entry: String,
        /// The environment variable it stands in, if it came from one.
        variable: Option<&'static str>,
    },
    /// An allow-list names a header that holds secrets and is not [opted in](TagSources::allow_secret).
    SecretHeader {
        /// The refused header.
        name: HeaderName,
        /// The environment variable it stands in, if it came from one.
        variable: Option<&'static str>,
    },
    /// No header name can begin with this prefix.
    InvalidPrefix {
        /// The prefix as it was written.
        prefix: String,
        /// The environment variable it stands in, if it came from one.
        variable: Option<&'static str>,
    },
    /// An environment variable holds a value it can't have.
    InvalidVariable {
        /// The variable.
        variable: &'static str,
        /// What is wrong with its value.
        reason: String,
    },
    /// Hosts of outgoing calls are named by something else than `api.example.com`, `api.example.com:8443` or `*.example.com`.
    InvalidHost {
        /// The pattern as it was written.
        pattern: String,
    },
    /// A map that code gave to a scope is not within the limits.
    OverLimit {
        /// The scope of the map.
        scope: Scope,
        /// What the limits would change in it.
        problem: Diagnostic<'static>,
    },
    /// LLM usage is to be read for nobody: there is no sink, no telemetry, and no request that it is told.
    UsageWithoutSink,
}

impl ConfigError {
    pub(crate) fn in_variable(mut self, name: &'static str) -> Self {
        match &mut self {
            Self::InvalidHeader { variable, .. }
            | Self::SecretHeader { variable, .. }
            | Self::InvalidPrefix { variable, .. } => *variable = Some(name),
            Self::InvalidVariable { .. }
            | Self::InvalidHost { .. }
            | Self::OverLimit { .. }
            | Self::UsageWithoutSink => {}
        }
        self
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::InvalidHeader { variable: Some(name), .. }
        | Self::SecretHeader { variable: Some(name), .. }
        | Self::InvalidPrefix { variable: Some(name), .. } = self
        {
            write!(f, "{name}: ")?;
        }
        match self {
            Self::InvalidHeader { entry, .. } => {
                write!(f, "{entry:?} is no header name, or renames one to what can be no key")
            }
            Self::SecretHeader { name, .. } => {
                let opt_in = "unless it is opted in by name, with `TagSources::allow_secret` before the allow-list";
                write!(f, "header \"{name}\" holds secrets and is refused as a tag {opt_in}")
            }
            Self::InvalidPrefix { prefix, .. } => write!(f, "no header name begins with {prefix:?}"),
            Self::InvalidVariable { variable, reason } => write!(f, "{variable}: {reason}"),
            Self::InvalidHost { pattern } => {
                write!(f, "{pattern:?} is no host such as \"api.example.com\" or \"*.example.com\"")
            }
            Self::OverLimit { scope, problem } => {
                write!(f, "tags of scope {scope} are over the limits, which `Limits` can raise: {problem}")
            }
            Self::UsageWithoutSink => f.write_str(
                "LLM usage is read for nobody: add a sink, events or telemetry, or let the `UsageTap` roll up",
            ),
        }
    }
}

impl std::error::Error for ConfigError {}

/// The value of an environment variable; `None` when it is not set or empty.
pub(crate) fn env_var(name: &'static str) -> Result<Option<String>, ConfigError> {
    match env::var(name) {
        Ok(value) => Ok(Some(value).filter(|value| !value.trim().is_empty())),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => {
            Err(ConfigError::InvalidVariable { variable: name, reason: "the value is no UTF-8".to_owned() })
        }
    }
}
