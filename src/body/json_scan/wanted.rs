/// A key of an object, and what is wanted of its value.
pub(crate) struct Node<F: 'static> {
    pub(crate) key: &'static str,
    pub(crate) want: Want<F>,
}

/// The part of a value that is wanted. `F` names the values that are reported.
pub(crate) enum Want<F: 'static> {
    /// The value itself, reported under this name.
    Value(F),
    /// Values within the object.
    #[cfg(feature = "llm")]
    Object(&'static [Node<F>]),
    /// Values within each object of the array. If the array has no objects, `[]` is reported under this name.
    #[cfg(feature = "llm")]
    Array(&'static [Node<F>], F),
}

/// The number of documents in the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Roots {
    /// One object. Anything after it is ignored.
    One,
    /// Several objects, in sequence or in an array. Whitespace, commas, and brackets between them are skipped.
    Many,
}

/// An open object or array in which something is wanted.
#[derive(Clone, Copy)]
pub(super) struct Level<F: 'static> {
    /// The nodes of the object, or of each object in the array.
    pub(super) nodes: &'static [Node<F>],
    pub(super) is_array: bool,
    /// The name to report if the array ends without an object.
    pub(super) report_if_empty: Option<F>,
}

impl<F> Level<F> {
    pub(super) fn object(nodes: &'static [Node<F>]) -> Self {
        Self { nodes, is_array: false, report_if_empty: None }
    }
}

impl<F: Copy> Want<F> {
    /// Returns the level that an opening brace or bracket starts, if something within it is wanted.
    pub(super) fn level(&self, byte: u8) -> Option<Level<F>> {
        match (byte, self) {
            #[cfg(feature = "llm")]
            (b'{', Self::Object(nodes)) => Some(Level::object(nodes)),
            #[cfg(feature = "llm")]
            (b'[', Self::Array(nodes, name)) => Some(Level { nodes, is_array: true, report_if_empty: Some(*name) }),
            _ => None,
        }
    }
}
