use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use reefguide_worker::app::config::{Config, ConfigError, ConfigSources};
use reefguide_worker::job::JobType;
use reefguide_worker::retry::{Growth, RetryPolicy};
use reefguide_worker::storage::{Encryption, StorageClass};
use secrecy::{ExposeSecret, SecretString};
use tempfile::TempDir;

const HANDLED: &[&str] = &["TEST", "RASTER"];

/// Sources with what is required, in the environment, and the files of a folder of their own.
struct Place {
    folder: TempDir,
    sources: ConfigSources,
}

impl Place {
    fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sources = ConfigSources {
            toml: Some(folder.path().join("worker.toml")),
            env_file: Some(folder.path().join(".env")),
            ..ConfigSources::default()
        };
        Self { folder, sources }
    }

    fn good() -> Self {
        Self::empty()
            .env("API_ENDPOINT", "http://localhost:5000")
            .env("WORKER_USERNAME", "worker@email.com")
            .env("WORKER_PASSWORD", "hunter2")
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.sources.env.insert(name.into(), value.into());
        self
    }

    fn file(self, name: &str, text: &str) -> Self {
        std::fs::write(self.folder.path().join(name), text).unwrap();
        self
    }

    fn load(&self) -> Result<Config, ConfigError> {
        Config::load(&self.sources, HANDLED)
    }

    fn password(&self) -> SecretString {
        self.load().unwrap().api_account().unwrap().password
    }

    /// The error's text, with the folder's path taken out.
    fn error(&self) -> String {
        let folder = format!("{}/", self.folder.path().display());
        self.load().unwrap_err().to_string().replace(&folder, "")
    }
}

fn names(config: &Config) -> Vec<&str> {
    config.job_types.iter().map(JobType::as_str).collect()
}

#[test]
fn the_table_of_variables() {
    let rows = Config::variables().iter().map(|variable| {
        format!(
            "{}{} [{}]: {}\n    expected: {}\n",
            variable.name,
            if variable.secret { " (secret)" } else { "" },
            variable.when_unset,
            variable.description,
            variable.expected(),
        )
    });
    insta::assert_snapshot!(rows.collect::<String>());
}

#[test]
fn a_program_that_can_do_without_the_api_needs_no_account_and_reports_all_other_problems() {
    let place = Place::empty()
        .env("PORT", "8080")
        .env("API_ENDPOINT", "ftp://api");
    let config = Config::load_without_api(&place.sources, HANDLED).unwrap();
    assert_eq!(config.port, Some(8080));
    let missing = config.api_account().unwrap_err();
    let problems = missing.problems().iter();
    let subjects: Vec<_> = problems.map(|problem| &*problem.subject).collect();
    assert_eq!(
        subjects,
        ["API_ENDPOINT", "WORKER_USERNAME", "WORKER_PASSWORD"]
    );
    let place = place.env("PORT", "none");
    let error = Config::load_without_api(&place.sources, HANDLED).unwrap_err();
    assert_eq!(error.problems().len(), 1);
    assert_eq!(error.problems()[0].subject, "PORT");
    let place = Place::good();
    let config = Config::load_without_api(&place.sources, HANDLED).unwrap();
    assert_eq!(config.api_account().unwrap().username, "worker@email.com");
}

#[test]
fn what_is_unset_has_its_documented_default() {
    let config = Place::good().load().unwrap();
    assert_eq!(names(&config), HANDLED);
    assert_eq!(config.aws_region, "ap-southeast-2");
    assert_eq!(config.poll_interval, Duration::from_millis(2000));
    assert_eq!(config.idle_timeout, Some(Duration::from_secs(300)));
    assert_eq!(config.max_concurrent_jobs, 1);
    assert_eq!(config.port, None);
    assert!(config.input_cache().is_none());
    assert_eq!(config.cache_size, 10 << 30);
    assert_eq!(config.data_scratch_space, std::env::temp_dir());
    assert_eq!(config.shutdown_grace, Duration::from_secs(25));
    assert_eq!(config.claim_settle, Duration::from_millis(250));
    assert_eq!(config.deadline_margin, Duration::from_secs(30));
    assert_eq!(config.api_timeout, Duration::from_secs(30));
    assert_eq!(config.startup_timeout, Duration::from_secs(60));
    assert_eq!(config.log_filter(), "info");
    assert!(config.s3_credentials().is_none());
}

