use super::diagnostic::Diagnostic;

/// The diagnostics of one request, limited in number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Diagnostics {
    list: Vec<Diagnostic<'static>>,
    left_out: usize,
}

impl Diagnostics {
    /// Maximum number of diagnostics of one request.
    pub(crate) const MAX: usize = 64;

    /// Adds a diagnostic, or counts it if there are too many.
    pub(crate) fn push(&mut self, diagnostic: Diagnostic<'_>) {
        if self.list.len() < Self::MAX {
            self.list.push(diagnostic.into_owned());
        } else {
            self.left_out += 1;
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Diagnostic<'_>> {
        self.list.iter().map(Diagnostic::borrowed)
    }

    /// Returns the number of diagnostics that were dropped.
    pub(crate) fn left_out(&self) -> usize {
        self.left_out
    }

    /// Returns the approximate size in memory, in bytes.
    pub(crate) fn approximate_bytes(&self) -> usize {
        self.list.iter().map(Diagnostic::approximate_bytes).sum()
    }
}
