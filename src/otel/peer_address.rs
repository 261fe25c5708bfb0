use std::net::SocketAddr;

use http::Extensions;

/// Returns the address of the other end of the connection: axum's `ConnectInfo<SocketAddr>`, or else a `SocketAddr`.
pub(super) fn peer_address(extensions: &Extensions) -> Option<SocketAddr> {
    #[cfg(feature = "axum")]
    if let Some(axum::extract::ConnectInfo(address)) = extensions.get::<axum::extract::ConnectInfo<SocketAddr>>() {
        return Some(*address);
    }
    extensions.get().copied()
}
