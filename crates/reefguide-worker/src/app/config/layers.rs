//! The layers that values come from: defaults, `worker.toml`, `.env`, environment. A later layer wins.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use config::{File, FileFormat, Map, Source, Value, ValueKind};

use super::env_file::EnvFile;
use super::error::Problem;
use super::suggestion::suggest;
use super::variable::{Variable, WhenUnset};
use crate::text::{self, TextError};

/// The origin of values from [`ConfigSources::env`], as problems name it.
const ENVIRONMENT: &str = "environment";

/// The places a configuration is read from.
///
/// In all of them an empty value counts as unset, and line endings after a value are removed. There is no `Debug`,
/// since the map holds secrets.
///
/// ```
/// use reefguide_worker::app::config::{Config, ConfigSources};
///
/// let mut sources = ConfigSources::default();
/// for (name, value) in [
///     ("API_ENDPOINT", "https://reefguide.example.org/"),
///     ("WORKER_USERNAME", "worker@example.org"),
///     ("WORKER_PASSWORD", "…"),
/// ] {
///     sources.env.insert(name.into(), value.into());
/// }
/// let config = Config::load(&sources, &["TEST"])?;
/// assert_eq!(config.api_account()?.endpoint, "https://reefguide.example.org");
/// # Ok::<(), reefguide_worker::app::config::ConfigError>(())
/// ```
#[derive(Clone, Default)]
pub struct ConfigSources {
    /// A TOML file whose keys are the variables' names in lower case; it need not exist.
    pub toml: Option<PathBuf>,
    /// A file of `NAME=value` lines; it need not exist. Lines with other names need not be valid.
    /// In values that are bare or in double quotes, `${NAME}` is replaced by that variable: put a password with a `$`
    /// into single quotes.
    pub env_file: Option<PathBuf>,
    /// The environment.
    pub env: HashMap<String, OsString>,
}

impl ConfigSources {
    /// `worker.toml` and `.env` in the current folder, and this process's environment as it is now.
    pub fn standard() -> Self {
        Self {
            toml: Some("worker.toml".into()),
            env_file: Some(".env".into()),
            env: env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
                .collect(),
        }
    }
}

/// The values of one place, for known variables only, by their keys.
#[derive(Clone, Debug)]
struct Layer {
    origin: String,
    values: Map<String, String>,
}

impl Layer {
    fn new(origin: impl Into<String>) -> Self {
        Self {
            origin: origin.into(),
            values: Map::new(),
        }
    }

