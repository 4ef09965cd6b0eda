//! Threads for short work on the file system.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::thread;

use tokio::sync::oneshot;

use crate::StorageError;

/// For each thread so much work may wait before another one joins.
const WAITING: usize = 2;

type Work = Box<dyn FnOnce() + Send>;

/// Does short work on the file system on as few of the runtime's threads as keep up with it.
///
/// The runtime wakes a thread for each piece of work, which takes longer than to read a small file. Here a thread
/// goes on with what waits. Work may wait for other work, so none of it may wait for anything but the file system.
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
    /// Has `work` done, also if nobody waits for it any more. Its panic is that of whoever does.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
    ) -> Outcome<T> {
        let (sender, outcome) = oneshot::channel();
        let work = move || {
            let outcome = catch_unwind(AssertUnwindSafe(work));
            // The receiver may be gone, and then nobody wants to know.
            let _ = sender.send(outcome);
        };
        if let Some(thread) = self.add(Box::new(work)) {
            tokio::task::spawn_blocking(|| thread.work());
        }
        Outcome(Some(outcome))
    }

    /// Adds to what waits; whoever has to join for it.
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

/// What comes of some work.
#[derive(Debug)]
pub(crate) struct Outcome<T>(Option<oneshot::Receiver<thread::Result<Result<T, StorageError>>>>);

impl<T> Future for Outcome<T> {
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
            // The end of the runtime is the end of everything.
            Err(_) => Poll::Pending,
        }
    }
}

/// One that works until nothing waits, or never if the runtime ends before.
struct Thread {
    pool: Pool,
    /// Whether it is counted no more.
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
            // While nobody can add to it, who would count on this thread.
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

    /// Adds work that tells its number.
    fn add(pool: &Pool, done: &mpsc::Sender<u32>, number: u32) -> Option<Thread> {
        let done = done.clone();
        pool.add(Box::new(move || done.send(number).unwrap()))
    }

    #[test]
    fn a_thread_does_what_waits_in_its_order_and_another_joins_only_when_several_wait() {
        let pool = Pool::default();
        let (sender, done) = mpsc::channel();
        let first = add(&pool, &sender, 0).expect("nobody is there yet");
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
    fn a_thread_that_never_came_is_not_counted_on() {
        let pool = Pool::default();
        let (sender, done) = mpsc::channel();
        drop(add(&pool, &sender, 0));
        let thread = add(&pool, &sender, 1).expect("there is none");
        thread.work();
        assert_eq!(done.try_iter().collect::<Vec<_>>(), [0, 1]);
    }

    #[tokio::test]
    async fn a_panic_is_that_of_whom_the_work_belongs_to_and_others_go_on() {
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