#[test]
fn the_environment_goes_before_env_file_before_worker_toml_before_defaults() {
    let toml = "poll_interval_ms = 1001\naws_region = 'toml'\nmax_concurrent_jobs = 3\n";
    let config = Place::good()
        .file("worker.toml", toml)
        .file(".env", "POLL_INTERVAL_MS=1002\nAWS_REGION=env-file\n")
        .env("POLL_INTERVAL_MS", "1003")
        .load()
        .unwrap();
    assert_eq!(config.poll_interval, Duration::from_millis(1003));
    assert_eq!(config.aws_region, "env-file");
    assert_eq!(config.max_concurrent_jobs, 3);
    assert_eq!(config.api_timeout, Duration::from_secs(30));
}

#[test]
fn a_size_has_a_unit_or_is_in_bytes() {
    let size = |text: &str| Place::good().env("CACHE_SIZE", text).load();
    for (text, bytes) in [("1", 1), ("500MiB", 500 << 20), (" 2 TiB ", 2 << 40)] {
        assert_eq!(size(text).unwrap().cache_size, bytes);
    }
    for text in ["0", "0GiB", "1.5GiB", "-1", "10GB", "GiB", "20000000TiB"] {
        assert!(size(text).is_err(), "{text}");
    }
}

#[test]
fn an_empty_value_is_no_value_in_any_layer() {
    let config = Place::good()
        .file("worker.toml", "aws_region = 'toml'\nport = ''\n")
        .file(".env", "AWS_REGION=\nS3_ENDPOINT=\n")
        .env("AWS_REGION", "")
        .env("JOB_TYPES", "")
        .load()
        .unwrap();
    assert_eq!(config.aws_region, "toml");
    assert_eq!((config.port, config.s3_endpoint.as_deref()), (None, None));
    assert_eq!(names(&config), HANDLED);
}

#[test]
fn the_env_file_leaves_the_process_environment_alone() {
    let place = Place::empty().file(
        ".env",
        "# a comment\nAPI_ENDPOINT=http://localhost:5000\nexport WORKER_USERNAME=\"w\"\n\
         WORKER_PASSWORD='pa$$ #word '\nSOMETHING_ELSE=1\n",
    );
    let config = place.load().unwrap();
    let account = config.api_account().unwrap();
    assert_eq!(account.username, "w");
    assert_eq!(account.password.expose_secret(), "pa$$ #word ");
    assert!(std::env::var_os("WORKER_USERNAME").is_none());
}

#[test]
fn all_problems_are_reported_at_once_with_where_they_are() {
    let place = Place::empty()
        .file(
            "worker.toml",
            "poll_interval = 5\nmax_concurrent_jobs = 0\nhandlers = 'x'\nport = [[1]]\n",
        )
        .file(
            ".env",
            "CLAIM_SETTLE_MS=soon\nMINIO_USERNAME=minio\nPORT 9000\n",
        )
        .env("API_ENDPOINT", "http://localhost:5000/api/")
        .env("JOB_TYPES", "TEST, TETS,ADRIA")
        .env("IDLE_TIMEOUT_MS", "-1")
        .env("LOG_LEVEL", "inof")
        .env("S3_ENDPOINT", "localhost:9000")
        .env("AWS_SECRET_ACCESS_KEY", "hunter2");
    insta::assert_snapshot!(place.error());
}

