//! The worker's configuration: one struct, read in layers, with all problems in one error.
//!
//! The layers are defaults, `worker.toml`, `.env` and the environment; a later layer wins. An empty value counts as
//! unset. The process environment is only read, never changed.

mod account;
mod defaults;
mod env_file;
mod error;
mod layers;
mod parsers;
mod suggestion;
mod values;
mod variable;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::HeaderMap;
use secrecy::SecretString;

pub use self::account::ApiAccount;
#[cfg(feature = "sentry")]
pub(super) use self::defaults::DEPLOYMENT;
pub use self::error::{ConfigError, Problem};
pub use self::layers::ConfigSources;
pub use self::variable::{Variable, WhenUnset};

use self::values::Values;
use crate::app::telemetry::LogFormat;
use crate::job::JobType;
use crate::retry::RetryPolicy;
use crate::runtime::{JobLogs, temporary_folder};
use crate::storage::{Encryption, InputCache, S3Credentials, StorageClass, StorageUri};

macro_rules! when_unset {
    (account) => {
        WhenUnset::Required
    };
    (default $value:expr) => {
        WhenUnset::Value(|| $value.to_string())
    };
    ($other:ident $meaning:expr) => {
        WhenUnset::Means($meaning)
    };
}

macro_rules! read {
    ($values:ident, account, $variable:expr, $parser:expr) => {
        $values.account(&$variable, &$parser)
    };
    ($values:ident, optional, $variable:expr, $parser:expr) => {
        $values.optional(&$variable, &$parser)
    };
    ($values:ident, $other:ident, $variable:expr, $parser:expr) => {
        $values.present(&$variable, &$parser)
    };
}

/// The one table of variables. A row is the description, the field, the variable, what applies if it is unset
/// (`account`: required by commands that use the API; `default`: this value; `computed` by [`Config::load`];
/// `optional`: the field is `None`) and the parser of its text.
macro_rules! configuration {
    ($(
        $(#[doc = $doc:literal])+
        $vis:vis $field:ident: $type:ty = $name:ident, $when:ident $($unset:expr)?, $parser:expr;
    )+) => {
        /// The worker's settings, read by [`Config::load`].
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
            account_problems: Vec<Problem>,
        }

        mod row {
            use super::defaults::*;
            use super::parsers::*;
            use super::{Variable, WhenUnset};

            $(pub(super) const $name: Variable = Variable {
                name: stringify!($name),
                when_unset: when_unset!($when $($unset)?),
                description: concat!($($doc),+).trim_ascii(),
                secret: is_secret(&$parser),
                expected: || $parser.expected(),
            };)+
        }

        static VARIABLES: &[Variable] = &[$(row::$name),+];

        impl Config {
            fn read(values: &mut Values) -> Option<Self> {
                use parsers::*;

                // All are read before the first `?`, so that all problems are found.
                $(let $field = read!(values, $when, row::$name, $parser);)+
                Some(Self {
                    $($field: $field?,)+
                    warnings: Vec::new(),
                    account_problems: Vec::new(),
                })
            }
        }
    };
}

