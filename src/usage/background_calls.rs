use std::{
    collections::{HashSet, VecDeque},
    hash::{BuildHasher, RandomState},
    sync::{Mutex, PoisonError},
};

/// Maximum number of calls that are remembered. They take about half a megabyte.
const MAX_CALLS: usize = 16 * 1024;

/// The background calls whose usage was counted already. Their results can be retrieved any number of times.
#[derive(Default)]
pub(super) struct BackgroundCalls {
    hasher: RandomState,
    counted: Mutex<Counted>,
}

#[derive(Default)]
struct Counted {
    calls: HashSet<u64>,
    /// The same calls, oldest first.
    order: VecDeque<u64>,
}

impl BackgroundCalls {
    /// Remembers a call by the id of its response. Returns `false` if it is known already.
    pub(super) fn insert(&self, id: &str) -> bool {
        let call = self.hasher.hash_one(id);
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let Counted { calls, order } = &mut *counted;
        if !calls.insert(call) {
            return false;
        }
        order.push_back(call);
        if order.len() > MAX_CALLS
            && let Some(oldest) = order.pop_front()
        {
            calls.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::{BackgroundCalls, MAX_CALLS};

    #[test]
    fn remembers_a_bounded_number_of_calls() {
        let calls = BackgroundCalls::default();
        assert!(calls.insert("first") && !calls.insert("first"));
        for call in 0..MAX_CALLS {
            assert!(calls.insert(&call.to_string()));
        }
        assert!(!calls.insert("1") && calls.insert("first"));
        let counted = calls.counted.lock().unwrap();
        assert_eq!((counted.calls.len(), counted.order.len()), (MAX_CALLS, MAX_CALLS));
    }
}