#[test]
fn files_may_come_from_an_editor_of_windows() {
    let config = Place::good()
        .file(
            "worker.toml",
            "\u{feff}aws_region = 'toml'\r\nport = 80\r\n",
        )
        .file(".env", "\u{feff}MAX_JOBS=7\r\nS3_BUCKET_NAME='reef'\r\n")
        .load()
        .unwrap();
    assert_eq!(
        (config.aws_region.as_str(), config.port),
        ("toml", Some(80))
    );
    assert_eq!(config.max_jobs, Some(7));
    assert_eq!(config.s3_bucket_name.as_deref(), Some("reef"));

    let place = Place::good();
    let utf16: Vec<u8> = "PORT=80"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    for name in ["worker.toml", ".env"] {
        std::fs::write(place.folder.path().join(name), &utf16).unwrap();
    }
    insta::assert_snapshot!(place.error());
}

#[test]
fn lines_with_other_names_need_not_be_in_order() {
    let place = Place::good().file(
        ".env",
        "GREETING=it's mine\nOTHER={\"b\": 1}\nA=x y\nWINDOWS=C:\\dir\n%\nPORT=80  # let's go\n",
    );
    assert_eq!(place.load().unwrap().port, Some(80));

    // In Latin-1.
    let text = b"CITY=Cura\xe7ao\nPORT=81\n";
    std::fs::write(place.folder.path().join(".env"), text).unwrap();
    assert_eq!(place.load().unwrap().port, Some(81));
    let text = b"WORKER_USERNAME=Cura\xe7ao\n";
    std::fs::write(place.folder.path().join(".env"), text).unwrap();
    assert!(
        place.error().contains("save the file as UTF-8"),
        "{}",
        place.error()
    );
}

#[test]
fn lines_of_settings_that_cannot_be_read_are_named_with_help() {
    let place = Place::good().file(
        ".env",
        "AWS_REGION=x y\nOTEL_RESOURCE_ATTRIBUTES={\"b\": 1}\n# it's a comment\nMINIO_PASSWORD=hunter2\\b\n\
         S3_BUCKET_NAME: reef\nPORT=80\n",
    );
    let error = place.error();
    assert!(!error.contains("hunter2"), "{error}");
    insta::assert_snapshot!(error);
}

/// What [`Config::warnings`] has.
fn warnings(place: &Place) -> Vec<String> {
    let folder = format!("{}/", place.folder.path().display());
    let config = place.load().unwrap();
    let warnings = config.warnings().iter();
    warnings
        .map(|warning| format!("{} {}; {}", warning.subject, warning.found, warning.help))
        .map(|warning| warning.replace(&folder, ""))
        .collect()
}

#[test]
fn a_name_that_is_nearly_that_of_a_setting_is_a_warning_unless_that_is_set() {
    let place = Place::good()
        .file(
            ".env",
            "\nJOB_TYPE=TEST\nS3_BUCKET='reef\nLD_LIBRARY_PATH=/lib\nAPI_TIMEOUT=\n",
        )
        .env("poll_interval_ms", "2000")
        .env("IDLE_TIMEOUT", "");
    insta::assert_snapshot!(warnings(&place).join("\n"));
    let place = place
        .file(
            "worker.toml",
            "job_types = 'TEST'\ns3_bucket_name = 'reef'\n",
        )
        .env("POLL_INTERVAL_MS", "2000")
        // ECS sets both.
        .env("ECS_CONTAINER_METADATA_URI", "http://169.254.170.2/v3/1")
        .env("ECS_CONTAINER_METADATA_URI_V4", "http://169.254.170.2/v4/1");
    assert_eq!(warnings(&place), [""; 0]);
}

#[test]
fn what_was_meant_is_among_the_problems() {
    let place = Place::empty()
        .file(".env", "WORKER_PASWORD=hunter2\n")
        .env("API_ENDPIONT", "http://localhost:5000")
        .env("WORKER_USER", "worker@email.com");
    let error = place.error();
    assert!(!error.contains("hunter2"), "{error}");
    insta::assert_snapshot!(error);
}