configuration! {
    /// Address of the job API, without `/api`.
    api_endpoint: Option<String> = API_ENDPOINT, account, ApiUrl;
    /// E-mail address of the worker's account.
    worker_username: Option<String> = WORKER_USERNAME, account, Text;
    /// Password of the worker's account.
    worker_password: Option<SecretString> = WORKER_PASSWORD, account, Secret;
    /// The job types to work on.
    pub job_types: Vec<JobType> = JOB_TYPES, computed "every handled type", JobTypes;
    /// AWS region of the bucket.
    pub aws_region: String = AWS_REGION, default "ap-southeast-2", Text;
    /// The bucket that the worker tries at the start and in `check`; each job says where its outputs go.
    pub s3_bucket_name: Option<String> = S3_BUCKET_NAME, optional "no bucket is tried", Text;
    /// Address of an S3 server other than AWS.
    pub s3_endpoint: Option<String> = S3_ENDPOINT, optional "AWS", HttpUrl;
    /// How S3 encrypts stored objects.
    s3_encryption: Option<Encryption> = S3_ENCRYPTION, optional "the bucket's own setting", S3Encryption;
    /// The key to encrypt with; only with `S3_ENCRYPTION=aws:kms`.
    s3_kms_key_id: Option<String> = S3_KMS_KEY_ID, optional "the account's own key for S3", KmsKey;
    /// Storage class of outputs and of objects that handlers store.
    pub s3_storage_class: Option<StorageClass> =
        S3_STORAGE_CLASS, optional "the server's default, on AWS `STANDARD`", S3StorageClass;
    /// Access key for `S3_ENDPOINT`, in preference to `AWS_ACCESS_KEY_ID`; ignored without `S3_ENDPOINT`.
    minio_username: Option<String> = MINIO_USERNAME, optional "see `AWS_ACCESS_KEY_ID`", Text;
    /// Secret key for `S3_ENDPOINT`; set it if and only if `MINIO_USERNAME` is set.
    minio_password: Option<SecretString> = MINIO_PASSWORD, optional "see `AWS_ACCESS_KEY_ID`", Secret;
    /// Access key for the bucket.
    aws_access_key_id: Option<String> =
        AWS_ACCESS_KEY_ID, optional "AWS's default chain, on ECS the task role", Text;
    /// Secret key for the bucket; set it if and only if `AWS_ACCESS_KEY_ID` is set.
    aws_secret_access_key: Option<SecretString> =
        AWS_SECRET_ACCESS_KEY, optional "see `AWS_ACCESS_KEY_ID`", Secret;
    /// Session token of a temporary access key.
    aws_session_token: Option<SecretString> = AWS_SESSION_TOKEN, optional "none", Secret;
    /// Time between two polls that find nothing.
    pub poll_interval: Duration = POLL_INTERVAL_MS, default milliseconds(run().poll_interval), Milliseconds(100..=LONGEST);
    /// Time without a job after which the worker ends.
    pub idle_timeout: Option<Duration> = IDLE_TIMEOUT_MS, default milliseconds(run().idle_timeout), MillisecondsOrNever;
    /// Number of jobs that run at a time.
    pub max_concurrent_jobs: usize = MAX_CONCURRENT_JOBS, default run().slots, Count(1..=256);
    /// Number of jobs of single types that run at a time, within `MAX_CONCURRENT_JOBS`.
    pub job_concurrency: Option<BTreeMap<JobType, usize>> =
        JOB_CONCURRENCY, optional "no limit per type", PerType(Count(1..=256));
    /// How long jobs of single types may run.
    pub job_time_limit: Option<BTreeMap<JobType, Duration>> =
        JOB_TIME_LIMIT_MS, optional "as long as the lease lasts", PerType(Milliseconds(1..=LONGEST));
    /// How the handlers of single types are called again after a retryable error.
    pub job_retry: Option<BTreeMap<JobType, RetryPolicy>> =
        JOB_RETRY, optional "`exponential:2000:3:30000`, or the handler's own policy", PerType(Retry);
    /// Number of jobs after which the worker ends.
    pub max_jobs: Option<usize> = MAX_JOBS, optional "no limit", Count(1..=LONGEST);
    /// Port that serves health, readiness and metrics.
    pub port: Option<u16> = PORT, optional "health is not served", Port;
    /// Folder in which each job gets a scratch folder.
    pub data_scratch_space: PathBuf =
        DATA_SCRATCH_SPACE, computed "the system's temporary folder", Folder;
    /// Time from SIGTERM to exit, in which running jobs finish, or are cancelled and reported.
    pub shutdown_grace: Duration = SHUTDOWN_GRACE_MS, default milliseconds(run().shutdown_grace), Milliseconds(0..=LONGEST);
    /// Time between a claim and reading it back to see who won.
    pub claim_settle: Duration = CLAIM_SETTLE_MS, default milliseconds(ReefGuideBuilder::DEFAULT_SETTLE), Milliseconds(0..=10_000);
    /// How long before the end of its lease an attempt is ended.
    pub deadline_margin: Duration = DEADLINE_MARGIN_MS, default milliseconds(run().deadline_margin), Milliseconds(0..=LONGEST);
    /// How often the API is asked whether a running job is still wanted.
    pub watch_interval: Option<Duration> = WATCH_INTERVAL_MS, default milliseconds(run().watch_interval), MillisecondsOrNever;
    /// Folder of the claim records, from which the jobs of dead workers are resolved; outside the locations where jobs
    /// store outputs.
    pub records_uri: Option<StorageUri> =
        RECORDS_URI, optional "`reefguide-worker/records` in the bucket of `S3_BUCKET_NAME`", StorageFolder;
    /// How often a claim record is renewed; a worker that misses five renewals counts as dead.
    pub record_interval: Duration = RECORD_INTERVAL_MS, default milliseconds(run().record_interval), Milliseconds(100..=LONGEST);
    /// Time limit of one request to the API.
    pub api_timeout: Duration = API_TIMEOUT_MS, default milliseconds(ClientBuilder::DEFAULT_TIMEOUT), Milliseconds(1..=LONGEST);
    /// How long a starting worker keeps trying to reach API and bucket.
    pub startup_timeout: Duration = STARTUP_TIMEOUT_MS, default "60000", Milliseconds(0..=LONGEST);
    /// Format of log lines.
    pub log_format: LogFormat = LOG_FORMAT, default "auto", Format;
    /// What is logged.
    log_level: String = LOG_LEVEL, default TelemetryOptions::default().filter, LogLevel;
    /// What is logged, in place of `LOG_LEVEL`.
    rust_log: Option<String> = RUST_LOG, optional "see `LOG_LEVEL`", LogDirectives;
    /// Where the log of each job is stored: nowhere, with its outputs, or in a folder, as `{job}/{assignment}.jsonl`.
    pub job_logs: JobLogs = JOB_LOGS, default "off", JobLogsPlace;
    /// Folder of input data, for handlers.
    pub data_path: Option<PathBuf> = DATA_PATH, optional "none", Folder;
    /// Folder for caches: that of inputs, in the folder `inputs`, and those of handlers. Workers may share it.
    pub cache_path: Option<PathBuf> = CACHE_PATH, optional "inputs are downloaded for each attempt", Folder;
    /// Largest size of the cache of inputs.
    pub cache_size: u64 = CACHE_SIZE, default "10GiB", Size;
    /// Where failures and panics are reported; needs the feature `sentry`.
    pub sentry_dsn: Option<SecretString> = SENTRY_DSN, optional "nowhere", Secret;
    /// What Sentry calls the deployment.
    pub sentry_environment: String = SENTRY_ENVIRONMENT, default DEPLOYMENT, Text;
    /// Address of an OpenTelemetry collector that traces are exported to, without `/v1/traces`; needs the
    /// feature `otel`.
    pub otel_exporter_otlp_endpoint: Option<String> =
        OTEL_EXPORTER_OTLP_ENDPOINT, optional "no traces are exported", HttpUrl;
    /// The whole address that traces are exported to, in preference to `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub otel_exporter_otlp_traces_endpoint: Option<String> =
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, optional "see `OTEL_EXPORTER_OTLP_ENDPOINT`", HttpUrl;
    /// Headers that are sent to the collector, such as its key.
    pub otel_exporter_otlp_headers: Option<HeaderMap> = OTEL_EXPORTER_OTLP_HEADERS, optional "none", Headers;
    /// What the collector calls this service.
    pub otel_service_name: Option<String> = OTEL_SERVICE_NAME, optional "the program's name", Text;
    /// Further attributes of this service for the collector.
    pub otel_resource_attributes: Option<Vec<(String, String)>> =
        OTEL_RESOURCE_ATTRIBUTES, optional "none", Attributes;
    /// Which traces are exported.
    pub otel_traces_sampler: String = OTEL_TRACES_SAMPLER, default "parentbased_always_on", Sampler;
    /// The ratio of traces that a sampler with a ratio exports.
    pub otel_traces_sampler_arg: f64 = OTEL_TRACES_SAMPLER_ARG, default "1", Ratio;
    /// Address of the task metadata; ECS sets it.
    pub ecs_container_metadata_uri: Option<String> =
        ECS_CONTAINER_METADATA_URI_V4, optional "not on ECS", HttpUrl;
    /// Address of the ECS agent, for scale-in protection while jobs run; ECS sets it.
    pub ecs_agent_uri: Option<String> = ECS_AGENT_URI, optional "no scale-in protection", HttpUrl;
}

