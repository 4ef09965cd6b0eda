//! Threads for short file operations.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::thread;

use tokio::sync::oneshot;

use crate::StorageError;

/// How many tasks may wait per thread before another thread joins.
const WAITING: usize = 2;

type Work = Box<dyn FnOnce() + Send>;

/// Does short file operations on as few of the runtime's blocking threads as keep up with them.
///
/// `spawn_blocking` wakes a thread for each task, which takes longer than to read a small file. Here a thread
/// continues with the next waiting task. Since a task may have to wait for others, it must block on nothing but the
/// file system.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pool {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    waiting: VecDeque<Work>,
    threads: usize,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("waiting", &self.waiting.len())
            .field("threads", &self.threads)
            .finish()
    }
}

impl Pool {
    /// Does `work`, even if the returned future is dropped. Its panic resumes in that future.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
    ) -> PoolTask<T> {
        let (sender, outcome) = oneshot::channel();
        let work = move || {
            let outcome = catch_unwind(AssertUnwindSafe(work));
            // It fails if the future was dropped.
            let _ = sender.send(outcome);
        };
        if let Some(thread) = self.add(Box::new(work)) {
            tokio::task::spawn_blocking(|| thread.work());
        }
        PoolTask(Some(outcome))
    }

    /// Adds to the waiting work. Returns a thread if another one has to join.
    fn add(&self, work: Work) -> Option<Thread> {
        let mut shared = self.shared();
        shared.waiting.push_back(work);
        if shared.waiting.len() <= WAITING * shared.threads {
            return None;
        }
        shared.threads += 1;
        let pool = self.clone();
        Some(Thread { pool, left: false })
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The result of some work, once it is done.
#[derive(Debug)]
pub(crate) struct PoolTask<T>(Option<oneshot::Receiver<thread::Result<Result<T, StorageError>>>>);

impl<T> Future for PoolTask<T> {
    type Output = Result<T, StorageError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(outcome) = &mut self.0 else {
            return Poll::Pending;
        };
        let outcome = ready!(Pin::new(outcome).poll(context));
        self.0 = None;
        match outcome {
            Ok(Ok(outcome)) => Poll::Ready(outcome),
            Ok(Err(panic)) => resume_unwind(panic),
            // The runtime has shut down, and drops this future soon.
            Err(_) => Poll::Pending,
        }
    }
}

/// A thread that works until nothing waits; it never starts if the runtime shuts down first.
struct Thread {
    pool: Pool,
    /// Whether the count of threads excludes it already.
    left: bool,
}

impl Thread {
    fn work(mut self) {
        while let Some(work) = self.next() {
            work();
        }
    }

    fn next(&mut self) -> Option<Work> {
        let mut shared = self.pool.shared();
        let work = shared.waiting.pop_front();
        if work.is_none() {
            // Under the lock, so that no work is added in the expectation that this thread does it.
            shared.threads -= 1;
            self.left = true;
        }
        work
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        if !self.left {
            self.pool.shared().threads -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Adds work that sends its number.
    fn add(pool: &Pool, done: &mpsc::Sender<u32>, number: u32) -> Option<Thread> {
        let done = done.clone();
        pool.add(Box::new(move || done.send(number).unwrap()))
    }

    #[test]
    fn a_thread_works_in_order_and_another_joins_only_when_several_tasks_wait() {
        let pool = Pool::default();
        let (sender, done) = mpsc::channel();
        let first = add(&pool, &sender, 0).expect("there is no thread yet");
        assert!(add(&pool, &sender, 1).is_none());
        let second = add(&pool, &sender, 2).expect("three wait for one");
        assert!(add(&pool, &sender, 3).is_none());

        first.work();
        assert_eq!(done.try_iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert!(
            add(&pool, &sender, 4).is_none(),
            "the second is still there"
        );
        second.work();
        assert_eq!(done.try_iter().collect::<Vec<_>>(), [4]);
        assert!(add(&pool, &sender, 5).is_some(), "all have left");
    }

    #[test]
    fn a_thread_that_never_started_is_not_counted() {
        let pool = Pool::default();
        let (sender, done) = mpsc::channel();
        drop(add(&pool, &sender, 0));
        let thread = add(&pool, &sender, 1).expect("there is none");
        thread.work();
        assert_eq!(done.try_iter().collect::<Vec<_>>(), [0, 1]);
    }

    #[tokio::test]
    async fn a_panic_reaches_only_the_one_who_waits_for_the_work() {
        let pool = Pool::default();
        let mine = pool.clone();
        let panicked = tokio::spawn(async move {
            mine.run(|| -> Result<(), StorageError> { panic!("of this work") })
                .await
        });
        assert!(panicked.await.unwrap_err().is_panic());
        assert_eq!(pool.run(|| Ok(7)).await.unwrap(), 7);
    }
}
