//! The files with settings.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};

use crate::app::platform::paths;

#[derive(Args, Clone, Debug)]
pub(super) struct Files {
    /// File with settings; it need not exist.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        default_value = "worker.toml",
        value_parser = path_parser()
    )]
    pub(super) config: PathBuf,
    /// File with environment variables; it need not exist.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        default_value = ".env",
        value_parser = path_parser()
    )]
    pub(super) env_file: PathBuf,
}

/// Reads a path and rejects `~`, which shells do not expand after a `=`: `--output-dir=~/out`.
pub(super) fn path_parser() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().try_map(|path| {
        let path = PathBuf::from(path);
        paths::refuse_tilde(&path).map(|()| path)
    })
}