impl Config {
    /// Reads the configuration of a worker that takes jobs from the API and has a handler for each of the job types
    /// `handled`.
    ///
    /// Blocks while it reads two small files.
    ///
    /// # Errors
    /// All problems at once: variables that are missing, values that are not valid, job types without a handler, one
    /// half of a pair of credentials, unknown keys of `worker.toml`, unreadable files.
    pub fn load(sources: &ConfigSources, handled: &[&str]) -> Result<Self, ConfigError> {
        Self::read_layers(sources, handled, true)
    }

    /// [`Config::load`] for a program that can do without the API: its address and account may be missing or wrong.
    ///
    /// # Errors
    /// All problems at once, except those of the account.
    pub fn load_without_api(
        sources: &ConfigSources,
        handled: &[&str],
    ) -> Result<Self, ConfigError> {
        Self::read_layers(sources, handled, false)
    }

    fn read_layers(
        sources: &ConfigSources,
        handled: &[&str],
        needs_account: bool,
    ) -> Result<Self, ConfigError> {
        let computed = [
            (&row::JOB_TYPES, handled.join(",")),
            (
                &row::DATA_SCRATCH_SPACE,
                temporary_folder().display().to_string(),
            ),
        ];
        let mut problems = Vec::new();
        let mut warnings = Vec::new();
        let texts = layers::read(sources, VARIABLES, &computed, &mut problems, &mut warnings);
        let in_files = problems.len();
        let mut values = Values {
            texts,
            problems,
            account_problems: Vec::new(),
        };
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
        let Values {
            mut problems,
            account_problems,
            ..
        } = values;
        if needs_account {
            // The account's variables are the first in the table.
            problems.splice(in_files..in_files, account_problems.iter().cloned());
        }
        match config {
            Some(config) if problems.is_empty() => Ok(Self {
                warnings,
                account_problems,
                ..config
            }),
            _ => {
                problems.extend(warnings);
                Err(ConfigError::new(problems))
            }
        }
    }

