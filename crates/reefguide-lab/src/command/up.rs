//! `reefguide-lab up`.

use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
#[cfg(unix)]
use std::process;
use std::str::FromStr;

use clap::Args;
use tokio::signal;
use tokio::sync::broadcast::error::RecvError;
#[cfg(unix)]
use tokio::sync::oneshot;

use super::stdout::answer;
use super::text::decoded;
use crate::job_type::JobTypeSpec;
use crate::lab::Lab;
use crate::request_log::RequestRecord;

/// Start a lab and show its requests until Ctrl-C
#[derive(Debug, Args)]
pub(super) struct Up {
    /// Address that both servers listen on; use 0.0.0.0 in a container
    #[arg(long, value_name = "ADDRESS", default_value_t = Ipv4Addr::LOCALHOST.into())]
    host: IpAddr,
    /// Port of the job API; 0 for any free port
    #[arg(long, default_value_t = 5000)]
    port: u16,
    /// Port of the S3 server; 0 for any free port
    #[arg(long, default_value_t = 9000)]
    s3_port: u16,
    /// Keep jobs and objects in this folder, and load those that are in it
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Accept jobs of every type
    #[arg(long)]
    any_type: bool,
    /// Also accept jobs of this type, with any payload; may be repeated
    #[arg(long, value_name = "NAME")]
    job_type: Vec<String>,
    /// Also accept jobs of this type whose payload matches the JSON Schema in FILE; may be repeated
    #[arg(long, value_name = "NAME=FILE")]
    schema: Vec<SchemaFile>,
    /// Open the lab's page in the browser
    #[arg(long)]
    open: bool,
    /// Do not show requests
    #[arg(long)]
    quiet: bool,
}

#[derive(Debug, Clone)]
struct SchemaFile {
    job_type: String,
    file: PathBuf,
}

#[derive(Debug, thiserror::Error)]
#[error("expected NAME=FILE, such as COUNT_CORAL=count-coral.json")]
struct NoSchemaFile;

impl FromStr for SchemaFile {
    type Err = NoSchemaFile;

    fn from_str(text: &str) -> Result<Self, NoSchemaFile> {
        let (job_type, file) = text.split_once('=').ok_or(NoSchemaFile)?;
        if job_type.is_empty() || file.is_empty() {
            return Err(NoSchemaFile);
        }
        Ok(Self {
            job_type: job_type.to_owned(),
            file: file.into(),
        })
    }
}

#[derive(Debug, thiserror::Error)]
enum UpError {
    #[error("the schema file {} cannot be read", file.display())]
    Read { file: PathBuf, source: io::Error },
    #[error("the schema file {} is not JSON", file.display())]
    Json {
        file: PathBuf,
        source: serde_json::Error,
    },
}

impl SchemaFile {
    fn spec(&self) -> Result<JobTypeSpec, UpError> {
        let file = || self.file.clone();
        let text = std::fs::read(&self.file).and_then(decoded);
        let text = text.map_err(|source| UpError::Read {
            file: file(),
            source,
        })?;
        let schema = serde_json::from_str(&text).map_err(|source| UpError::Json {
            file: file(),
            source,
        })?;
        Ok(JobTypeSpec::new(&self.job_type).input(schema))
    }
}