    /// A line ending after a value is not part of it: secrets that were stored in a file often have one.
    fn insert(&mut self, variable: &Variable, text: &str) {
        let text = text.trim_end_matches(['\r', '\n']);
        if !text.is_empty() {
            self.values.insert(variable.key(), text.to_owned());
        }
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, config::ConfigError> {
        let value = |text: &String| Value::new(Some(&self.origin), text.clone());
        let values = self.values.iter();
        Ok(values
            .map(|(key, text)| (key.clone(), value(text)))
            .collect())
    }
}

/// The text of a setting, and where it came from; a default has no origin.
pub(super) struct SettingText {
    pub(super) text: String,
    pub(super) origin: Option<String>,
}

/// Reads all layers and returns the winning texts by the variables' keys. Names that resemble a variable's are added
/// to `suspects`.
pub(super) fn read(
    sources: &ConfigSources,
    variables: &[Variable],
    computed: &[(&Variable, String)],
    problems: &mut Vec<Problem>,
    suspects: &mut Vec<Problem>,
) -> Map<String, SettingText> {
    let mut defaults = Layer::new(String::new());
    for variable in variables {
        if let WhenUnset::Value(value) = variable.when_unset {
            defaults.insert(variable, &value());
        }
    }
    for (variable, text) in computed {
        defaults.insert(variable, text);
    }
    let toml = toml_layer(sources.toml.as_deref(), variables, problems);
    let (env_file, others) = env_file_layer(sources.env_file.as_deref(), variables, problems);
    let env = env_layer(&sources.env, variables, problems);
    let mut names: Vec<_> = sources
        .env
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .collect();
    names.sort();
    let names = names
        .into_iter()
        .map(|(name, _)| (name.clone(), ENVIRONMENT.to_owned()));
    for (name, origin) in others.into_iter().chain(names) {
        // If the right name is set, the other probably belongs to another program.
        let unset = |variable: &&Variable| {
            let key = variable.key();
            [&toml, &env_file, &env]
                .iter()
                .all(|layer| !layer.values.contains_key(&key))
        };
        if variables.iter().all(|variable| variable.name != name)
            && let Some(variable) = suggest(&name, variables).filter(unset)
        {
            suspects.push(Problem {
                subject: name,
                found: format!("is not a setting of the worker ({origin})"),
                expected: "the exact name of a setting, if the worker is to read it".into(),
                help: format!("did you mean {}?", variable.name),
            });
        }
    }

    let merged = config::Config::builder()
        .add_source(defaults)
        .add_source(toml)
        .add_source(env_file)
        .add_source(env)
        .build()
        .and_then(|config| config.collect())
        .unwrap_or_else(|error| {
            problems.push(unreadable("configuration", &error.to_string()));
            Map::new()
        });
    merged
        .into_iter()
        .map(|(key, value)| {
            let origin = value.origin().filter(|origin| !origin.is_empty());
            let text = SettingText {
                origin: origin.map(Into::into),
                text: value.to_string(),
            };
            (key, text)
        })
        .collect()
}

fn unreadable(subject: &str, reason: &str) -> Problem {
    Problem {
        subject: subject.into(),
        found: format!("cannot be read: {reason}"),
        expected: "a readable file, or none at all".into(),
        help: "correct or remove it".into(),
    }
}

/// The file's bytes; empty if it does not exist.
fn read_file(path: Option<&Path>, problems: &mut Vec<Problem>) -> (String, Vec<u8>) {
    let Some(path) = path else {
        return Default::default();
    };
    let origin = path.display().to_string();
    let bytes = fs::read(path).unwrap_or_else(|error| {
        if error.kind() != io::ErrorKind::NotFound {
            problems.push(unreadable(&origin, &error.to_string()));
        }
        Vec::new()
    });
    (origin, bytes)
}

fn toml_layer(path: Option<&Path>, variables: &[Variable], problems: &mut Vec<Problem>) -> Layer {
    let (origin, bytes) = read_file(path, problems);
    let text = text::decode(&bytes).unwrap_or_else(|error| {
        problems.push(unreadable(&origin, &error.to_string()));
        ""
    });
    let mut layer = Layer::new(&origin);
    let table = File::from_str(text, FileFormat::Toml).collect();
    let table = table.unwrap_or_else(|error| {
        // Only the first line, which has the position. The others quote the file, including its secrets.
        let message = error.to_string();
        let place = message.lines().next().unwrap_or_default();
        problems.push(unreadable(&origin, place));
        Map::new()
    });
    let mut entries: Vec<_> = table.into_iter().collect();
    entries.sort_by(|(a, _), (b, _)| a.cmp(b));
    for (key, value) in entries {
        let Some(variable) = variables.iter().find(|variable| variable.key() == key) else {
            problems.push(unknown_key(&key, &origin, variables));
            continue;
        };
        match scalar_text(&value) {
            Some(text) => layer.insert(variable, &text),
            None => problems.push(Problem {
                subject: variable.name.into(),
                found: format!("is a table or a list of lists ({origin})"),
                expected: variable.expected(),
                help: format!("write {key} = \"…\""),
            }),
        }
    }
    layer
}

/// A scalar as the environment would have it; a list of scalars, separated by commas.
fn scalar_text(value: &Value) -> Option<String> {
    match &value.kind {
        ValueKind::Array(items) => {
            let items = items.iter().map(|item| match item.kind {
                ValueKind::Array(_) => None,
                _ => scalar_text(item),
            });
            Some(items.collect::<Option<Vec<_>>>()?.join(","))
        }
        ValueKind::Table(_) => None,
        _ => Some(value.to_string()),
    }
}

fn unknown_key(key: &str, origin: &str, variables: &[Variable]) -> Problem {
    let help = match suggest(key, variables) {
        Some(variable) => format!("did you mean {}? Otherwise remove it", variable.key()),
        None => "remove it".into(),
    };
    Problem {
        subject: key.into(),
        found: format!("is not a setting of the worker ({origin})"),
        expected: "the name of a setting in lower case".into(),
        help,
    }
}

/// The layer, and all names in the file with their places.
fn env_file_layer(
    path: Option<&Path>,
    variables: &[Variable],
    problems: &mut Vec<Problem>,
) -> (Layer, Vec<(String, String)>) {
    let (origin, bytes) = read_file(path, problems);
    let text = match text::decode(&bytes) {
        // The bytes that are not UTF-8 may be in a line of another program.
        Err(TextError::Encoding { .. }) => String::from_utf8_lossy(&bytes),
        decoded => decoded.map_or_else(
            |error| {
                problems.push(unreadable(&origin, &error.to_string()));
                "".into()
            },
            Into::into,
        ),
    };
    let mut layer = Layer::new(&origin);
    let known = |name: &str| variables.iter().find(|variable| variable.name == name);
    let file = EnvFile::parse(&text, |name| known(name).is_some());
    for (name, value) in &file.values {
        if let Some(variable) = known(name) {
            layer.insert(variable, value);
        }
    }
    // The line is not shown, since it may contain a secret.
    problems.extend(file.unreadable.into_iter().map(|line| Problem {
        subject: line.name,
        found: format!("cannot be read from line {} of {origin}", line.line),
        expected: "a line such as NAME=value or NAME='a value with $, # or spaces'".into(),
        help: line.help,
    }));
    let is_empty = |name: &String| file.values.contains(&(name.clone(), String::new()));
    let names = file.names.into_iter().filter(|(_, name)| !is_empty(name));
    let names = names.map(|(line, name)| (name, format!("{origin}, line {line}")));
    (layer, names.collect())
}

fn env_layer(
    env: &HashMap<String, OsString>,
    variables: &[Variable],
    problems: &mut Vec<Problem>,
) -> Layer {
    let mut layer = Layer::new(ENVIRONMENT);
    for variable in variables {
        let Some(value) = env.get(variable.name) else {
            continue;
        };
        match value.to_str() {
            Some(text) => layer.insert(variable, text),
            None => problems.push(Problem {
                subject: variable.name.into(),
                found: format!("is not valid UTF-8 ({ENVIRONMENT})"),
                expected: variable.expected(),
                help: "set it again".into(),
            }),
        }
    }
    layer
}
