//! Work on a separate thread, so that several reads run at once and continue during a computation.

use futures_channel::oneshot;

/// Runs `work` on a thread. `None` if the thread died. It begins when the future is first polled.
pub(super) async fn aside<Done: Send + 'static>(
    work: impl FnOnce() -> Done + Send + 'static,
) -> Option<Done> {
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        // Sending fails if nothing waits any more. Then the answer is not needed.
        let _ = sender.send(work());
    });
    receiver.await.ok()
}
