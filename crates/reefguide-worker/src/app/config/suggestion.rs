//! Suggestions for misspelled names of settings.

use super::variable::Variable;

/// From this length, a name may have two wrong letters or be cut short.
const LONG: usize = 8;

/// The setting that a name probably stands for which is not a setting itself.
pub(super) fn suggest<'a>(name: &str, variables: &'a [Variable]) -> Option<&'a Variable> {
    let name = name.to_ascii_uppercase();
    let allowed = match name.len() {
        ..4 => return None,
        4..6 => 0,
        6..LONG => 1,
        _ => 2,
    };
    let distance = |variable: &Variable| strsim::osa_distance(&name, variable.name);
    let nearest = variables.iter().min_by_key(|variable| distance(variable))?;
    let cut_short = |variable: &&Variable| {
        name.len() >= LONG && name.contains('_') && variable.name.starts_with(&name)
    };
    Some(nearest)
        .filter(|nearest| distance(nearest) <= allowed)
        .or_else(|| variables.iter().find(cut_short))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::config::Config;

    fn suggested(name: &str) -> Option<&'static str> {
        suggest(name, Config::variables()).map(|variable| variable.name)
    }

    #[test]
    fn a_misspelled_name_suggests_the_setting() {
        for (name, expected) in [
            ("WORKER_PASWORD", "WORKER_PASSWORD"),
            ("WORKER_PASSWD", "WORKER_PASSWORD"),
            ("worker_password", "WORKER_PASSWORD"),
            ("WORKER-USERNAME", "WORKER_USERNAME"),
            ("WORKER_USER", "WORKER_USERNAME"),
            ("JOB_TYPE", "JOB_TYPES"),
            ("S3_BUCKET", "S3_BUCKET_NAME"),
            ("API_ENDPIONT", "API_ENDPOINT"),
            ("POLL_INTERVAL", "POLL_INTERVAL_MS"),
            ("AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID"),
            ("port", "PORT"),
        ] {
            assert_eq!(suggested(name), Some(expected), "{name}");
        }
    }

    #[test]
    fn a_name_that_is_common_in_an_environment_suggests_nothing() {
        for name in [
            "PATH",
            "HOME",
            "HOSTNAME",
            "LANG",
            "LC_ALL",
            "PWD",
            "SHLVL",
            "TERM",
            "TMPDIR",
            "USER",
            "SHELL",
            "AWS_DEFAULT_REGION",
            "AWS_EXECUTION_ENV",
            "AWS_PROFILE",
            "AWS_ROLE_ARN",
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "AWS_ENDPOINT_URL",
            "AWS_ENDPOINT_URL_S3",
            "AWS_CONFIG_FILE",
            "JOB_ID",
            "JOB_INPUT",
            "JOB_RESULT",
            "JOB_SCRATCH",
            "JOB_ATTEMPT",
            "JOB_OUTPUT_DIR",
            "RUST_BACKTRACE",
            "OTEL_SDK_DISABLED",
            "OTEL_BSP_SCHEDULE_DELAY",
            "OTEL_EXPORTER_OTLP_TIMEOUT",
            "OTEL_TRACES_EXPORTER",
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            "OTEL_EXPORTER_OTLP_COMPRESSION",
            "OTEL_PROPAGATORS",
            "SENTRY_RELEASE",
            "KUBERNETES_PORT",
            "KUBERNETES_SERVICE_HOST",
            "HTTP_PROXY",
            "NO_PROXY",
            "SSL_CERT_FILE",
            "LOGNAME",
            "REEFGUIDE_PASSWORD",
            "JULIA_NUM_THREADS",
            "MINIO_ROOT_USER",
            "MINIO_ROOT_PASSWORD",
            "TOKIO_WORKER_THREADS",
        ] {
            assert_eq!(suggested(name), None, "{name}");
        }
    }
}
