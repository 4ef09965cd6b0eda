//! A worker whose handlers crash, panic, block or flood the log, as a job's payload says.

mod crashes;
mod panics;

use reefguide_worker::prelude::*;

/// Logs this many lines as fast as it can.
async fn flood(lines: u64, _: JobContext) -> Result<(), JobError> {
    (0..lines).for_each(|nth| tracing::info!(nth, "flood"));
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    if std::env::var_os("RUINED").is_some()
        && std::env::args().nth(1).as_deref() == Some("isolated")
    {
        eprintln!("no model is there");
        return ExitCode::from(4);
    }
    Worker::builder()
        .extension(crashes::Reef("Heron"))
        .handler(crashes::Crash)
        .isolated(crashes::Crash::JOB_TYPE)
        .blocking_handler(crashes::BlockingCrash)
        .isolated(crashes::BlockingCrash::JOB_TYPE)
        .handler_fn("CLOSURE", |does, ctx| async move {
            crashes::crash(does, &ctx).await
        })
        .isolated("CLOSURE")
        .handler_fn("PLAIN", |does, ctx| async move {
            crashes::crash(does, &ctx).await
        })
        .handler_fn("BLOCK", |_: serde_json::Value, _| async {
            std::thread::sleep(std::time::Duration::from_secs(600));
            Ok(())
        })
        .handler_fn("FLOOD", flood)
        .handler_fn("FLOOD_APART", flood)
        .isolated("FLOOD_APART")
        .handler(panics::Panic)
        .blocking_handler(panics::BlockingPanic)
        .main()
        .await
}
