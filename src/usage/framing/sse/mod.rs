//! Server-sent events.

mod server_sent_events;
#[cfg(test)]
mod tests;

pub(super) use self::server_sent_events::ServerSentEvents;
