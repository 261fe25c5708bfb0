use std::{collections::VecDeque, mem, sync::Arc};

use crate::event::Event;

/// An event in memory.
pub(super) struct Entry {
    pub(super) event: Arc<Event>,
    /// The size that the event was counted with. It may grow once the event is read.
    bytes: u64,
}

impl Entry {
    pub(super) fn new(event: Arc<Event>) -> Self {
        let bytes = event.approximate_bytes() as u64;
        Self { event, bytes }
    }
}

/// Events in memory, oldest first, within bounds of number and size.
pub(super) struct Memory {
    entries: VecDeque<Entry>,
    bytes: u64,
    max_events: usize,
    max_bytes: u64,
}

impl Memory {
    pub(super) fn new(max_events: usize, max_bytes: u64, usual_events: usize) -> Self {
        Self { entries: VecDeque::with_capacity(usual_events), bytes: 0, max_events, max_bytes }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds an event, or returns it if there is no room.
    #[inline]
    pub(super) fn push(&mut self, entry: Entry) -> Result<(), Entry> {
        match self.bytes.checked_add(entry.bytes) {
            Some(bytes) if bytes <= self.max_bytes && self.entries.len() < self.max_events => {
                self.bytes = bytes;
                self.entries.push_back(entry);
                Ok(())
            }
            _ => Err(entry),
        }
    }

    /// Adds an event, and returns the oldest ones that were removed to make room.
    ///
    /// An event that is larger than the whole memory displaces nothing and is returned itself.
    pub(super) fn displace(&mut self, mut entry: Entry) -> Vec<Arc<Event>> {
        if entry.bytes > self.max_bytes {
            return vec![entry.event];
        }
        let mut displaced = Vec::new();
        while let Err(rejected) = self.push(entry) {
            entry = rejected;
            match self.pop() {
                Some(oldest) => displaced.push(oldest),
                None => return vec![entry.event],
            }
        }
        displaced
    }

    pub(super) fn pop(&mut self) -> Option<Arc<Event>> {
        let Entry { event, bytes } = self.entries.pop_front()?;
        self.bytes -= bytes;
        Some(event)
    }

    /// Moves up to `max` of the oldest events into an empty buffer. If that is all of them, the buffers are swapped.
    pub(super) fn take(&mut self, max: usize, buffer: &mut VecDeque<Entry>) {
        if buffer.is_empty() && self.entries.len() <= max {
            mem::swap(&mut self.entries, buffer);
            self.bytes = 0;
        } else {
            buffer.extend(self.entries.drain(..max.min(self.entries.len())));
            self.bytes -= buffer.iter().map(|entry| entry.bytes).sum::<u64>();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(bytes: u64) -> Entry {
        Entry { event: Arc::new(Event::builder().build()), bytes }
    }

    fn memory(sizes: &[u64]) -> Memory {
        let mut memory = Memory::new(4, 100, 4);
        for bytes in sizes {
            assert!(memory.push(entry(*bytes)).is_ok());
        }
        memory
    }

    #[test]
    fn returns_events_that_exceed_a_bound() {
        assert!(memory(&[1, 1, 1, 1]).push(entry(1)).is_err(), "number of events");
        assert!(memory(&[60]).push(entry(41)).is_err(), "bytes");
        assert!(memory(&[60]).push(entry(40)).is_ok());
        assert!(memory(&[60]).push(entry(u64::MAX)).is_err(), "the sum overflows");
    }

    #[test]
    fn displaces_as_many_events_as_necessary() {
        let mut full = memory(&[30, 30, 30]);
        assert_eq!(full.displace(entry(50)).len(), 2);
        assert_eq!((full.len(), full.bytes()), (2, 80));
    }

    #[test]
    fn an_event_larger_than_memory_displaces_nothing() {
        let mut full = memory(&[30, 30]);
        assert_eq!(full.displace(entry(101)).len(), 1);
        assert_eq!((full.len(), full.bytes()), (2, 60));
    }

    #[test]
    fn taken_events_free_their_bytes() {
        let mut buffer = VecDeque::new();
        let mut some = memory(&[10, 20, 30]);
        some.take(2, &mut buffer);
        assert_eq!((buffer.len(), some.len(), some.bytes()), (2, 1, 30));
        buffer.clear();
        some.take(2, &mut buffer);
        assert_eq!((buffer.len(), some.len(), some.bytes()), (1, 0, 0));
    }
}
