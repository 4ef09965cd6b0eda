//! The forms a variable's text may have, and what each turns it into.

mod opentelemetry;

pub(super) use self::opentelemetry::{Attributes, Headers, Ratio, Sampler};

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::address::{self, AddressError};
use crate::app::paths;
use crate::app::telemetry::LogFormat;
use crate::job::JobType;
use crate::retry::{Growth, RetryPolicy};
use crate::runtime::JobLogs;
use crate::storage::{Encryption, StorageClass, StorageUri};

/// The longest time that can be configured, 49 days: below it no sum of times overflows.
pub(super) const LONGEST: u32 = u32::MAX;

/// How a variable's text is read.
pub(super) trait Form {
    type Value;

    /// Whether the text may be shown to nobody.
    const SECRET: bool = false;

    /// What the text needs to be, as a noun phrase.
    fn needs(&self) -> String;

    /// Reads a text that is not empty. An error is the remedy, where a better one is known than to
    /// correct the value.
    fn parse(&self, text: &str) -> Result<Self::Value, Option<String>>;
}

pub(super) const fn is_secret<F: Form>(_: &F) -> bool {
    F::SECRET
}

pub(super) struct Text;

impl Form for Text {
    type Value = String;

    fn needs(&self) -> String {
        "a text".into()
    }

    fn parse(&self, text: &str) -> Result<String, Option<String>> {
        match text.trim() {
            "" => Err(None),
            text => Ok(text.into()),
        }
    }
}

/// Taken as it is: a password may begin or end with a space.
pub(super) struct Secret;

impl Form for Secret {
    type Value = SecretString;

    const SECRET: bool = true;

    fn needs(&self) -> String {
        "a secret text".into()
    }

    fn parse(&self, text: &str) -> Result<SecretString, Option<String>> {
        Ok(text.into())
    }
}

/// An address without its trailing slash, so that paths can be appended.
pub(super) struct HttpUrl;

impl Form for HttpUrl {
    type Value = String;

    fn needs(&self) -> String {
        "an http or https URL, such as http://localhost:9000".into()
    }

    fn parse(&self, text: &str) -> Result<String, Option<String>> {
        address::parse(text).map_err(AddressError::remedy)
    }
}

/// The API's address, to which the client adds `/api` itself.
pub(super) struct ApiUrl;

impl Form for ApiUrl {
    type Value = String;

    fn needs(&self) -> String {
        "an http or https URL without `/api`, such as https://reefguide.example.org".into()
    }

    fn parse(&self, text: &str) -> Result<String, Option<String>> {
        let url = HttpUrl.parse(text)?;
        match address::without_api(&url) {
            Some(base) => Err(Some(format!("write {base}, the worker adds `/api` itself"))),
            None => Ok(url),
        }
    }
}

fn number(text: &str, range: &RangeInclusive<u32>) -> Result<u32, Option<String>> {
    let number = text.trim().parse().map_err(|_| None)?;
    if range.contains(&number) {
        Ok(number)
    } else {
        Err(None)
    }
}

fn number_needs(range: &RangeInclusive<u32>) -> String {
    format!("a whole number from {} to {}", range.start(), range.end())
}

pub(super) struct Milliseconds(pub(super) RangeInclusive<u32>);

impl Form for Milliseconds {
    type Value = Duration;

    fn needs(&self) -> String {
        format!("milliseconds, {}", number_needs(&self.0))
    }

    fn parse(&self, text: &str) -> Result<Duration, Option<String>> {
        number(text, &self.0).map(|millis| Duration::from_millis(millis.into()))
    }
}

/// Milliseconds, of which zero means that the time never comes.
pub(super) struct MillisecondsOrNever;

impl Form for MillisecondsOrNever {
    type Value = Option<Duration>;

    fn needs(&self) -> String {
        format!(
            "milliseconds, {}, or 0 for never",
            number_needs(&(1..=LONGEST))
        )
    }

    fn parse(&self, text: &str) -> Result<Option<Duration>, Option<String>> {
        let time = Milliseconds(0..=LONGEST).parse(text)?;
        Ok(Some(time).filter(|time| !time.is_zero()))
    }
}

