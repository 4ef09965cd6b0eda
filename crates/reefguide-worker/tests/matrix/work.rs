//! The jobs: what each is to do, and the outputs it has to leave.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use reefguide_lab::Outputs;
use reefguide_worker::job::JobId;
use reefguide_worker::prelude::*;

/// The job type.
pub(crate) const WORK: &str = "WORK";

/// More than one request takes: such a file is uploaded in parts.
const LARGE: usize = 17 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Does {
    Succeed,
    /// A program of its own writes the outputs.
    Program,
    /// An error at first that goes away.
    Retry,
    Panic,
    Fail,
    /// It does not end by itself.
    Hang,
}

/// A payload.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Work {
    does: Does,
    /// Tells payloads apart, and the outputs too.
    mark: u32,
    size: usize,
    /// How long it takes.
    ms: u64,
}

/// Who ran which job.
pub(crate) type Runs = Arc<Mutex<Vec<(JobId, usize)>>>;

impl Work {
    pub(crate) fn new(does: Does, rng: &mut Rng) -> Self {
        Self {
            does,
            mark: rng.u32(..),
            size: rng.usize(..2_000),
            ms: rng.u64(..100),
        }
    }

    pub(crate) fn make_large(&mut self) {
        self.size = LARGE;
    }

    pub(crate) fn make_long(&mut self) {
        self.ms = 400;
    }

    /// What is stored when it has succeeded.
    pub(crate) fn outputs(&self) -> Outputs {
        let mark = self.mark.to_string().into_bytes();
        if self.does == Does::Program {
            return Outputs::from([("mark.txt".to_owned(), mark)]);
        }
        let mut bytes = vec![b'.'; self.size];
        // Every piece is another, so that none can stand for one that is missing.
        for (nth, piece) in bytes.chunks_mut(1 << 20).enumerate() {
            piece[0] = u8::try_from(nth).unwrap();
        }
        Outputs::from([
            ("reef.bin".to_owned(), bytes),
            ("deep/mark.txt".to_owned(), mark),
        ])
    }

    /// Does it.
    pub(crate) async fn handle(self, ctx: &JobContext) -> Result<(), JobError> {
        if self.does == Does::Program {
            let program = Program::new("sh")
                .args(["-c", r#"printf %s "$MARK" > "$JOB_OUTPUT_DIR/mark.txt""#]);
            return program
                .env("MARK", self.mark.to_string())
                .run(&self, ctx)
                .await
                .map(|_: serde_json::Value| ());
        }
        for (path, bytes) in self.outputs() {
            ctx.outputs().write(&path, bytes).await?;
        }
        tokio::time::sleep(Duration::from_millis(self.ms)).await;
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
        }
    }
}