#[test]
fn a_line_end_after_a_secret_is_no_part_of_it_and_a_space_is_with_a_warning() {
    for end in ["\n", "\r\n", "\r", "\n\n"] {
        let place = Place::good().env("WORKER_PASSWORD", &format!("hunter2{end}"));
        assert_eq!(place.password().expose_secret(), "hunter2");
        assert_eq!(warnings(&place), [""; 0]);
    }
    let place = Place::good().env("WORKER_PASSWORD", "hunter2 \n");
    assert_eq!(place.password().expose_secret(), "hunter2 ");
    insta::assert_snapshot!(
        warnings(&place).join("\n"),
        @"WORKER_PASSWORD begins or ends with white space (environment); remove the white space, unless it belongs to the secret"
    );
    let place = Place::good().env("WORKER_PASSWORD", "\r\n");
    assert!(place.error().contains("WORKER_PASSWORD is not set"));
}

#[test]
fn folders_are_named_without_the_tilde_of_shells() {
    for name in ["DATA_SCRATCH_SPACE", "DATA_PATH", "CACHE_PATH"] {
        for (folder, help) in [
            ("~", "since only a shell expands `~`"),
            ("~/reef", "/reef, since only a shell expands `~`"),
            ("~worker/reef", "write the whole path"),
        ] {
            let error = Place::good().env(name, folder).error();
            assert!(error.contains(name) && error.contains(help), "{error}");
        }
        assert!(Place::good().env(name, "./~/reef~").load().is_ok());
    }
}

#[test]
fn addresses_have_one_rule_and_their_secrets_are_never_shown() {
    let names = Config::variables().iter().map(|variable| variable.name);
    let addresses = names.filter(|name| name.ends_with("ENDPOINT") || name.contains("_URI"));
    let addresses: Vec<_> = addresses.collect();
    assert_eq!(addresses.len(), 7, "{addresses:?}");
    for name in addresses {
        for address in [
            "http://hunter2@reef",
            "https://me:hunter2@reef/folder",
            "s3://me:hunter2@reef/folder",
            "me:hunter2@reef",
            "http://reef/folder?key=hunter2",
            "http://reef/?user=me@hunter2",
            "http://reef/folder#hunter2",
            "http://me:hun/hunter2@reef",
        ] {
            let error = Place::good().env(name, address).error();
            assert!(error.contains(name), "{error}");
            assert!(!error.contains("hunter2"), "{name}={address}: {error}");
        }
    }
    let error = Place::good().env("API_ENDPOINT", "api:5000/api").error();
    assert!(
        error.contains("put http:// or https:// before it"),
        "{error}"
    );
    let config = Place::good()
        .env("API_ENDPOINT", "http://api/")
        .load()
        .unwrap();
    assert_eq!(config.api_account().unwrap().endpoint, "http://api");
}

#[test]
fn job_types_are_checked_although_something_else_is_missing() {
    let error = Place::empty().env("JOB_TYPES", "NOPE").load().unwrap_err();
    assert!(
        error
            .problems()
            .iter()
            .any(|problem| problem.subject == "JOB_TYPES"),
        "{error}"
    );
}

#[test]
fn job_types_are_trimmed_and_counted_once() {
    let config = Place::good()
        .env("JOB_TYPES", " RASTER , TEST,,RASTER ")
        .load()
        .unwrap();
    assert_eq!(names(&config), ["RASTER", "TEST"]);
}

#[test]
fn worker_toml_may_have_a_list_of_job_types() {
    let place = Place::good().file("worker.toml", "job_types = ['RASTER']");
    assert_eq!(names(&place.load().unwrap()), ["RASTER"]);
}

#[test]
fn a_list_of_no_job_types_is_refused() {
    let place = Place::good().env("JOB_TYPES", " , ");
    insta::assert_snapshot!(place.error());
}

#[test]
fn zero_idle_time_is_never() {
    let config = Place::good().env("IDLE_TIMEOUT_MS", "0").load().unwrap();
    assert_eq!(config.idle_timeout, None);
}

#[test]
fn numbers_beyond_their_range_are_refused() {
    for (name, value) in [
        ("POLL_INTERVAL_MS", "99"),
        ("MAX_CONCURRENT_JOBS", "257"),
        ("CLAIM_SETTLE_MS", "10001"),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("API_TIMEOUT_MS", "0"),
        ("SHUTDOWN_GRACE_MS", "99999999999999999999"),
        ("STARTUP_TIMEOUT_MS", "1.5"),
    ] {
        let error = Place::good().env(name, value).load().unwrap_err();
        assert_eq!(error.problems().len(), 1, "{error}");
        assert_eq!(error.problems()[0].subject, name);
    }
}

