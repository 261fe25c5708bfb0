//! The attributes of the [RPC conventions for gRPC](https://opentelemetry.io/docs/specs/semconv/rpc/grpc/).

use crate::{Event, event::grpc};

use super::attribute_list::AttributeList;

/// Adds the attributes of a gRPC call.
pub(super) fn add_attributes(event: &Event, is_client: bool, list: &mut AttributeList) {
    let names = event.rpc(is_client);
    if names.is_some() || event.grpc_status().is_some() {
        list.fixed("rpc.system", "grpc");
    }
    if let Some((service, method)) = names {
        list.text("rpc.service", service);
        list.text("rpc.method", method);
    }
    if let Some(status) = event.grpc_status() {
        list.number("rpc.grpc.status_code", status.into());
    }
}

/// Returns the name of the span of a gRPC call: `package.Service/Method`.
pub(super) fn span_name(event: &Event, is_client: bool) -> Option<String> {
    let (service, method) = event.rpc(is_client)?;
    Some(format!("{service}/{method}"))
}

/// Returns the name of the status of a gRPC call if it is an error: for a client, every status except `OK`; for a server, those
/// that are not the fault of the client.
pub(super) fn error(event: &Event, is_client: bool) -> Option<&'static str> {
    let is_error = |status: &u16| grpc::is_server_error(*status) || (is_client && *status != grpc::OK);
    event.grpc_status().filter(is_error).map(grpc::status_name)
}
