//! The worker's configuration: one struct, read in layers, all problems in one error.
//!
//! Layers, the later wins: defaults, `worker.toml`, `.env`, environment. An empty value is no value.
//! The process environment is only read, never changed.

mod env_file;
mod error;
mod form;
mod layers;
mod misspelt;
mod variable;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use config::Map;
use reqwest::header::HeaderMap;
use secrecy::SecretString;

pub use self::error::{ConfigError, Problem};
pub use self::layers::ConfigSources;
pub use self::variable::{Variable, WhenUnset};

use self::form::Form;
use self::layers::Found;
use crate::address;
use crate::app::telemetry::LogFormat;
use crate::job::JobType;
use crate::retry::RetryPolicy;
use crate::runtime::{JobLogs, temporary_folder};
use crate::storage::{Encryption, InputCache, S3Credentials, StorageClass, StorageUri};

macro_rules! when_unset {
    (required) => {
        WhenUnset::Required
    };
    (default $value:literal) => {
        WhenUnset::Value($value)
    };
    ($other:ident $meaning:literal) => {
        WhenUnset::Means($meaning)
    };
}

macro_rules! read {
    ($values:ident, optional, $variable:expr, $form:expr) => {
        $values.optional(&$variable, &$form)
    };
    ($values:ident, $other:ident, $variable:expr, $form:expr) => {
        $values.present(&$variable, &$form)
    };
}