impl Up {
    pub(super) async fn run(self) -> Result<(), Box<dyn Error>> {
        // First of all: the first process of a container gets only the signals that it handles.
        let stop = stop_signal()?;
        tokio::pin!(stop);
        let mut builder = Lab::builder()
            .host(self.host)
            .port(self.port)
            .s3_port(self.s3_port);
        if let Some(folder) = self.data {
            builder = builder.data(folder);
        }
        if self.any_type {
            builder = builder.any_job_type();
        }
        for name in self.job_type {
            builder = builder.job_type(JobTypeSpec::new(name));
        }
        for schema in &self.schema {
            builder = builder.job_type(schema.spec()?);
        }
        if !self.host.is_loopback() {
            warn(format_args!(
                "listening on {}: other machines may reach the lab, its passwords are public and nothing is protected",
                self.host
            ));
        }
        let lab = builder.start().await?;
        answer("# Put this into the worker's .env:")?;
        for (name, value) in lab.env() {
            answer(format_args!("{name}={value}"))?;
        }
        let page = lab.page();
        answer(format_args!("\n# The lab's page: {page}"))?;
        answer("# Running until Ctrl-C. To set faults: reefguide-lab fault --help")?;
        if self.open
            && let Err(error) = open::that_detached(&page)
        {
            warn(format_args!(
                "no browser could be started: {error}; open {page} in a browser"
            ));
        }
        let mut requests = lab.live_requests();
        // The lab goes on even if these lines cannot be printed.
        let mut shown = Ok(());
        let mut show = |line: &dyn fmt::Display| {
            if shown.is_ok() {
                shown = answer(line);
            }
        };
        loop {
            tokio::select! {
                () = &mut stop => break,
                request = requests.recv() => match request {
                    Ok(request) if !self.quiet => show(&Line(&request)),
                    Err(RecvError::Lagged(missed)) if !self.quiet => {
                        show(&format_args!("# {missed} requests are not shown"));
                    }
                    // `lab` owns the sender, so the channel is open.
                    _ => {}
                },
            }
        }
        lab.shutdown().await;
        Ok(shown?)
    }
}

/// Prints a warning. stderr may have no reader.
fn warn(warning: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "warning: {warning}");
}

/// Handles SIGINT, SIGTERM and SIGHUP from now on. The first signal completes the future, the second ends the process.
/// SIGHUP stays ignored if it already is, as with `nohup`.
#[cfg(unix)]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    use signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = match hangup_is_ignored() {
        true => None,
        false => Some(signal(SignalKind::hangup())?),
    };
    let mut next = async move || {
        tokio::select! {
            _ = interrupt.recv() => 130,
            _ = terminate.recv() => 143,
            Some(_) = async { hangup.as_mut()?.recv().await } => 129,
        }
    };
    let (sender, receiver) = oneshot::channel();
    // In a task, because printing may block on a reader.
    tokio::spawn(async move {
        next().await;
        let _ = sender.send(());
        process::exit(next().await);
    });
    Ok(async move {
        let _ = receiver.await;
    })
}

/// Whether this process was started with SIGHUP ignored. Without `/proc`, this is unknown.
#[cfg(unix)]
fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask & 1 == 1)
}

/// Handles Ctrl-C from now on. The first one completes the future.
#[cfg(not(unix))]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal::windows::ctrl_c()?;
    Ok(async move {
        interrupt.recv().await;
    })
}

/// A request on one line.
struct Line<'a>(&'a RequestRecord);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RequestRecord {
            at,
            side,
            method,
            path,
            status,
            ms,
            job_id,
            fault,
            ..
        } = self.0;
        // The time of day in `2026-11-22T21:24:39.569Z`.
        let time = at.get(11..23).unwrap_or(at);
        let status = status.map_or_else(|| "cut".to_owned(), |status| status.to_string());
        write!(f, "{time} {side:3} {status} {ms:>5} ms  {method:6} {path}")?;
        if let Some(id) = job_id {
            write!(f, "  job {id}")?;
        }
        if let Some(fault) = fault {
            write!(f, "  [{fault}]")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::{Route, Side};

    #[test]
    fn a_request_is_one_line() {
        let mut record = RequestRecord {
            at: "2026-11-22T21:24:39.569Z".into(),
            side: Side::Api,
            route: Route::Assign,
            method: "POST".into(),
            path: "/api/jobs/assign".into(),
            status: Some(200),
            ms: 23,
            job_id: Some(7),
            fault: None,
        };
        insta::assert_snapshot!(Line(&record), @"21:24:39.569 api 200    23 ms  POST   /api/jobs/assign  job 7");
        record = RequestRecord {
            status: None,
            job_id: None,
            fault: Some("lost answer".into()),
            side: Side::S3,
            ..record
        };
        insta::assert_snapshot!(Line(&record), @"21:24:39.569 s3  cut    23 ms  POST   /api/jobs/assign  [lost answer]");
    }
}
