//! A worker as a whole program.

use std::pin::Pin;
use std::process::ExitCode;
use std::time::Duration;

use super::cli;
use super::platform::process_memory;
use crate::handler::Registry;
use crate::log_queue;
use crate::runtime::thread_is_lost;

/// How long the program may take to end after [`run`] if a handler blocks one of its threads.
const RUNTIME_END: Duration = Duration::from_secs(1);

/// Runs handlers as a whole program: it reads arguments and configuration, sets up logging and signals, connects
/// to the ReefGuide API and to S3, and runs jobs.
///
/// ```no_run
/// use reefguide_worker::prelude::*;
///
/// #[tokio::main]
/// async fn main() -> ExitCode {
///     let handlers = Registry::new().handler_fn("GREET", |name: String, ctx: JobContext| async move {
///         ctx.outputs().write("hello.txt", format!("Hello, {name}")).await?;
///         Ok(())
///     });
///     reefguide_worker::run(handlers)
///         .version(env!("CARGO_PKG_VERSION"))
///         .await
/// }
/// ```
///
/// First, the process is [protected](process_memory) from being read by other processes of its user.
///
/// The exit codes are documented at [`Exit`](super::Exit). To run a worker with another source, storage
/// or configuration inside your own program, use [`Worker::builder`](crate::runtime::Worker::builder).
pub fn run(handlers: Registry) -> App {
    App {
        handlers,
        version: None,
    }
}

/// A worker as a whole program, see [`run`]. It runs when it is awaited.
#[derive(Debug)]
#[must_use = "the program runs when it is awaited"]
pub struct App {
    handlers: Registry,
    version: Option<String>,
}

impl App {
    /// The program's version, as `--version`, traces and Sentry show it; usually `env!("CARGO_PKG_VERSION")`.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    async fn main(self) -> ExitCode {
        process_memory::protect();
        let args: Vec<_> = std::env::args_os().collect();
        let exit = cli::dispatch(self.handlers, self.version, &args).await;
        log_queue::flush(log_queue::LAST_LINES);
        if thread_is_lost() {
            let code = exit.code().into();
            std::thread::spawn(move || {
                std::thread::sleep(RUNTIME_END);
                std::process::exit(code)
            });
        }
        exit.into()
    }
}

impl IntoFuture for App {
    type Output = ExitCode;
    type IntoFuture = Pin<Box<dyn Future<Output = ExitCode> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.main())
    }
}