    /// How to reach the API.
    ///
    /// # Errors
    /// If address or account are missing or wrong; never after [`Config::load`].
    pub fn api_account(&self) -> Result<ApiAccount, ConfigError> {
        let account = || {
            Some(ApiAccount {
                endpoint: self.api_endpoint.clone()?,
                username: self.worker_username.clone()?,
                password: self.worker_password.clone()?,
            })
        };
        account().ok_or_else(|| ConfigError::new(self.account_problems.clone()))
    }

    /// What may be wrong: names that resemble a setting, and secrets with spaces around them.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// All variables, in the order of the documentation.
    pub fn variables() -> &'static [Variable] {
        VARIABLES
    }

    /// The keys to use for the bucket; `None` leaves it to AWS's default chain.
    ///
    /// With `S3_ENDPOINT` set, `MINIO_USERNAME` and `MINIO_PASSWORD` take precedence. Without it they are not used,
    /// since AWS does not know them.
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

    /// How S3 encrypts what the worker stores; `None` leaves it to the bucket.
    pub fn s3_encryption(&self) -> Option<Encryption> {
        match self.s3_encryption.clone()? {
            Encryption::Kms { .. } => Some(Encryption::Kms {
                key: self.s3_kms_key_id.clone(),
            }),
            other => Some(other),
        }
    }

    /// The folder of the records of claims; `None` without a bucket.
    pub fn records(&self) -> Option<StorageUri> {
        let bucket = || {
            let bucket = self.s3_bucket_name.as_ref()?;
            format!("s3://{bucket}/reefguide-worker/records")
                .parse()
                .ok()
        };
        self.records_uri.clone().or_else(bucket)
    }

    /// The cache of inputs; `None` if inputs are not cached.
    pub fn input_cache(&self) -> Option<InputCache> {
        let folder = self.cache_path.as_ref()?.join("inputs");
        Some(InputCache::new(folder, self.cache_size))
    }

    /// The address that traces are exported to; `None` if they are not exported.
    pub fn traces_endpoint(&self) -> Option<String> {
        let below = || {
            let endpoint = self.otel_exporter_otlp_endpoint.as_ref()?;
            Some(format!("{endpoint}/v1/traces"))
        };
        self.otel_exporter_otlp_traces_endpoint
            .clone()
            .or_else(below)
    }

    /// What is logged, as directives: `RUST_LOG` if it is set, `LOG_LEVEL` otherwise.
    pub fn log_filter(&self) -> &str {
        self.rust_log.as_ref().unwrap_or(&self.log_level)
    }
}
