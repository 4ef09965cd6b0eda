//! The server that is measured against, as a separate process.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use clap::ValueEnum;
use reefguide_worker::storage::{S3Credentials, S3Options, Storage, StorageUri};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use super::case::Load;
use crate::failure::{Doing, Failure};
use crate::process::Process;

/// The only bucket.
pub(super) const BUCKET: &str = "bench";
/// How long it may take until it listens.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// The kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    /// Discards uploads and generates downloads, so that only the client is measured
    Sink,
    /// The same over TLS
    SinkTls,
    /// The same, with 20 ms before each answer
    SinkDelay,
    /// The lab's S3, which stores
    Lab,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sink => "sink",
            Self::SinkTls => "sink-tls",
            Self::SinkDelay => "sink-delay",
            Self::Lab => "lab",
        })
    }
}

/// A running server.
pub(super) struct Server {
    kind: Kind,
    /// The variables that clients need to reach it, with the names of the AWS tools.
    pub(super) environment: BTreeMap<String, String>,
    storage: Storage,
    _process: Process,
}

impl Server {
    /// Starts one; its files are in `scratch`.
    pub(super) async fn start(kind: Kind, program: &Path, scratch: &Path) -> Result<Self, Failure> {
        let mut command = Command::new(program);
        match kind {
            Kind::Sink => command.arg("sink"),
            Kind::SinkTls => {
                let certificate = scratch.join("certificate.pem");
                command.args(["sink", "--tls"]).arg(certificate)
            }
            Kind::SinkDelay => command.args(["sink", "--delay", "20"]),
            Kind::Lab => command.args(["lab", "--data"]).arg(scratch.join("lab")),
        };
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process::start("the server", &mut command)?;
        let environment = timeout(START_TIMEOUT, environment(&mut process)).await;
        let mut environment = environment.doing("waiting for the server")??;
        let plain = environment.remove("PLAIN_ENDPOINT_URL");
        let given = |name: &str| environment.get(name).cloned();
        let mut options = S3Options::default();
        options.endpoint = plain.or_else(|| given("AWS_ENDPOINT_URL"));
        options.region = given("AWS_REGION");
        options.credentials = Some(S3Credentials {
            access_key: given("AWS_ACCESS_KEY_ID").unwrap_or_default(),
            secret_key: given("AWS_SECRET_ACCESS_KEY").unwrap_or_default().into(),
            session_token: None,
        });
        Ok(Self {
            kind,
            environment,
            storage: Storage::s3(options),
            _process: process,
        })
    }

    /// Fails unless exactly `load` is stored below `prefix`.
    pub(super) async fn check(&self, load: Load, prefix: &str) -> Result<(), Failure> {
        let objects = self.storage.list(&folder(prefix)?).await;
        let objects = objects.doing("listing what was uploaded")?;
        let bytes: u64 = objects.iter().map(|object| object.size).sum();
        if (objects.len() as u64, bytes) == (load.files, load.bytes()) {
            return Ok(());
        }
        Err(Failure::new(format!(
            "{} objects with {bytes} bytes were uploaded, not {} with {}",
            objects.len(),
            load.files,
            load.bytes()
        )))
    }

    /// Deletes what was uploaded. The sink stores only names.
    pub(super) async fn clear(&self, prefix: &str) -> Result<(), Failure> {
        if self.kind == Kind::Lab {
            let deleted = self.storage.delete_folder(&folder(prefix)?).await;
            deleted.doing("deleting what was uploaded")?;
        }
        Ok(())
    }
}

fn folder(prefix: &str) -> Result<StorageUri, Failure> {
    let uri = format!("s3://{BUCKET}/{prefix}");
    uri.parse().doing("naming a folder")
}

/// The variables that it prints before it serves.
async fn environment(process: &mut Process) -> Result<BTreeMap<String, String>, Failure> {
    let mut environment = BTreeMap::new();
    let Some(stdout) = process.take_stdout() else {
        return Ok(environment);
    };
    let mut lines = BufReader::new(stdout).lines();
    while let Some(line) = lines.next_line().await.doing("reading the server's line")? {
        let Some((name, value)) = line.split_once('=') else {
            return Ok(environment);
        };
        environment.insert(name.to_owned(), value.to_owned());
    }
    Err(Failure::new("the server ended before it listened"))
}
