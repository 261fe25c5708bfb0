//! Where alerts wait for their delivery.

mod memory_outbox;
mod outbox;
mod outbox_entry;

pub(super) use self::{memory_outbox::MemoryOutbox, outbox::Outbox, outbox_entry::OutboxEntry};
