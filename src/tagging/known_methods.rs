use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, Mutex},
};

use crate::sync::lock;

/// Maximum number of methods that are remembered.
const MAX_METHODS: usize = 1000;

/// Maximum length of the path of a method that is remembered, in bytes.
const MAX_PATH_BYTES: usize = 512;

/// The gRPC methods that a service has.
///
/// Any client can send a request that looks like a gRPC call, so a path names a method only once the service has answered it.
/// The methods are remembered for calls without an answer, such as those that the client cancels.
#[derive(Clone, Default)]
pub(super) struct KnownMethods(Arc<Mutex<HashSet<Box<str>>>>);

impl KnownMethods {
    /// Adds a method that the service has. A method beyond the limits is ignored.
    pub(super) fn add(&self, path: &str) {
        let mut paths = lock(&self.0);
        if paths.len() < MAX_METHODS && path.len() <= MAX_PATH_BYTES && !paths.contains(path) {
            paths.insert(path.into());
        }
    }

    pub(super) fn contains(&self, path: &str) -> bool {
        lock(&self.0).contains(path)
    }
}

impl fmt::Debug for KnownMethods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KnownMethods").field("count", &lock(&self.0).len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::{KnownMethods, MAX_METHODS, MAX_PATH_BYTES};

    #[test]
    fn memory_is_bounded() {
        let methods = KnownMethods::default();
        let long = "x".repeat(MAX_PATH_BYTES + 1);
        methods.add(&long);
        for method in 0..=MAX_METHODS {
            methods.add(&format!("/a.B/{method}"));
        }
        assert!(methods.contains("/a.B/0") && methods.contains(&format!("/a.B/{}", MAX_METHODS - 1)));
        assert!(!methods.contains(&format!("/a.B/{MAX_METHODS}")) && !methods.contains(&long));
    }
}