pub(super) struct Count(pub(super) RangeInclusive<u32>);

impl Form for Count {
    type Value = usize;

    fn needs(&self) -> String {
        number_needs(&self.0)
    }

    fn parse(&self, text: &str) -> Result<usize, Option<String>> {
        number(text, &self.0).and_then(|count| usize::try_from(count).map_err(|_| None))
    }
}

/// A number of bytes, perhaps in a larger unit.
pub(super) struct Size;

impl Form for Size {
    type Value = u64;

    fn needs(&self) -> String {
        "a number of bytes above 0, or a whole number of `KiB`, `MiB`, `GiB` or `TiB`, such as 500MiB".into()
    }

    fn parse(&self, text: &str) -> Result<u64, Option<String>> {
        let text = text.trim();
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let unit: u64 = match text[digits.len()..].trim_start() {
            "" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            "TiB" => 1 << 40,
            _ => return Err(None),
        };
        let number = digits.parse::<u64>().ok();
        let size = number.and_then(|number| number.checked_mul(unit));
        size.filter(|size| *size > 0).ok_or(None)
    }
}

pub(super) struct Port;

impl Form for Port {
    type Value = u16;

    fn needs(&self) -> String {
        "a port, a whole number from 1 to 65535".into()
    }

    fn parse(&self, text: &str) -> Result<u16, Option<String>> {
        text.trim()
            .parse()
            .ok()
            .filter(|port| *port != 0)
            .ok_or(None)
    }
}

/// Names separated by commas, each once, in the order of their first mention.
pub(super) struct JobTypes;

impl Form for JobTypes {
    type Value = Vec<JobType>;

    fn needs(&self) -> String {
        "job types separated by commas, each with a handler".into()
    }

    fn parse(&self, text: &str) -> Result<Vec<JobType>, Option<String>> {
        let mut types = Vec::new();
        for name in text
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
        {
            let job_type = JobType::from(name);
            if !types.contains(&job_type) {
                types.push(job_type);
            }
        }
        if types.is_empty() {
            Err(None)
        } else {
            Ok(types)
        }
    }
}

/// One value for each of some job types, `TYPE=value`, separated by commas.
pub(super) struct PerType<F>(pub(super) F);

impl<F: Form> Form for PerType<F> {
    type Value = BTreeMap<JobType, F::Value>;

    fn needs(&self) -> String {
        let of_type = self.0.needs();
        format!("`TYPE=value` separated by commas, each value {of_type}")
    }

    fn parse(&self, text: &str) -> Result<Self::Value, Option<String>> {
        let mut values = BTreeMap::new();
        for pair in text.split(',').filter(|pair| !pair.trim().is_empty()) {
            let (name, value) = pair.split_once('=').ok_or(None)?;
            let job_type = JobType::from(name.trim());
            let value = self.0.parse(value)?;
            if values.insert(job_type.clone(), value).is_some() {
                return Err(Some(format!("name {job_type} only once")));
            }
        }
        match values.is_empty() {
            true => Err(None),
            false => Ok(values),
        }
    }
}

/// How a handler is tried again: `GROWTH:BASE_MS:TRIES`, or `GROWTH:BASE_MS:TRIES:CAP_MS`.
pub(super) struct Retry;

impl Form for Retry {
    type Value = RetryPolicy;

    fn needs(&self) -> String {
        "`constant`, `linear` or `exponential`, the first delay in milliseconds, how often to try in \
         all, and perhaps the longest delay, such as `exponential:2000:5:60000`"
            .into()
    }

    fn parse(&self, text: &str) -> Result<RetryPolicy, Option<String>> {
        let parts: Vec<_> = text.split(':').map(str::trim).collect();
        let (growth, base, tries, cap) = match parts[..] {
            [growth, base, tries] => (growth, base, tries, None),
            [growth, base, tries, cap] => (growth, base, tries, Some(cap)),
            _ => return Err(None),
        };
        let growth = match growth {
            "constant" => Growth::Constant,
            "linear" => Growth::Linear,
            "exponential" => Growth::Exponential,
            _ => return Err(None),
        };
        let milliseconds = Milliseconds(1..=LONGEST);
        let policy = RetryPolicy::new(milliseconds.parse(base)?)
            .growth(growth)
            .tries(Count(1..=1_000).parse(tries)?);
        Ok(match cap {
            Some(cap) => policy.cap(milliseconds.parse(cap)?),
            None => policy,
        })
    }
}

