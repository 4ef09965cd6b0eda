//! Handlers that panic, in the worker's process.

use reefguide_worker::prelude::*;

/// Where a job panics.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Where {
    Nowhere,
    Async,
    Blocking,
    /// In an awaited task.
    Spawned,
    /// In an awaited task of `spawn_blocking`.
    SpawnedBlocking,
    /// In a task that is not awaited.
    Detached,
    /// In a thread that is joined.
    Thread,
    /// In a destructor, when the job has been cancelled.
    Drop,
    /// In a destructor, when the handler has returned.
    LastDrop,
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("cannot be dropped");
    }
}

pub(crate) struct Panic;

impl JobHandler for Panic {
    const JOB_TYPE: &'static str = "PANIC";
    type Input = Where;
    type Output = ();

    async fn handle(&self, place: Where, ctx: &JobContext) -> Result<(), JobError> {
        match place {
            Where::Nowhere => {}
            Where::Async => panic!("no depth in async code"),
            Where::Blocking => ctx.blocking(|| panic!("no depth in a computation")).await?,
            Where::Spawned => tokio::spawn(async { panic!("no depth in a task") }).await?,
            Where::SpawnedBlocking => {
                tokio::task::spawn_blocking(|| panic!("no depth in a waiting task")).await?;
            }
            Where::Detached => {
                let (running, ended) = tokio::sync::oneshot::channel::<()>();
                tokio::spawn(async move {
                    let _running = running;
                    panic!("no depth in a detached task")
                });
                let _ = ended.await;
            }
            Where::Thread => std::thread::spawn(|| panic!("no depth in a thread"))
                .join()
                .map_err(JobError::panicked)?,
            Where::Drop => {
                let _bomb = Bomb;
                ctx.progress("waiting");
                std::future::pending::<()>().await;
            }
            Where::LastDrop => {
                let _bomb = Bomb;
            }
        }
        Ok(())
    }
}

pub(crate) struct BlockingPanic;

impl BlockingJobHandler for BlockingPanic {
    const JOB_TYPE: &'static str = "BLOCKING_PANIC";
    type Input = serde_json::Value;
    type Output = ();

    fn handle(&self, _: serde_json::Value, _: &BlockingContext) -> Result<(), JobError> {
        panic!("no depth in a blocking handler")
    }
}
