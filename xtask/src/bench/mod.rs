//! `cargo xtask bench`: time, CPU and memory, compared with the usual tools.

mod case;
mod client;
mod measure;
mod page;
mod report;
mod server;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use tokio::process::Command;

use self::case::{Case, Direction};
use self::client::{Client, Tool};
use self::measure::{Run, measure};
use self::report::Series;
use self::server::{Kind, Server};
use crate::build::cargo_build;
use crate::failure::{Doing, Failure};
use crate::proxy;
use crate::session::{Ended, Session};

/// Measure time, CPU and memory; the figures fail nothing
#[derive(Args, Debug)]
pub(crate) struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Storage(Storage),
}

/// Move files with the SDK and with s5cmd, aws and rclone, and compare time, CPU and memory
///
/// Every tool is a process with its default settings. A round runs each tool once, and every second round reverses the
/// order, so that drift affects all tools equally. Peers that are not on PATH are skipped. The exit code is 0 whatever the
/// figures are: a benchmark is not a test. Linux only: memory and CPU are read from `/proc`.
#[derive(Args, Debug)]
struct Storage {
    /// How many times each tool runs
    #[arg(long, default_value_t = 5, value_name = "N")]
    rounds: u32,
    /// The server to measure against
    #[arg(long, value_enum, default_value = "sink", value_name = "SERVER")]
    server: Kind,
    /// Run only these cases, such as `1x1GiB-up` [default: all but `1x10GiB-up`]
    #[arg(long, value_parser = Case::named, num_args = 1.., value_name = "NAME")]
    case: Vec<Case>,
    /// Run only these peers [default: all]
    #[arg(long, value_enum, num_args = 1.., value_name = "NAME")]
    peer: Vec<Tool>,
    /// The build profile; `bench-fast` builds in less time
    #[arg(long, default_value = "release", value_name = "NAME")]
    profile: String,
    /// Write the figures into docs/benchmarks.md
    #[arg(long)]
    write_table: bool,
}

/// Runs a benchmark.
pub(crate) fn bench(options: Options) -> Result<(), Ended> {
    proxy::spare_loopback()?;
    let What::Storage(options) = options.what;
    let session = Session::begin("reefguide-bench")?;
    let scratch = session.scratch().to_owned();
    session.run(storage(options, &scratch))
}

async fn storage(options: Storage, scratch: &Path) -> Result<(), Failure> {
    let arguments = [
        ["--profile", &options.profile],
        ["--package", "reefguide-worker"],
        ["--package", env!("CARGO_PKG_NAME")],
        ["--example", "transfer"],
        ["--example", "bench_server"],
    ];
    let names = ["transfer", "bench_server"];
    let [transfer, server] = cargo_build(arguments.as_flattened(), names, scratch).await?;
    let clients = clients(transfer, &options.peer);
    let cases = match options.case.len() {
        0 => Case::all().collect(),
        _ => options.case,
    };
    let mut bench = Bench {
        server: Server::start(options.server, &server, scratch).await?,
        data: crate::workspace().join("target/bench"),
        scratch,
        runs: 0,
    };
    let mut all = Vec::new();
    for case in cases {
        all.extend(bench.case(case, &clients, options.rounds).await?);
    }
    let versions: Vec<_> = clients
        .iter()
        .map(|client| format!("{} {}", client.tool.name(), client.version))
        .collect();
    let figures = [
        page::origin(&versions),
        report::comparison(options.server, &all),
        report::figures(&all),
    ];
    let figures = figures.join("\n\n");
    println!("{figures}");
    if options.write_table {
        let page = page::write(&options.server.to_string(), &figures)?;
        println!("\nThe figures are in {}.", page.display());
    }
    Ok(())
}

/// Ours, and the peers on PATH.
fn clients(transfer: PathBuf, peers: &[Tool]) -> Vec<Client> {
    let mut clients = vec![Client {
        tool: Tool::Ours,
        executable: transfer,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }];
    for tool in [Tool::S5cmd, Tool::Aws, Tool::Rclone] {
        if !peers.is_empty() && !peers.contains(&tool) {
            continue;
        }
        match Client::find(tool) {
            Some(client) => clients.push(client),
            None => eprintln!("{} is not on PATH: skipped", tool.name()),
        }
    }
    clients
}

