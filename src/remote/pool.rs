//! The threads that wait for servers. There are as many as requests may be open, so they bound
//! what is in flight; requests start in the order in which they came.

use crate::chat::ChatError;
use futures::channel::oneshot;
use std::sync::{Arc, Mutex, mpsc};

type Task = Box<dyn FnOnce() + Send>;

/// A fixed number of threads and their queue. The threads end with the pool.
pub(super) struct Pool {
    tasks: mpsc::Sender<Task>,
}

impl Pool {
    pub(super) fn new(threads: usize) -> std::io::Result<Self> {
        let (tasks, queue) = mpsc::channel::<Task>();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..threads {
            let queue = Arc::clone(&queue);
            std::thread::Builder::new().name("maspo-endpoint".into()).stack_size(512 << 10).spawn(move || {
                loop {
                    let next = queue.lock().map(|queue| queue.recv());
                    let Ok(Ok(task)) = next else { return };
                    task();
                }
            })?;
        }
        Ok(Self { tasks })
    }

    /// Runs `work` on one of the threads. If the future is dropped before its turn, it is never
    /// run.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, ChatError> + Send + 'static,
    ) -> Result<T, ChatError> {
        let (reply, answer) = oneshot::channel();
        let task = move || {
            if !reply.is_canceled() {
                // The caller may have dropped the request meanwhile.
                let _ = reply.send(work());
            }
        };
        let ended = || ChatError::Model("the threads that wait for the endpoint have ended".to_string());
        self.tasks.send(Box::new(task)).map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }
}
