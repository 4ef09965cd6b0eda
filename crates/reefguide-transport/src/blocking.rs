//! Work that waits for the file system, and tasks whose outcome counts.

use tokio::task::{JoinError, spawn_blocking};

/// Runs what waits for the file system where waiting is allowed.
///
/// # Errors
/// Those of `work`.
///
/// # Cancel safety
/// Once it has begun, `work` runs to its end.
pub async fn blocking<T: Send + 'static, E: Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    finished(spawn_blocking(work)).await
}

/// The outcome of a task. Its panic goes on here; where it was dropped with the runtime, so is this.
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