/// Runs clients against one server.
struct Bench<'s> {
    server: Server,
    data: PathBuf,
    scratch: &'s Path,
    /// The number of runs. Each run has its own place on the server, because some clients skip objects that exist.
    runs: u32,
}

impl Bench<'_> {
    /// All rounds of one case.
    async fn case(
        &mut self,
        case: Case,
        clients: &[Client],
        rounds: u32,
    ) -> Result<Vec<Series>, Failure> {
        let files = case.load.make(&self.data.join("data"))?;
        let seed = format!("seed/{case}");
        if case.direction == Direction::Down {
            let up = Case {
                direction: Direction::Up,
                ..case
            };
            self.run(&clients[0], up, &files, &seed).await?;
            self.server.check(case.load, &seed).await?;
        }
        let mut all: Vec<Series> = clients
            .iter()
            .map(|client| Series {
                case,
                tool: client.tool,
                runs: Vec::new(),
            })
            .collect();
        for round in 0..rounds {
            eprintln!("{case}, round {} of {rounds}", round + 1);
            let mut order: Vec<usize> = (0..clients.len()).collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for index in order {
                let run = match case.direction {
                    Direction::Up => self.upload(&clients[index], case, &files).await?,
                    Direction::Down => self.download(&clients[index], case, &seed).await?,
                };
                all[index].runs.push(run);
            }
        }
        self.server.clear(&seed).await?;
        Ok(all)
    }

    async fn upload(&mut self, client: &Client, case: Case, files: &Path) -> Result<Run, Failure> {
        self.runs += 1;
        let prefix = format!("up/{}", self.runs);
        let run = self.run(client, case, files, &prefix).await?;
        self.server.check(case.load, &prefix).await?;
        self.server.clear(&prefix).await?;
        Ok(run)
    }

    async fn download(&self, client: &Client, case: Case, seed: &str) -> Result<Run, Failure> {
        // Many files go to a file system in memory, if there is one: after deletions, a file system on disk takes longer
        // to allocate files for some minutes, which would be measured instead. Large files go to the disk, as in a
        // worker.
        let memory = Path::new("/dev/shm");
        let place = if case.load.is_of_many() && memory.is_dir() {
            memory
        } else {
            &self.data
        };
        let folder = place.join(format!("reefguide-bench-{}", std::process::id()));
        remove(&folder)?;
        fs::create_dir_all(&folder).doing(format_args!("making {}", folder.display()))?;
        let run = self.run(client, case, &folder, seed).await?;
        let whole = case.load.is_in(&folder);
        remove(&folder)?;
        if !whole {
            let name = client.tool.name();
            return Err(Failure::new(format!(
                "{name} did not download {case} whole"
            )));
        }
        Ok(run)
    }

    async fn run(
        &self,
        client: &Client,
        case: Case,
        local: &Path,
        prefix: &str,
    ) -> Result<Run, Failure> {
        let server = &self.server.environment;
        let given = |name: &str| server.get(name).map(String::as_str).unwrap_or_default();
        let mut command = Command::new(&client.executable);
        command
            .args(client.arguments(case, local, prefix))
            // Without the settings and credentials of the person at this machine.
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("HOME", self.scratch)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .envs(server)
            .env("AWS_DEFAULT_REGION", given("AWS_REGION"))
            .env("S3_ENDPOINT_URL", given("AWS_ENDPOINT_URL"))
            .env("RCLONE_S3_PROVIDER", "Other")
            .env("RCLONE_S3_ENV_AUTH", "true")
            .env("RCLONE_S3_ENDPOINT", given("AWS_ENDPOINT_URL"))
            .env("RCLONE_S3_REGION", given("AWS_REGION"));
        // rclone refuses to start with it.
        if client.tool == Tool::Aws
            && let Some(certificate) = server.get("SSL_CERT_FILE")
        {
            command.env("AWS_CA_BUNDLE", certificate);
        }
        let stderr = self.scratch.join("stderr");
        let file = fs::File::create(&stderr).doing("creating a file for the stderr of a client")?;
        let run = measure(client.tool.name(), command.stderr(file)).await;
        run.inspect_err(|_| {
            eprintln!("{}", fs::read_to_string(&stderr).unwrap_or_default());
        })
    }
}

fn remove(folder: &Path) -> Result<(), Failure> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
    .doing(format_args!("removing {}", folder.display()))
}
