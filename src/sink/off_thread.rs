use std::{
    future::poll_fn,
    io,
    sync::{Arc, Mutex},
    task::{Poll, Waker},
    thread,
};

use crate::sync::lock;

/// Runs blocking work on a dedicated thread. The returned future resolves when the work has ended, even by a panic.
///
/// This needs no async runtime, and blocks no thread of one.
///
/// # Errors
///
/// Returns an error if the system refuses a thread. The work is not done in this case.
pub(super) fn off_thread(work: impl FnOnce() + Send + 'static) -> io::Result<impl Future<Output = ()>> {
    let completion = Arc::new(Mutex::new(Completion::default()));
    let on_exit = CompleteOnDrop(Arc::clone(&completion));
    thread::Builder::new().name("tagging shutdown".to_owned()).spawn(move || {
        let _on_exit = on_exit;
        work();
    })?;
    Ok(poll_fn(move |context| {
        let mut completion = lock(&completion);
        if completion.is_done {
            return Poll::Ready(());
        }
        completion.waker = Some(context.waker().clone());
        Poll::Pending
    }))
}

#[derive(Default)]
struct Completion {
    is_done: bool,
    waker: Option<Waker>,
}

struct CompleteOnDrop(Arc<Mutex<Completion>>);

impl Drop for CompleteOnDrop {
    fn drop(&mut self) {
        let waker = {
            let mut completion = lock(&self.0);
            completion.is_done = true;
            completion.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