/// The one table of variables. A row is the description, the field, the variable, what holds when it
/// is unset (`required`; `default`, this text; `computed` by [`Config::load`]; `optional`, the field
/// is `None`) and the form of its text.
macro_rules! configuration {
    ($(
        $(#[doc = $doc:literal])+
        $vis:vis $field:ident: $type:ty = $name:ident, $when:ident $($text:literal)?, $form:expr;
    )+) => {
        /// What a worker needs to know to run. Made by [`Config::load`].
        ///
        /// `Debug` shows no secret.
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        pub struct Config {
            $(
                $(#[doc = $doc])+
                #[doc = concat!("\n\nVariable: `", stringify!($name), "`.")]
                $vis $field: $type,
            )+
            warnings: Vec<Problem>,
        }

        mod row {
            use super::form::*;
            use super::{Variable, WhenUnset};

            $(pub(super) const $name: Variable = Variable {
                name: stringify!($name),
                when_unset: when_unset!($when $($text)?),
                description: concat!($($doc),+).trim_ascii(),
                secret: is_secret(&$form),
                needs: || $form.needs(),
            };)+
        }

        static VARIABLES: &[Variable] = &[$(row::$name),+];

        impl Config {
            fn read(values: &mut Values) -> Option<Self> {
                use form::*;

                // All of them are read before the first missing one ends it.
                $(let $field = read!(values, $when, row::$name, $form);)+
                Some(Self { $($field: $field?,)+ warnings: Vec::new() })
            }
        }
    };
}

configuration! {
    /// Address of the job API, without `/api`.
    pub api_endpoint: String = API_ENDPOINT, required, ApiUrl;
    /// E-mail address of the worker's account.
    pub worker_username: String = WORKER_USERNAME, required, Text;
    /// Password of the worker's account.
    pub worker_password: SecretString = WORKER_PASSWORD, required, Secret;
    /// The job types to work on.
    pub job_types: Vec<JobType> = JOB_TYPES, computed "every handled type", JobTypes;
    /// AWS region of the bucket.
    pub aws_region: String = AWS_REGION, default "ap-southeast-2", Text;
    /// The bucket that is tried at the start and by `check`; where outputs go is each job's to say.
    pub s3_bucket_name: Option<String> = S3_BUCKET_NAME, optional "no bucket is tried", Text;
    /// Address of an S3 server other than AWS.
    pub s3_endpoint: Option<String> = S3_ENDPOINT, optional "AWS", HttpUrl;
    /// How S3 encrypts what is stored.
    s3_encryption: Option<Encryption> = S3_ENCRYPTION, optional "as the bucket says", S3Encryption;
    /// The key to encrypt with; only with `S3_ENCRYPTION=aws:kms`.
    s3_kms_key_id: Option<String> = S3_KMS_KEY_ID, optional "the account's own key for S3", KmsKey;
    /// Storage class of outputs, and of what handlers store.
    pub s3_storage_class: Option<StorageClass> =
        S3_STORAGE_CLASS, optional "the server's own, of AWS `STANDARD`", S3StorageClass;
    /// Access key for `S3_ENDPOINT`, where it goes before `AWS_ACCESS_KEY_ID`; not used without it.
    minio_username: Option<String> = MINIO_USERNAME, optional "see `AWS_ACCESS_KEY_ID`", Text;
    /// Secret key for `S3_ENDPOINT`; set if and only if `MINIO_USERNAME` is.
    minio_password: Option<SecretString> = MINIO_PASSWORD, optional "see `AWS_ACCESS_KEY_ID`", Secret;
    /// Access key for the bucket.
    aws_access_key_id: Option<String> =
        AWS_ACCESS_KEY_ID, optional "AWS's default chain, on ECS the task role", Text;
    /// Secret key for the bucket; set if and only if `AWS_ACCESS_KEY_ID` is.
    aws_secret_access_key: Option<SecretString> =
        AWS_SECRET_ACCESS_KEY, optional "see `AWS_ACCESS_KEY_ID`", Secret;
    /// Session token that goes with a temporary access key.
    aws_session_token: Option<SecretString> = AWS_SESSION_TOKEN, optional "none", Secret;
    /// Time between two polls that find nothing.
    pub poll_interval: Duration = POLL_INTERVAL_MS, default "2000", Milliseconds(100..=LONGEST);
    /// Time without a job after which the worker ends.
    pub idle_timeout: Option<Duration> = IDLE_TIMEOUT_MS, default "300000", MillisecondsOrNever;
    /// Number of jobs run at a time.
    pub max_concurrent_jobs: usize = MAX_CONCURRENT_JOBS, default "1", Count(1..=256);
    /// Number of jobs of single types run at a time, within `MAX_CONCURRENT_JOBS`.
    pub job_concurrency: Option<BTreeMap<JobType, usize>> =
        JOB_CONCURRENCY, optional "no limit of their own", PerType(Count(1..=256));
    /// How long jobs of single types may run.
    pub job_time_limit: Option<BTreeMap<JobType, Duration>> =
        JOB_TIME_LIMIT_MS, optional "as long as the lease lasts", PerType(Milliseconds(1..=LONGEST));
    /// How the handlers of single types are tried again after a retryable error.
    pub job_retry: Option<BTreeMap<JobType, RetryPolicy>> =
        JOB_RETRY, optional "`exponential:2000:3:30000`, or what the worker's author says", PerType(Retry);
    /// Number of jobs after which the worker ends.
    pub max_jobs: Option<usize> = MAX_JOBS, optional "no limit", Count(1..=LONGEST);
    /// Port on which health, readiness and metrics are answered.
    pub port: Option<u16> = PORT, optional "health is not served", Port;
    /// Folder in which jobs get their scratch folders.
    pub data_scratch_space: PathBuf =
        DATA_SCRATCH_SPACE, computed "the system's temporary folder", Folder;
    /// Time from SIGTERM to the end, for running jobs to finish, or to be cancelled and reported.
    pub shutdown_grace: Duration = SHUTDOWN_GRACE_MS, default "25000", Milliseconds(0..=LONGEST);
    /// Time between a claim and reading it back to see who won.
    pub claim_settle: Duration = CLAIM_SETTLE_MS, default "250", Milliseconds(0..=10_000);
    /// How long before its lease ends an attempt is ended.
    pub deadline_margin: Duration = DEADLINE_MARGIN_MS, default "30000", Milliseconds(0..=LONGEST);
    /// How often the API is asked whether a running job is still wanted.
    pub watch_interval: Option<Duration> = WATCH_INTERVAL_MS, default "30000", MillisecondsOrNever;
    /// Folder of the records of claims, by which the jobs of workers that died are settled; outside of
    /// what jobs store.
    pub records_uri: Option<StorageUri> =
        RECORDS_URI, optional "`reefguide-worker/records` in the bucket of `S3_BUCKET_NAME`", StorageFolder;
    /// How often the record of a claim is renewed; a worker that misses five renewals counts as dead.
    pub record_interval: Duration = RECORD_INTERVAL_MS, default "30000", Milliseconds(100..=LONGEST);
    /// Time limit of one request to the API.
    pub api_timeout: Duration = API_TIMEOUT_MS, default "30000", Milliseconds(1..=LONGEST);
    /// How long a starting worker keeps trying to reach API and bucket.
    pub startup_timeout: Duration = STARTUP_TIMEOUT_MS, default "60000", Milliseconds(0..=LONGEST);
    /// Form of log lines.
    pub log_format: LogFormat = LOG_FORMAT, default "auto", Format;
    /// What is logged.
    log_level: String = LOG_LEVEL, default "info", LogLevel;
    /// What is logged, in place of `LOG_LEVEL`.
    rust_log: Option<String> = RUST_LOG, optional "see `LOG_LEVEL`", LogDirectives;
    /// Where the log of each job is stored: nowhere, with its outputs, or in a folder, as `{job}/{assignment}.jsonl`.
    pub job_logs: JobLogs = JOB_LOGS, default "off", JobLogsPlace;
    /// Folder of input data, for handlers.
    pub data_path: Option<PathBuf> = DATA_PATH, optional "none", Folder;
    /// Folder for caches: of inputs, in its folder `inputs`, and of what handlers keep themselves. Workers may
    /// share it.
    pub cache_path: Option<PathBuf> = CACHE_PATH, optional "inputs are downloaded for each attempt", Folder;
    /// How much the cache of inputs has at most.
    pub cache_size: u64 = CACHE_SIZE, default "10GiB", Size;
    /// Where failures and panics are reported to; needs the feature `sentry`.
    pub sentry_dsn: Option<SecretString> = SENTRY_DSN, optional "nowhere", Secret;
    /// What Sentry calls the deployment.
    pub sentry_environment: String = SENTRY_ENVIRONMENT, default "production", Text;
    /// Address of an OpenTelemetry collector that traces are exported to, without `/v1/traces`; needs the
    /// feature `otel`.
    pub otel_exporter_otlp_endpoint: Option<String> =
        OTEL_EXPORTER_OTLP_ENDPOINT, optional "no traces are exported", HttpUrl;
    /// The whole address that traces are exported to, where it goes before `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub otel_exporter_otlp_traces_endpoint: Option<String> =
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, optional "see `OTEL_EXPORTER_OTLP_ENDPOINT`", HttpUrl;
    /// Headers that are sent to the collector, such as its key.
    pub otel_exporter_otlp_headers: Option<HeaderMap> = OTEL_EXPORTER_OTLP_HEADERS, optional "none", Headers;
    /// What the collector calls this service.
    pub otel_service_name: Option<String> = OTEL_SERVICE_NAME, optional "the program's name", Text;
    /// What else the collector is told of this service.
    pub otel_resource_attributes: Option<Vec<(String, String)>> =
        OTEL_RESOURCE_ATTRIBUTES, optional "nothing", Attributes;
    /// Which traces are exported.
    pub otel_traces_sampler: String = OTEL_TRACES_SAMPLER, default "parentbased_always_on", Sampler;
    /// The part of the traces that a sampler with a ratio exports.
    pub otel_traces_sampler_arg: f64 = OTEL_TRACES_SAMPLER_ARG, default "1", Ratio;
    /// Address of the task metadata; ECS sets it.
    pub ecs_container_metadata_uri: Option<String> =
        ECS_CONTAINER_METADATA_URI_V4, optional "not on ECS", HttpUrl;
    /// Address of the ECS agent, for protection from scale-in while jobs run; ECS sets it.
    pub ecs_agent_uri: Option<String> = ECS_AGENT_URI, optional "no protection", HttpUrl;
}

impl Config {
    /// Reads the configuration for a worker that has a handler for each of the job types `handled`.
    ///
    /// Blocks for the time it takes to read two small files.
    ///
    /// # Errors
    /// All problems at once: variables that are missing, values that do not fit, job types with no
    /// handler, one half of a pair of credentials, unknown keys of `worker.toml`, unreadable files.
    pub fn load(sources: &ConfigSources, handled: &[&str]) -> Result<Self, ConfigError> {
        let computed = [
            (&row::JOB_TYPES, handled.join(",")),
            (
                &row::DATA_SCRATCH_SPACE,
                temporary_folder().display().to_string(),
            ),
        ];
        let mut problems = Vec::new();
        let mut warnings = Vec::new();
        let found = layers::read(sources, VARIABLES, &computed, &mut problems, &mut warnings);
        let mut values = Values { found, problems };
        warnings.extend(values.spaces_around_secrets());
        let config = Self::read(&mut values);
        values.check_pair(&row::MINIO_USERNAME, &row::MINIO_PASSWORD);
        values.check_pair(&row::AWS_ACCESS_KEY_ID, &row::AWS_SECRET_ACCESS_KEY);
        values.check_kms_key();
        for variable in [
            &row::JOB_TYPES,
            &row::JOB_CONCURRENCY,
            &row::JOB_TIME_LIMIT_MS,
            &row::JOB_RETRY,
        ] {
            values.check_handled(variable, handled);
        }
        match config {
            Some(config) if values.problems.is_empty() => Ok(Self { warnings, ..config }),
            _ => {
                values.problems.extend(warnings);
                Err(ConfigError::new(values.problems))
            }
        }
    }

    /// What looks wrong but need not be: names that nearly match a setting, and secrets with spaces around them.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// All variables, in the order of the documentation.
    pub fn variables() -> &'static [Variable] {
        VARIABLES
    }

    /// The keys to use for the bucket; `None` leaves it to AWS's default chain.
    ///
    /// With `S3_ENDPOINT` set, `MINIO_USERNAME` and `MINIO_PASSWORD` go first. Without it they are
    /// not used at all, as they are not AWS's.
    pub fn s3_credentials(&self) -> Option<S3Credentials> {
        let minio = || {
            self.s3_endpoint.as_ref()?;
            Some(S3Credentials {
                access_key: self.minio_username.clone()?,
                secret_key: self.minio_password.clone()?,
                session_token: None,
            })
        };
        let aws = || {
            Some(S3Credentials {
                access_key: self.aws_access_key_id.clone()?,
                secret_key: self.aws_secret_access_key.clone()?,
                session_token: self.aws_session_token.clone(),
            })
        };
        minio().or_else(aws)
    }

    /// How what is stored is encrypted; `None` leaves it to the bucket.
    pub fn s3_encryption(&self) -> Option<Encryption> {
        match self.s3_encryption.clone()? {
            Encryption::Kms { .. } => Some(Encryption::Kms {
                key: self.s3_kms_key_id.clone(),
            }),
            other => Some(other),
        }
    }

    /// Where the records of claims are kept; `None` without a bucket to keep them in.
    pub fn records(&self) -> Option<StorageUri> {
        let bucket = || {
            let bucket = self.s3_bucket_name.as_ref()?;
            format!("s3://{bucket}/reefguide-worker/records")
                .parse()
                .ok()
        };
        self.records_uri.clone().or_else(bucket)
    }

    /// Where inputs are kept; `None` if they are not.
    pub fn input_cache(&self) -> Option<InputCache> {
        let folder = self.cache_path.as_ref()?.join("inputs");
        Some(InputCache::new(folder, self.cache_size))
    }

    /// Where traces are exported to; `None` if nowhere.
    pub fn traces_endpoint(&self) -> Option<String> {
        let below = || {
            let endpoint = self.otel_exporter_otlp_endpoint.as_ref()?;
            Some(format!("{endpoint}/v1/traces"))
        };
        self.otel_exporter_otlp_traces_endpoint
            .clone()
            .or_else(below)
    }

    /// What is logged, as directives: `RUST_LOG`, or else `LOG_LEVEL`.
    pub fn log_filter(&self) -> &str {
        self.rust_log.as_ref().unwrap_or(&self.log_level)
    }
}

/// The values on top of all layers, while they are read.
struct Values {
    found: Map<String, Found>,
    problems: Vec<Problem>,
}

impl Values {
    /// Reads a variable that has to have a value; `None` when it has none, or none that fits.
    fn present<F: Form>(&mut self, variable: &Variable, form: &F) -> Option<F::Value> {
        let value = self.optional(variable, form)?;
        if value.is_none() {
            self.problems.push(Problem {
                subject: variable.name.into(),
                found: "is not set".into(),
                needs: variable.needs(),
                remedy: format!(
                    "set it in the environment or in .env, or set {} in worker.toml",
                    variable.key()
                ),
            });
        }
        value
    }

    /// Reads a variable; `None` when its value does not fit, `Some(None)` when it has none.
    fn optional<F: Form>(&mut self, variable: &Variable, form: &F) -> Option<Option<F::Value>> {
        let Some(Found { text, origin }) = self.found.get(&variable.key()) else {
            return Some(None);
        };
        match form.parse(text) {
            Ok(value) => Some(Some(value)),
            Err(remedy) => {
                let origin = origin.as_deref().unwrap_or("default");
                let value = shown(text, variable);
                self.problems.push(Problem {
                    subject: variable.name.into(),
                    found: format!("is {value} ({origin})"),
                    needs: variable.needs(),
                    remedy: remedy.unwrap_or_else(|| match variable.when_unset {
                        WhenUnset::Required => "correct it".into(),
                        unset => format!("correct it, or unset it (then: {unset})"),
                    }),
                });
                None
            }
        }
    }

    fn spaces_around_secrets(&self) -> Vec<Problem> {
        let secrets = VARIABLES.iter().filter(|variable| variable.secret);
        let found =
            secrets.filter_map(|variable| Some((variable, self.found.get(&variable.key())?)));
        let spaced = found.filter(|(_, found)| found.text.trim() != found.text);
        let warning = |(variable, found): (&Variable, &Found)| Problem {
            subject: variable.name.into(),
            found: format!(
                "begins or ends with white space ({})",
                found.origin.as_deref().unwrap_or("default")
            ),
            needs: variable.needs(),
            remedy: "remove the white space, unless it belongs to the secret".into(),
        };
        spaced.map(warning).collect()
    }

    fn check_pair(&mut self, a: &Variable, b: &Variable) {
        for (set, unset) in [(a, b), (b, a)] {
            let Some(found) = self.found.get(&set.key()) else {
                continue;
            };
            if self.found.contains_key(&unset.key()) {
                continue;
            }
            let origin = found.origin.as_deref().unwrap_or("default");
            self.problems.push(Problem {
                subject: unset.name.into(),
                found: format!("is not set, but {} is ({origin})", set.name),
                needs: "to be set together with it".into(),
                remedy: format!("set {} too, or unset {}", unset.name, set.name),
            });
        }
    }

    /// Checks that a key is given only where it is used.
    fn check_kms_key(&mut self) {
        let Some(key) = self.found.get(&row::S3_KMS_KEY_ID.key()) else {
            return;
        };
        let encryption = match self.found.get(&row::S3_ENCRYPTION.key()) {
            None => "not set",
            Some(Found { text, .. }) => match form::S3Encryption.parse(text) {
                Ok(Encryption::Aes256) => "AES256",
                _ => return,
            },
        };
        let origin = key.origin.as_deref().unwrap_or("default");
        self.problems.push(Problem {
            subject: row::S3_KMS_KEY_ID.name.into(),
            found: format!("is set ({origin}), but S3_ENCRYPTION is {encryption}"),
            needs: "S3_ENCRYPTION=aws:kms to be used".into(),
            remedy: "set S3_ENCRYPTION=aws:kms, or unset S3_KMS_KEY_ID".into(),
        });
    }

    /// Checks the job types in a list of them, each perhaps with a value.
    fn check_handled(&mut self, variable: &Variable, handled: &[&str]) {
        let Some(Found { text, origin }) = self.found.get(&variable.key()) else {
            return;
        };
        let mut unhandled = Vec::new();
        for part in text.split(',') {
            let name = part.split('=').next().unwrap_or_default().trim();
            let shown = format!("{name:?}");
            if !name.is_empty() && !handled.contains(&name) && !unhandled.contains(&shown) {
                unhandled.push(shown);
            }
        }
        if unhandled.is_empty() {
            return;
        }
        let origin = origin.as_deref().unwrap_or("default");
        let unhandled = unhandled.join(", ");
        self.problems.push(Problem {
            subject: variable.name.into(),
            found: format!("has {unhandled} with no handler ({origin})"),
            needs: format!("job types with a handler: {}", handled.join(", ")),
            remedy: "correct or remove the name, or register a handler for it".into(),
        });
    }
}

/// A value as problems show it: quoted, without secrets.
fn shown(text: &str, variable: &Variable) -> String {
    if variable.secret {
        return "[redacted]".into();
    }
    // URLs with a password are refused, so they come by here.
    address::shown(text)
}
