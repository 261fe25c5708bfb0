use std::sync::Arc;

use opentelemetry::Context;

use crate::{
    event::Event,
    request::Tags,
    sink::{Delivery, Sink},
    tagging::{EventLayer, RequestObserver, RequestScope, RequestStart, TaggingLayerBuilder},
    trace::{TraceContext, TraceSampler},
};

use super::{
    active_requests::{ActiveRequests, ActiveSlot},
    gen_ai::ExportedCalls,
    otel::{Otel, Signals},
};

impl EventLayer {
    /// Exports each request as an OpenTelemetry span, with metrics and logs.
    ///
    /// The sink of the layer receives its events as before. See [`otel`](crate::otel).
    ///
    /// The service runs within the span's context, so that spans of the app become its children. If no layer around this
    /// one reads trace ids, new ones are generated, and the sampler of `otel` decides whether they are recorded. A
    /// [`TraceIdLayer`](crate::TraceIdLayer) around this layer needs [the sampler](Otel::sampler) itself.
    #[must_use]
    pub fn otel(self, otel: &Otel) -> Self {
        self.observer(otel.clone())
    }
}

impl TaggingLayerBuilder {
    /// Exports each request as an OpenTelemetry span, with metrics and logs.
    ///
    /// See [`otel`](crate::otel).
    ///
    /// The sampler of `otel` decides which traces are recorded, unless the trace ids have their own. No other sink is needed.
    pub fn otel(self, otel: &Otel) -> Self {
        let builder = self.observer(otel.clone());
        match otel.sampler() {
            Some(sampler) => builder.sampler(sampler),
            None => builder,
        }
    }
}

impl RequestObserver for Otel {
    fn end(&self, event: &Arc<Event>) {
        self.emit(Arc::clone(event));
    }

    fn rolled_up(&self, caller: &Tags, event: &Event) {
        let Signals { spans, metrics } = self.signals();
        let (Some(call), true) = (event.llm(), spans || metrics) else { return };
        if let Some(exported) = caller.attachment::<ExportedCalls>() {
            if metrics {
                exported.add_measured(call);
            }
            if spans {
                exported.set_have_spans();
            }
        }
    }

    fn delivery(&self) -> Delivery {
        Sink::delivery(self)
    }

    fn is_sampled(&self, trace: &TraceContext) -> Option<bool> {
        self.sampler().map(|sampler| sampler.is_sampled(trace, None))
    }

    fn begin(&self, request: &mut RequestStart<'_>) -> Box<dyn RequestScope> {
        let (context, is_https) = self.starter().start(request);
        let active = Arc::clone(self.active_requests());
        let slot = (!request.is_work()).then(|| active.enter(request.method, is_https));
        Box::new(ActiveRequest { context, active, slot })
    }
}

/// A request that counts as active and runs within the context of its span.
struct ActiveRequest {
    context: Context,
    active: Arc<ActiveRequests>,
    /// `None` for work, which is not an HTTP request.
    slot: Option<ActiveSlot>,
}

impl RequestScope for ActiveRequest {
    fn run(&mut self, poll: &mut dyn FnMut()) {
        let _attached = self.context.clone().attach();
        poll();
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            self.active.leave(slot);
        }
    }
}
