use std::sync::Arc;

use crate::event::Event;

use super::delivery::Delivery;

/// Accepts finished events.
///
/// # Contract
///
/// [`emit`](Self::emit) is called exactly once for each event, on the task that served the request, when the request
/// is over. This is often inside `Drop` of a response body, and sometimes while the thread unwinds from a panic.
/// Therefore, an implementation
///
/// - **never blocks**. It does no I/O, holds locks only briefly, and does not wait for other tasks. Slow work belongs
///   on another thread, which [`Queued`](super::Queued) provides for any [`BatchWriter`](super::BatchWriter).
/// - **never panics**. A panic is caught, counted as [`DropReason::Panicked`](super::DropReason::Panicked), and does
///   not affect the request.
/// - **accounts for every event**. A sink that delivers later reports its counts through
///   [`delivery`](Self::delivery). For any other sink, the layer counts.
///
/// Events are shared. A sink that keeps an event clones the `Arc`, not the event.
///
/// # Examples
///
/// [`from_fn`](super::from_fn) creates a sink from a closure. `Option<S>`, `Arc<S>`, and `Box<S>` are sinks if `S`
/// is one.
///
/// ```
/// use tower_tagging::{EventLayer, sink};
///
/// let layer = EventLayer::new(sink::from_fn(|event| println!("{} {}", event.path(), event.outcome())));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a sink",
    note = "wrap a closure in `sink::from_fn`, and a `BatchWriter` in `Queued::new`"
)]
pub trait Sink: Send + Sync + 'static {
    /// Accepts an event; see the [contract](Self#contract).
    fn emit(&self, event: Arc<Event>);

    /// Returns the background half of the sink, which delivers events after [`emit`](Self::emit) has returned.
    ///
    /// The default returns [`Delivery::none`]: an event is delivered when `emit` returns, and
    /// [`EventLayer`](crate::EventLayer) and [`Fanout`](super::Fanout) count for the sink. Implement
    /// [`DeliverySource`](super::DeliverySource) to return something else.
    fn delivery(&self) -> Delivery {
        Delivery::none()
    }

    /// Returns the name of the sink in reports, for a sink that does not count its events itself.
    #[allow(clippy::unnecessary_literal_bound, reason = "implementations may return a name that they own")]
    fn name(&self) -> &str {
        "sink"
    }

    /// Returns `false` if the sink discards every event, so that layers do not build any.
    fn is_listening(&self) -> bool {
        true
    }
}

macro_rules! forward_to_pointee {
    ($pointer:ident) => {
        impl<S: Sink + ?Sized> Sink for $pointer<S> {
            fn emit(&self, event: Arc<Event>) {
                (**self).emit(event);
            }

            fn delivery(&self) -> Delivery {
                (**self).delivery()
            }

            fn name(&self) -> &str {
                (**self).name()
            }

            fn is_listening(&self) -> bool {
                (**self).is_listening()
            }
        }
    };
}

forward_to_pointee!(Arc);
forward_to_pointee!(Box);

/// `None` discards every event. If it is the only sink, the layer builds none.
impl<S: Sink> Sink for Option<S> {
    fn emit(&self, event: Arc<Event>) {
        if let Some(sink) = self {
            sink.emit(event);
        }
    }

    fn delivery(&self) -> Delivery {
        self.as_ref().map_or_else(Delivery::none, Sink::delivery)
    }

    fn name(&self) -> &str {
        self.as_ref().map_or("none", Sink::name)
    }

    fn is_listening(&self) -> bool {
        self.as_ref().is_some_and(Sink::is_listening)
    }
}