#[test]
fn addresses_lose_their_trailing_slash() {
    let config = Place::good()
        .env("API_ENDPOINT", "https://reefguide.example.org/base/")
        .env("S3_ENDPOINT", "http://localhost:9000/")
        .load()
        .unwrap();
    assert_eq!(
        config.api_account().unwrap().endpoint,
        "https://reefguide.example.org/base"
    );
    assert_eq!(config.s3_endpoint.as_deref(), Some("http://localhost:9000"));
}

#[test]
fn minio_keys_go_first_where_there_is_an_endpoint_for_them() {
    let key = |place: &Place| {
        place
            .load()
            .unwrap()
            .s3_credentials()
            .map(|keys| keys.access_key)
    };
    let place = Place::good()
        .env("MINIO_USERNAME", "minio")
        .env("MINIO_PASSWORD", "m");
    assert_eq!(key(&place), None);
    let place = place
        .env("AWS_ACCESS_KEY_ID", "aws")
        .env("AWS_SECRET_ACCESS_KEY", "a");
    assert_eq!(key(&place).as_deref(), Some("aws"));
    let place = place.env("S3_ENDPOINT", "http://localhost:9000");
    assert_eq!(key(&place).as_deref(), Some("minio"));
}

#[test]
fn objects_are_encrypted_and_classed_as_s3_calls_it() {
    let config = Place::good()
        .env("S3_ENCRYPTION", "aws:kms")
        .env("S3_STORAGE_CLASS", " GLACIER_IR")
        .load()
        .unwrap();
    let key = None;
    assert_eq!(config.s3_encryption(), Some(Encryption::Kms { key }));
    let class = StorageClass::GlacierInstantRetrieval;
    assert_eq!(config.s3_storage_class, Some(class));
    let config = Place::good()
        .env("S3_ENCRYPTION", "aws:kms")
        .env("S3_KMS_KEY_ID", "alias/reef")
        .load()
        .unwrap();
    let key = Some("alias/reef".to_owned());
    assert_eq!(config.s3_encryption(), Some(Encryption::Kms { key }));
    let config = Place::good().env("S3_ENCRYPTION", "AES256").load().unwrap();
    assert_eq!(config.s3_encryption(), Some(Encryption::Aes256));
    let config = Place::good().load().unwrap();
    assert_eq!(config.s3_encryption(), None);
    assert_eq!(config.s3_storage_class, None);
}

#[test]
fn what_s3_would_not_take_or_not_give_back_at_once_is_refused_at_the_start() {
    let wrong = Place::good()
        .env("S3_ENCRYPTION", "SSE-KMS")
        .env("S3_KMS_KEY_ID", "alias/a reef")
        .env("S3_STORAGE_CLASS", "DEEP_ARCHIVE");
    let unused = Place::good()
        .env("S3_ENCRYPTION", "AES256")
        .env("S3_KMS_KEY_ID", "alias/reef")
        .env("S3_STORAGE_CLASS", "standard");
    insta::assert_snapshot!(format!("{}\n{}", wrong.error(), unused.error()));
}

#[test]
fn a_session_token_goes_with_its_key() {
    let place = Place::good()
        .env("AWS_ACCESS_KEY_ID", "aws")
        .env("AWS_SECRET_ACCESS_KEY", "a")
        .env("AWS_SESSION_TOKEN", "token");
    let token = place
        .load()
        .unwrap()
        .s3_credentials()
        .unwrap()
        .session_token
        .unwrap();
    assert_eq!(token.expose_secret(), "token");
}

#[test]
fn rust_log_goes_before_log_level() {
    let config = Place::good()
        .env("LOG_LEVEL", "warn,my_worker=debug")
        .env("RUST_LOG", "hyper=trace")
        .load()
        .unwrap();
    assert_eq!(config.log_filter(), "hyper=trace");
}

