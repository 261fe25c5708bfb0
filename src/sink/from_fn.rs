use std::{any::type_name, fmt, sync::Arc};

use crate::event::Event;

use super::sink::Sink;

/// Creates a sink from a closure.
///
/// It is called on the task that served the request.
///
/// The closure must obey the [contract of sinks](Sink#contract). In reports the sink is called `closure`.
///
/// ```
/// use tower_tagging::{TaggingLayer, sink};
///
/// let layer = TaggingLayer::builder()
///     .sink(sink::from_fn(|event| println!("{} {}", event.path(), event.outcome())))
///     .build()?;
/// # Ok::<(), tower_tagging::ConfigError>(())
/// ```
pub fn from_fn<F>(f: F) -> FromFn<F>
where
    F: Fn(Arc<Event>) + Send + Sync + 'static,
{
    FromFn { f }
}

/// A [`Sink`] that calls a closure; created by [`from_fn`].
#[derive(Clone, Copy)]
pub struct FromFn<F> {
    f: F,
}

impl<F: Fn(Arc<Event>) + Send + Sync + 'static> Sink for FromFn<F> {
    fn emit(&self, event: Arc<Event>) {
        (self.f)(event);
    }

    fn name(&self) -> &'static str {
        "closure"
    }
}

impl<F> fmt::Debug for FromFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FromFn").field(&format_args!("{}", type_name::<F>())).finish()
    }
}
