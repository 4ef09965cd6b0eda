//! What is logged, how, and where logs of jobs are kept.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use super::{StorageFolder, Text, ValueParser};
use crate::app::telemetry::LogFormat;
use crate::runtime::JobLogs;

pub(in crate::app::config) struct JobLogsPlace;

impl ValueParser for JobLogsPlace {
    type Value = JobLogs;

    fn expected(&self) -> String {
        "`off`, `outputs`, or a storage URI with a folder, such as s3://bucket/job-logs".into()
    }

    fn parse(&self, text: &str) -> Result<JobLogs, Option<String>> {
        match text.trim() {
            "off" => Ok(JobLogs::Off),
            "outputs" => Ok(JobLogs::Outputs),
            folder => StorageFolder.parse(folder).map(JobLogs::Folder),
        }
    }
}

pub(in crate::app::config) struct Format;

impl ValueParser for Format {
    type Value = LogFormat;

    fn expected(&self) -> String {
        "`auto`, `human` or `json`".into()
    }

    fn parse(&self, text: &str) -> Result<LogFormat, Option<String>> {
        text.trim().parse().map_err(|_| None)
    }
}

/// Log directives. A single word must be a level: as a directive, `inof` would be the name of a crate, and nothing else
/// would be logged.
pub(in crate::app::config) struct LogLevel;

impl ValueParser for LogLevel {
    type Value = String;

    fn expected(&self) -> String {
        "a level (`off`, `error`, `warn`, `info`, `debug`, `trace`) or directives such as \
         `info,my_worker=debug`"
            .into()
    }

    fn parse(&self, text: &str) -> Result<String, Option<String>> {
        let directives = LogDirectives.parse(text)?;
        let unknown_level = directives
            .split(',')
            .map(str::trim)
            .any(|part| !part.contains(['=', '[']) && part.parse::<LevelFilter>().is_err());
        if unknown_level {
            Err(None)
        } else {
            Ok(directives)
        }
    }
}

/// Log directives in the form of other Rust programs.
pub(in crate::app::config) struct LogDirectives;

impl ValueParser for LogDirectives {
    type Value = String;

    fn expected(&self) -> String {
        "log directives, such as `info,my_worker=debug`".into()
    }

    fn parse(&self, text: &str) -> Result<String, Option<String>> {
        let directives = Text.parse(text)?;
        match EnvFilter::builder().parse(&directives) {
            Ok(_) => Ok(directives),
            Err(_) => Err(None),
        }
    }
}
