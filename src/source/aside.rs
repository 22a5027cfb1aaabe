//! Work on a thread of its own, so that several reads run at once and continue during a computation.

use futures_channel::oneshot;

/// Does `work` on a thread; `None` if the thread died. It begins when this is first polled.
pub(super) async fn aside<Done: Send + 'static>(
    work: impl FnOnce() -> Done + Send + 'static,
) -> Option<Done> {
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        // Nobody waits any more: the answer is not wanted.
        let _ = sender.send(work());
    });
    receiver.await.ok()
}
