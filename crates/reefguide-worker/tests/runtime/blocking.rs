//! Blocking handlers read and write without async.

use std::sync::mpsc;
use std::time::Duration;

use reefguide_worker::prelude::*;
use reefguide_worker::testing::Harness;
use tokio_util::sync::CancellationToken;

#[derive(Deserialize, JsonSchema)]
struct Input {
    source: StorageUri,
}

#[derive(Serialize, JsonSchema)]
struct Output {
    bytes: usize,
    read: usize,
}

/// Copies an object, and counts its bytes in two ways.
struct Copy;

impl BlockingJobHandler for Copy {
    const JOB_TYPE: &'static str = "COPY";
    type Input = Input;
    type Output = Output;

    fn handle(&self, input: Input, ctx: &BlockingContext) -> Result<Output, JobError> {
        let file = ctx.fetch(&input.source)?;
        let copied = std::fs::read(file.path())?;
        let bytes = copied.len();
        ctx.outputs().write("copies/copy.txt", copied)?;
        ctx.outputs().write_json("bytes.json", &bytes)?;
        std::fs::write(ctx.outputs().path("large.txt")?, "large")?;
        let read = ctx
            .block_on(ctx.storage().read(&input.source, 1 << 10))?
            .len();
        Ok(Output { bytes, read })
    }
}

const SOURCE: &str = "s3://bucket/reef.txt";

#[tokio::test]
async fn a_blocking_handler_fetches_inputs_and_writes_outputs_without_async() {
    let harness = Harness::blocking(Copy).object(SOURCE, "-4\n-8\n");
    let finished = harness.run(json!({ "source": SOURCE })).await.unwrap();
    assert_eq!(finished.result(), &json!({ "bytes": 6, "read": 6 }));
    assert_eq!(finished.output("copies/copy.txt").unwrap(), b"-4\n-8\n");
    assert_eq!(finished.output("bytes.json").unwrap(), b"6\n");
    assert_eq!(finished.output("large.txt").unwrap(), b"large");
}

#[tokio::test]
async fn a_missing_input_fails_the_job_with_its_name() {
    let payload = json!({ "source": SOURCE });
    let error = Harness::blocking(Copy).run(payload).await.unwrap_err();
    assert!(error.to_string().contains(SOURCE), "{error}");
}

/// Waits for an input that never arrives, and sends how the wait ended; then tries to write.
struct Wait {
    said: mpsc::Sender<String>,
}

impl BlockingJobHandler for Wait {
    const JOB_TYPE: &'static str = "WAIT";
    type Input = ();
    type Output = ();

    fn handle(&self, (): (), ctx: &BlockingContext) -> Result<(), JobError> {
        let waited = ctx.block_on(std::future::pending::<Result<(), JobError>>());
        let written = ctx.outputs().write("late.txt", "late");
        for ended in [waited, written] {
            let said = ended.map_or_else(|error| error.to_string(), |()| "nothing".to_owned());
            self.said.send(said).unwrap();
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_blocking_handler_that_waits_is_woken_when_its_job_is_cancelled() {
    let (said, heard) = mpsc::channel();
    let stop = CancellationToken::new();
    let harness = Harness::blocking(Wait { said }).cancellation(stop.clone());
    let running = tokio::spawn(async move { harness.run(()).await.map(drop) });
    stop.cancel();
    let error = running.await.unwrap().unwrap_err();
    assert!(error.to_string().starts_with("cancelled"), "{error}");
    let heard = [(); 2].map(|()| heard.recv_timeout(Duration::from_secs(60)).unwrap());
    assert_eq!(heard, ["cancelled", "cancelled"]);
}
