//! Blocking work, and the results of tasks.

use tokio::task::{JoinError, spawn_blocking};

/// Runs blocking work, such as file operations, on a thread where it may block.
///
/// # Errors
/// Those of `work`.
///
/// # Cancel safety
/// Once it has started, `work` runs to its end.
pub async fn blocking<T: Send + 'static, E: Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    finished(spawn_blocking(work)).await
}

/// The result of a task. The task's panic resumes here. If the runtime shuts down before the task ends, this waits to
/// be dropped with it.
///
/// # Errors
/// Those of the task.
pub async fn finished<T, E>(
    task: impl Future<Output = Result<Result<T, E>, JoinError>>,
) -> Result<T, E> {
    match task.await {
        Ok(outcome) => outcome,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => std::future::pending().await,
        },
    }
}
