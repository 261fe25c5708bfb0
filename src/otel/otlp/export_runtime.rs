use std::sync::Arc;

use tokio::runtime::{Builder, Handle, Runtime};

use crate::otel::otel_error::OtelError;

/// A dedicated Tokio runtime, so that exporters work on any thread and do not depend on the app's runtime.
#[derive(Debug)]
pub(super) struct ExportRuntime {
    runtime: Option<Runtime>,
}

impl ExportRuntime {
    /// # Errors
    /// Returns an error if the thread cannot be started.
    pub(super) fn start() -> Result<Arc<Self>, OtelError> {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("tagging otlp").enable_all().build();
        let runtime =
            runtime.map_err(|error| OtelError::new(format!("cannot start the OTLP export thread: {error}")))?;
        Ok(Arc::new(Self { runtime: Some(runtime) }))
    }

    /// Runs code that needs a current runtime.
    pub(super) fn within<T>(&self, run: impl FnOnce() -> T) -> T {
        let _entered = self.runtime.as_ref().map(Runtime::handle).map(Handle::enter);
        run()
    }
}

impl Drop for ExportRuntime {
    fn drop(&mut self) {
        // Dropping a runtime within another one panics.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