#[test]
fn a_mistyped_level_is_not_taken_for_the_name_of_a_crate() {
    for level in ["inof", "info,tarce", "loud"] {
        let error = Place::good().env("LOG_LEVEL", level).load().unwrap_err();
        assert_eq!(error.problems()[0].subject, "LOG_LEVEL");
    }
    assert!(
        Place::good()
            .env("LOG_LEVEL", "WARN,my_worker[job]=debug")
            .load()
            .is_ok()
    );
}

#[test]
fn traces_go_below_the_collectors_address_or_to_one_of_their_own() {
    let endpoint = |place: &Place| place.load().unwrap().traces_endpoint();
    assert_eq!(endpoint(&Place::good()), None);
    let place = Place::good().env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/");
    assert_eq!(
        endpoint(&place).as_deref(),
        Some("http://collector:4318/v1/traces")
    );
    let own = place.env(
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "https://traces.example.org/in",
    );
    assert_eq!(
        endpoint(&own).as_deref(),
        Some("https://traces.example.org/in")
    );
}

#[test]
fn lists_of_opentelemetry_are_percent_encoded() {
    let config = Place::good()
        .env("OTEL_RESOURCE_ATTRIBUTES", "a=1, b = great%20reef%2C,,c=")
        .env("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20aGk=")
        .load()
        .unwrap();
    let attributes = config.otel_resource_attributes.unwrap();
    let expected = [("a", "1"), ("b", "great reef,"), ("c", "")];
    assert_eq!(
        attributes,
        expected.map(|(name, value)| (name.into(), value.into()))
    );
    let headers = config.otel_exporter_otlp_headers.unwrap();
    assert_eq!(headers["authorization"], "Basic aGk=");
}

