use crate::config_error::{ConfigError, ConfigProblems};

use super::{destination::Destination, hosts::Hosts, propagate_layer::PropagateLayer};

/// Builds a [`PropagateLayer`].
#[must_use = "a builder does nothing until `build` is called"]
#[derive(Clone, Debug, Default)]
pub struct PropagateLayerBuilder {
    hosts: Hosts,
    overwrites: bool,
    problems: ConfigProblems,
}

impl PropagateLayer {
    /// Creates a builder for a layer that sends tags.
    pub fn builder() -> PropagateLayerBuilder {
        PropagateLayerBuilder::default()
    }
}

impl PropagateLayerBuilder {
    /// Sets the destination for the hosts that match a pattern.
    ///
    /// A pattern is a host (`api.example.com`) or a wildcard for its subdomains (`*.example.com`, which does not include
    /// `example.com`). With a port (`localhost:8080`), it matches only that port. If several patterns match, the most
    /// specific one applies. If a pattern is set twice, the later destination applies.
    ///
    /// An invalid pattern, such as a URL, makes [`build`](Self::build) fail.
    pub fn host(mut self, pattern: &str, destination: Destination) -> Self {
        self.problems.take(self.hosts.add(pattern, destination));
        self
    }

    /// Sets the destination for all hosts that match no pattern.
    ///
    /// By default, they receive the trace context and no tags. Use [`Destination::nothing`] to send them nothing.
    pub fn other_hosts(mut self, destination: Destination) -> Self {
        self.hosts.other = destination;
        self
    }

    /// Sets whether headers that an outgoing request already has are replaced.
    ///
    /// This includes `traceparent`.
    ///
    /// By default, they are kept.
    pub fn overwrite(mut self, overwrites: bool) -> Self {
        self.overwrites = overwrites;
        self
    }

    /// Builds the layer.
    ///
    /// # Errors
    ///
    /// Returns an error if a pattern is not a host, `host:port`, or `*.host`.
    pub fn build(self) -> Result<PropagateLayer, ConfigError> {
        self.problems.into_result()?;
        Ok(PropagateLayer::with(self.hosts, self.overwrites))
    }
}
