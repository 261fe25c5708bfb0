/// The name of work, in the extensions of the request head that stands for it.
#[derive(Clone)]
pub(super) struct WorkName(pub(super) Box<str>);
