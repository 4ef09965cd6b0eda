//! Jobs whose payload says what is to happen, and the outputs that each has to leave. The fault matrix has them too.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use reefguide_worker::prelude::*;

/// The job type.
pub const WORK: &str = "WORK";

/// More than one request takes: such a file is uploaded in parts.
const LARGE: usize = 17 << 20;

/// What a job does in the end.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Does {
    /// It succeeds.
    Succeed,
    /// It succeeds, and a program of its own has written the outputs.
    Program,
    /// It fails with an error at first that goes away.
    Retry,
    /// It panics.
    Panic,
    /// It fails for good.
    Fail,
    /// It does not end by itself.
    Hang,
    /// It takes its process with it.
    Abort,
}

/// A payload.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Work {
    /// What it does in the end.
    pub does: Does,
    /// Tells payloads apart, and the outputs too.
    pub mark: u32,
    /// The size of the largest output.
    pub size: usize,
    /// How long it takes.
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

    /// The same, but it takes this long.
    #[must_use]
    pub fn taking(mut self, ms: u64) -> Self {
        self.ms = ms;
        self
    }

    /// What is stored when it has succeeded: paths and bytes.
    pub fn outputs(&self) -> BTreeMap<String, Vec<u8>> {
        let mark = self.mark.to_string().into_bytes();
        if self.does == Does::Program {
            return BTreeMap::from([("mark.txt".to_owned(), mark)]);
        }
        let mut bytes = vec![b'.'; self.size];
        // Every piece is another, so that none can stand for one that is missing.
        for (piece, nth) in bytes.chunks_mut(1 << 20).zip(0..) {
            piece[0] = nth;
        }
        BTreeMap::from([
            ("reef.bin".to_owned(), bytes),
            ("deep/mark.txt".to_owned(), mark),
        ])
    }

    /// Does it.
    ///
    /// # Errors
    /// As it says, or when the outputs cannot be written.
    ///
    /// # Panics
    /// If it says so.
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
