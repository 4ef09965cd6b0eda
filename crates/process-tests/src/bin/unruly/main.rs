//! A worker whose handlers crash, panic, block or flood the log, as a job's payload says.

mod crashes;
mod panics;

use reefguide_worker::prelude::*;

/// Logs so many lines as fast as it can.
fn flood(lines: u64) {
    (0..lines).for_each(|nth| tracing::info!(nth, "flood"));
}

/// Does it in its own process.
struct FloodApart;

impl JobHandler for FloodApart {
    const JOB_TYPE: &'static str = "FLOOD_APART";
    type Input = u64;
    type Output = ();

    fn isolated(&self) -> bool {
        true
    }

    async fn handle(&self, lines: u64, _: &JobContext) -> Result<(), JobError> {
        flood(lines);
        Ok(())
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    if std::env::var_os("RUINED").is_some()
        && std::env::args().nth(1).as_deref() == Some("isolated")
    {
        eprintln!("no model is there");
        return ExitCode::from(4);
    }
    let crash = |job_type| crashes::Crash { job_type };
    let handlers = Registry::new()
        .extension(crashes::Reef("Heron"))
        .handler(crash(crashes::Crash::JOB_TYPE))
        .handler(crash("CRASH_TOO"))
        .blocking(crashes::BlockingCrash)
        .handler_fn("PLAIN", |does, ctx| async move {
            crashes::crash(does, &ctx).await
        })
        .handler_fn("BLOCK", |_: serde_json::Value, _| async {
            std::thread::sleep(std::time::Duration::from_secs(600));
            Ok(())
        })
        .handler_fn("FLOOD", |lines, _| async move {
            flood(lines);
            Ok(())
        })
        .handler(FloodApart)
        .handler(panics::Panic)
        .blocking(panics::BlockingPanic);
    reefguide_worker::run(handlers).await
}
