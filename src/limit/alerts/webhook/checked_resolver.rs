use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    vec,
};

use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use tower_service::Service;

use super::addresses::is_public;

/// Resolves names to addresses that may be contacted.
///
/// The connector connects to the addresses that are returned, so a name that resolves to something else later has no effect.
#[derive(Clone, Debug)]
pub(super) struct CheckedResolver {
    resolver: GaiResolver,
    allow_private: bool,
}

impl CheckedResolver {
    pub(super) fn new(allow_private: bool) -> Self {
        Self { resolver: GaiResolver::new(), allow_private }
    }
}

impl Service<Name> for CheckedResolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.resolver.poll_ready(context)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (resolving, allow_private) = (self.resolver.call(name), self.allow_private);
        Box::pin(async move {
            let all = resolving.await?;
            let allowed: Vec<SocketAddr> = all.filter(|address| allow_private || is_public(address.ip())).collect();
            if allowed.is_empty() {
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, refusal()));
            }
            Ok(allowed.into_iter())
        })
    }
}

/// The reason why a host is not contacted.
pub(super) const fn refusal() -> &'static str {
    "the host has a private or reserved address: allow private addresses for this webhook to contact it"
}
