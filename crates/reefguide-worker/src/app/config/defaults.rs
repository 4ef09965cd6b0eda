//! Defaults of settings. Those of other parts of the worker are read from these parts, so that each is written once.

use std::time::Duration;

pub(super) use crate::app::telemetry::TelemetryOptions;
pub(super) use crate::source::reefguide::{ClientBuilder, ReefGuideBuilder};

use crate::runtime::RunOptions;

/// What Sentry calls a deployment that has no other name.
pub(in crate::app) const DEPLOYMENT: &str = "production";

pub(super) fn run() -> RunOptions {
    RunOptions::default()
}

/// A time as a setting has it; 0 means never.
pub(super) fn milliseconds(time: impl Into<Option<Duration>>) -> u128 {
    time.into().unwrap_or_default().as_millis()
}

#[cfg(test)]
mod tests {
    use super::run;
    use crate::app::config::parsers::{Format, JobLogsPlace, Retry, ValueParser};
    use crate::app::config::{Config, WhenUnset};
    use crate::app::telemetry::LogFormat;
    use crate::runtime::JobLogs;

    fn when_unset(name: &str) -> String {
        let mut variables = Config::variables().iter();
        let variable = variables.find(|variable| variable.name == name).unwrap();
        match variable.when_unset {
            WhenUnset::Value(value) => value(),
            unset => unset.to_string(),
        }
    }

    #[test]
    fn defaults_in_words_are_those_of_the_part_that_uses_them() {
        assert_eq!(
            Format.parse(&when_unset("LOG_FORMAT")),
            Ok(LogFormat::default())
        );
        assert_eq!(
            JobLogsPlace.parse(&when_unset("JOB_LOGS")),
            Ok(JobLogs::default())
        );
        let retry = when_unset("JOB_RETRY");
        let retry = retry.split('`').nth(1).unwrap();
        assert_eq!(Retry.parse(retry), Ok(run().handler_retry));
    }
}
