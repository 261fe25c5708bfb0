/// The relative age of the events in memory and those in the backlog.
///
/// Events are delivered in the order of their arrival, although they wait in two places. That works because one place
/// as a whole is older than the other:
///
/// ```text
///            the writer is unavailable, or shutdown is out of time: memory is spilled
///      ┌──────────────────────────────────────────────────────────────────────────────┐
///      │                                                                              ▼
///  MemoryOlder                                                                   MemoryNewer
///  new events:  to memory, or to the backlog                         new events:  to memory; if it is full,
///               if any event is waiting there                                     its oldest are spilled first
///  next batch:  from memory; from the backlog                        next batch:  memory is spilled, then
///               once memory is empty                                              from the backlog
///      ▲                                                                              │
///      └──────────────────────────────────────────────────────────────────────────────┘
///                            the backlog is empty, or cannot be read
/// ```
///
/// Invariants:
///
/// 1. In `MemoryOlder`, every event in memory arrived before every event in the backlog.
/// 2. In `MemoryNewer`, every event in memory arrived after every event in the backlog. Memory is never delivered
///    directly, only appended to the backlog (*spilled*).
/// 3. One thread at a time spills, takes a batch, or changes the order, under one lock. So events keep their order on the way.
///
/// Order yields to safety. An event that the backlog refuses stays in memory, and when the backlog cannot be read,
/// memory is delivered first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    MemoryOlder,
    MemoryNewer,
}