#[test]
fn what_opentelemetry_does_not_know_is_refused_and_no_header_is_shown() {
    for (name, value) in [
        ("OTEL_TRACES_SAMPLER", "parentbased_xray"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_TRACES_SAMPLER_ARG", "1.5"),
        ("OTEL_TRACES_SAMPLER_ARG", "NaN"),
        ("OTEL_RESOURCE_ATTRIBUTES", "reef"),
        ("OTEL_RESOURCE_ATTRIBUTES", "=heron"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "hunter2"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "api key=hunter2"),
    ] {
        let error = Place::good().env(name, value).error();
        assert!(error.contains(name), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn no_secret_is_in_debug() {
    let config = Place::good()
        .env("MINIO_USERNAME", "minio")
        .env("MINIO_PASSWORD", "hunter2")
        .env("AWS_ACCESS_KEY_ID", "aws")
        .env("AWS_SECRET_ACCESS_KEY", "hunter2")
        .env("AWS_SESSION_TOKEN", "hunter2")
        .env("SENTRY_DSN", "https://hunter2@sentry.example.org/1")
        .env("OTEL_EXPORTER_OTLP_HEADERS", "api-key=hunter2")
        .env("S3_ENDPOINT", "http://localhost:9000")
        .load()
        .unwrap();
    let shown = format!("{config:?} {:?}", config.s3_credentials());
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn a_secret_in_a_file_that_cannot_be_parsed_is_not_shown() {
    let error = Place::good()
        .file("worker.toml", "port = 80\nworker_password = hunter2\n")
        .file(".env", "PORT=80\nWORKER_PASSWORD='hunter2\n")
        .error();
    assert!(!error.contains("hunter2"), "{error}");
    insta::assert_snapshot!(error);
}

#[test]
fn a_password_in_an_address_is_refused_and_not_shown() {
    let error = Place::good()
        .env("API_ENDPOINT", "http://me:hunter2@localhost:5000")
        .error();
    assert!(!error.contains("hunter2"), "{error}");
    insta::assert_snapshot!(error);
}

#[cfg(unix)]
#[test]
fn a_value_that_is_not_utf8_is_a_problem_and_not_a_panic() {
    use std::os::unix::ffi::OsStringExt;

    let mut place = Place::good();
    let value = std::ffi::OsString::from_vec(vec![b'h', 0xff]);
    place.sources.env.insert("WORKER_PASSWORD".into(), value);
    let error = place.error();
    assert!(
        error.contains("WORKER_PASSWORD is not valid UTF-8 (environment)"),
        "{error}"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem() {
    let place = Place::good();
    std::fs::create_dir(place.folder.path().join("worker.toml")).unwrap();
    assert!(
        place.error().contains("worker.toml cannot be read"),
        "{}",
        place.error()
    );
}

#[test]
fn the_standard_sources_are_the_current_folder_and_the_environment() {
    let sources = ConfigSources::standard();
    assert_eq!(sources.toml.as_deref(), Some(Path::new("worker.toml")));
    assert_eq!(sources.env_file.as_deref(), Some(Path::new(".env")));
    assert_eq!(sources.env.get("PATH").cloned(), std::env::var_os("PATH"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_text_is_either_taken_or_named_as_the_problem(
        index in 0..Config::variables().len(),
        text in "\\PC{1,20}",
    ) {
        let name = Config::variables()[index].name;
        let loaded = Place::good().env(name, &text).load();
        if let Err(error) = loaded {
            // A key without its pair is a problem of the other half.
            let named = error.problems().iter().any(|problem| {
                problem.subject == name || problem.found.contains(name)
            });
            prop_assert!(named, "{name}={text:?}: {error}");
        }
    }

    #[test]
    fn no_text_of_a_secret_is_ever_shown(text in "[a-z]{12}", broken in any::<bool>()) {
        let quote = if broken { "'" } else { "" };
        let names = Config::variables().iter().filter(|variable| variable.secret);
        let lines: String = names
            .map(|variable| format!("{}={quote}{text}\n", variable.name))
            .collect();
        let place = Place::good().file(".env", &lines);
        let shown = match place.load() {
            Ok(config) => format!("{config:?}"),
            Err(error) => format!("{error} {error:?}"),
        };
        prop_assert!(!shown.contains(&text), "{shown}");
    }
}

#[test]
fn single_job_types_have_their_values() {
    let config = Place::good()
        .env("JOB_CONCURRENCY", "RASTER=1, TEST = 4")
        .env("JOB_TIME_LIMIT_MS", "TEST=60000")
        .env("JOB_RETRY", "RASTER=linear:500:4,TEST=constant:1:2:9")
        .load()
        .unwrap();
    let (test, raster) = (JobType::from("TEST"), JobType::from("RASTER"));
    let slots = config.job_concurrency.unwrap();
    assert_eq!((slots[&raster], slots[&test]), (1, 4));
    assert_eq!(
        config.job_time_limit.unwrap()[&test],
        Duration::from_secs(60)
    );
    let retry = config.job_retry.unwrap();
    let policy = |base| RetryPolicy::new(Duration::from_millis(base));
    assert_eq!(retry[&raster], policy(500).growth(Growth::Linear).tries(4));
    let constant = policy(1).growth(Growth::Constant).tries(2);
    assert_eq!(retry[&test], constant.cap(Duration::from_millis(9)));
}

#[test]
fn wrong_values_of_single_job_types_are_reported() {
    let place = Place::good()
        .env("JOB_CONCURRENCY", "TEST=0")
        .env("JOB_TIME_LIMIT_MS", "TEST=1,TETS=2,TEST=3")
        .env("JOB_RETRY", "TEST=sometimes:1:2")
        .env("RECORDS_URI", "s3://bucket");
    insta::assert_snapshot!(place.error());
}

#[test]
fn records_are_kept_in_the_bucket_unless_said_otherwise() {
    let records = |place: Place| Some(place.load().unwrap().records()?.to_string());
    assert_eq!(records(Place::good()), None);
    let with_bucket = || Place::good().env("S3_BUCKET_NAME", "reef");
    assert_eq!(
        records(with_bucket()).as_deref(),
        Some("s3://reef/reefguide-worker/records")
    );
    let elsewhere = with_bucket().env("RECORDS_URI", "s3://other/claims");
    assert_eq!(records(elsewhere).as_deref(), Some("s3://other/claims"));
}