/// How S3 encrypts, by its own names; the key has a variable of its own.
pub(super) struct S3Encryption;

impl Form for S3Encryption {
    type Value = Encryption;

    fn needs(&self) -> String {
        "`AES256` or `aws:kms`".into()
    }

    fn parse(&self, text: &str) -> Result<Encryption, Option<String>> {
        match text.trim() {
            "AES256" => Ok(Encryption::Aes256),
            "aws:kms" => Ok(Encryption::Kms { key: None }),
            _ => Err(None),
        }
    }
}

/// What names a key of KMS, which goes into a header.
pub(super) struct KmsKey;

impl Form for KmsKey {
    type Value = String;

    fn needs(&self) -> String {
        "the id, ARN or alias of a KMS key, such as alias/reef".into()
    }

    fn parse(&self, text: &str) -> Result<String, Option<String>> {
        let key = Text.parse(text)?;
        match key.chars().all(|c| c.is_ascii_graphic()) {
            true => Ok(key),
            false => Err(None),
        }
    }
}

/// A class of S3, by its own name.
pub(super) struct S3StorageClass;

impl Form for S3StorageClass {
    type Value = StorageClass;

    fn needs(&self) -> String {
        let names = StorageClass::ALL.map(|class| format!("`{}`", class.as_str()));
        format!("one of {}", names.join(", "))
    }

    fn parse(&self, text: &str) -> Result<StorageClass, Option<String>> {
        let text = text.trim();
        let mut all = StorageClass::ALL.into_iter();
        all.find(|class| class.as_str() == text).ok_or_else(|| {
            matches!(text, "GLACIER" | "DEEP_ARCHIVE").then(|| {
                format!(
                    "use GLACIER_IR: from {text} nobody can download an output at once; a lifecycle rule of \
                     the bucket may move outputs there later"
                )
            })
        })
    }
}

/// Where objects are kept.
pub(super) struct StorageFolder;

impl Form for StorageFolder {
    type Value = StorageUri;

    fn needs(&self) -> String {
        "a storage URI with a folder, such as s3://bucket/workers/records".into()
    }

    fn parse(&self, text: &str) -> Result<StorageUri, Option<String>> {
        let uri: StorageUri = text.trim().parse().map_err(|_| None)?;
        match uri.key().trim_matches('/').is_empty() {
            true => Err(Some("add a folder to it".into())),
            false => Ok(uri),
        }
    }
}

pub(super) struct JobLogsPlace;

impl Form for JobLogsPlace {
    type Value = JobLogs;

    fn needs(&self) -> String {
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

pub(super) struct Folder;

impl Form for Folder {
    type Value = PathBuf;

    fn needs(&self) -> String {
        "the path of a folder".into()
    }

    fn parse(&self, text: &str) -> Result<PathBuf, Option<String>> {
        let path = PathBuf::from(Text.parse(text)?);
        paths::refuse_tilde(&path).map_err(Some)?;
        Ok(path)
    }
}

pub(super) struct Format;

impl Form for Format {
    type Value = LogFormat;

    fn needs(&self) -> String {
        "`auto`, `human` or `json`".into()
    }

    fn parse(&self, text: &str) -> Result<LogFormat, Option<String>> {
        text.trim().parse().map_err(|_| None)
    }
}

/// Log directives. A single word must be a level: as directives go, `inof` is the name of a crate,
/// and everything else would fall silent.
pub(super) struct LogLevel;

impl Form for LogLevel {
    type Value = String;

    fn needs(&self) -> String {
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

/// Log directives as other Rust programs read them.
pub(super) struct LogDirectives;

impl Form for LogDirectives {
    type Value = String;

    fn needs(&self) -> String {
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
