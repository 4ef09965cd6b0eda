//! Jobs whose payload says how they end, and the outputs that each must store. The fault matrix uses them, too.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use reefguide_worker::prelude::*;

/// The job type.
pub const WORK: &str = "WORK";

/// Large enough for a multipart upload.
const LARGE: usize = 17 << 20;

/// What a job does in the end.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Does {
    /// It succeeds.
    Succeed,
    /// It succeeds with outputs that a program wrote.
    Program,
    /// It fails with a retryable error at the first attempt, then succeeds.
    Retry,
    /// It panics.
    Panic,
    /// It fails with a permanent error.
    Fail,
    /// It does not end by itself.
    Hang,
    /// It aborts its process.
    Abort,
}

/// A payload.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Work {
    /// What it does in the end.
    pub does: Does,
    /// Makes payloads and outputs distinct.
    pub mark: u32,
    /// The size of the largest output.
    pub size: usize,
    /// How long it takes, in milliseconds.
    pub ms: u64,
}

impl Work {
    /// A quick job with little to store.
    pub fn new(does: Does, rng: &mut Rng) -> Self {
        Self {
            does,
            mark: rng.u32(..),
            size: rng.usize(..2_000),
            ms: rng.u64(..100),
        }
    }

    /// The same with an output that is uploaded in parts.
    #[must_use]
    pub fn large(mut self) -> Self {
        self.size = LARGE;
        self
    }

    /// The same with this duration in milliseconds.
    #[must_use]
    pub fn taking(mut self, ms: u64) -> Self {
        self.ms = ms;
        self
    }

    /// The outputs of a success: paths and bytes.
    pub fn outputs(&self) -> BTreeMap<String, Vec<u8>> {
        let mark = self.mark.to_string().into_bytes();
        if self.does == Does::Program {
            return BTreeMap::from([("mark.txt".to_owned(), mark)]);
        }
        let mut bytes = vec![b'.'; self.size];
        // Every piece differs, so that a missing one cannot go unnoticed.
        for (piece, nth) in bytes.chunks_mut(1 << 20).zip(0..) {
            piece[0] = nth;
        }
        BTreeMap::from([
            ("reef.bin".to_owned(), bytes),
            ("deep/mark.txt".to_owned(), mark),
        ])
    }

    /// Runs the job.
    ///
    /// # Errors
    /// If the payload says so, or if the outputs cannot be written.
    ///
    /// # Panics
    /// If the payload says so.
    pub async fn run(self, ctx: &JobContext) -> Result<(), JobError> {
        let time = tokio::time::sleep(Duration::from_millis(self.ms));
        if self.does == Does::Program {
            time.await;
            let script = r#"printf %s "$MARK" > "$JOB_OUTPUT_DIR/mark.txt"
                [ -z "$TRACEPARENT" ] || echo "traceparent: $TRACEPARENT""#;
            let program = Program::new("sh").args(["-c", script]);
            let program = program.env("MARK", self.mark.to_string());
            let _: serde_json::Value = program.run(&self, ctx).await?;
            return Ok(());
        }
        for (path, bytes) in self.outputs() {
            ctx.outputs().write(&path, bytes).await?;
        }
        time.await;
        match self.does {
            Does::Succeed | Does::Program => Ok(()),
            Does::Retry if ctx.attempt() > 1 => Ok(()),
            Does::Retry => {
                ctx.outputs().write("half-done.txt", "").await?;
                Err(JobError::retryable("not yet"))
            }
            Does::Panic => panic!("as the job asked"),
            Does::Fail => Err(JobError::permanent("as the job asked")),
            Does::Hang => std::future::pending().await,
            Does::Abort => std::process::abort(),
        }
    }
}
