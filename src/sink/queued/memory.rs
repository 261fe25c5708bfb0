use std::{collections::VecDeque, mem, sync::Arc};

use crate::event::Event;

/// An event in memory, and the bytes that it was counted for.
pub(super) type Held = (Arc<Event>, u64);

/// Events in memory, in their order, within bounds of number and bytes.
pub(super) struct Memory {
    events: VecDeque<Held>,
    bytes: u64,
    max_events: usize,
    max_bytes: u64,
}

impl Memory {
    pub(super) fn new(max_events: usize, max_bytes: u64, usual_events: usize) -> Self {
        Self { events: VecDeque::with_capacity(usual_events), bytes: 0, max_events, max_bytes }
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes an event, or gives it back.
    #[inline]
    pub(super) fn push(&mut self, held: Held) -> Result<(), Held> {
        match self.bytes.checked_add(held.1) {
            Some(bytes) if bytes <= self.max_bytes && self.events.len() < self.max_events => {
                self.bytes = bytes;
                self.events.push_back(held);
                Ok(())
            }
            _ => Err(held),
        }
    }

    /// Takes an event, and gives the oldest ones back until there is room for it. One that is larger than all the room there is
    /// makes nobody give way, and is given back itself.
    pub(super) fn displace(&mut self, mut held: Held) -> Vec<Arc<Event>> {
        if held.1 > self.max_bytes {
            return vec![held.0];
        }
        let mut displaced = Vec::new();
        while let Err(back) = self.push(held) {
            held = back;
            match self.pop() {
                Some(oldest) => displaced.push(oldest),
                None => return vec![held.0],
            }
        }
        displaced
    }

    pub(super) fn pop(&mut self) -> Option<Arc<Event>> {
        let (event, bytes) = self.events.pop_front()?;
        self.bytes -= bytes;
        Some(event)
    }

    /// Moves the oldest events into a buffer that is empty, at once where they are all there are.
    pub(super) fn take(&mut self, most: usize, taken: &mut VecDeque<Held>) {
        if taken.is_empty() && self.events.len() <= most {
            mem::swap(&mut self.events, taken);
            self.bytes = 0;
        } else {
            taken.extend(self.events.drain(..most.min(self.events.len())));
            self.bytes -= taken.iter().map(|(_, bytes)| bytes).sum::<u64>();
        }
    }
}
