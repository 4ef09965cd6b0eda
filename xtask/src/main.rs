//! The project's own chores. `cargo xtask --help` lists them.

mod bench;
mod build;
mod check;
mod controls;
mod demo;
mod failure;
mod lab_storage;
mod process;
mod proxy;
mod session;
mod soak;
mod template_check;

use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's own chores.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    Bench(bench::Options),
    Check(check::Options),
    Demo(demo::Options),
    Controls(controls::Options),
    PublicTypes(check::public_types::Options),
    Soak(soak::Options),
    TemplateCheck(template_check::Options),
}

fn main() -> ExitCode {
    let done = match Cli::parse().chore {
        Chore::Bench(options) => bench::bench(options),
        Chore::Check(options) => check::check(&options),
        Chore::Demo(options) => demo::demo(options),
        Chore::Controls(options) => controls::controls(&options),
        Chore::PublicTypes(options) => check::public_types::public_types(&options),
        Chore::Soak(options) => soak::soak(&options),
        Chore::TemplateCheck(options) => template_check::template_check(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(ended) => {
            eprintln!("{ended}");
            ended.exit_code()
        }
    }
}

/// The root of the workspace.
fn workspace() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
