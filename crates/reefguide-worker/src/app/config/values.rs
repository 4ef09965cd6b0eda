//! The texts of settings, while they are read and checked against each other.

use config::Map;

use super::error::Problem;
use super::layers::SettingText;
use super::parsers::{S3Encryption, ValueParser};
use super::variable::{Variable, WhenUnset};
use super::{VARIABLES, row};
use crate::address;
use crate::storage::Encryption;

/// The texts that win over the other layers, and what is wrong with them.
pub(super) struct Values {
    pub(super) texts: Map<String, SettingText>,
    pub(super) problems: Vec<Problem>,
    /// The problems of the account for the API, which not every command needs.
    pub(super) account_problems: Vec<Problem>,
}

impl Values {
    /// Reads a variable of the account for the API. Its problems are kept apart.
    pub(super) fn account<F: ValueParser>(
        &mut self,
        variable: &Variable,
        parser: &F,
    ) -> Option<Option<F::Value>> {
        let others = self.problems.len();
        let value = self.present(variable, parser);
        self.account_problems.extend(self.problems.drain(others..));
        Some(value)
    }

    /// Reads a variable that must have a value; `None` if it has no value, or no valid one.
    pub(super) fn present<F: ValueParser>(
        &mut self,
        variable: &Variable,
        parser: &F,
    ) -> Option<F::Value> {
        let value = self.optional(variable, parser)?;
        if value.is_none() {
            self.problems.push(Problem {
                subject: variable.name.into(),
                found: "is not set".into(),
                expected: variable.expected(),
                help: format!(
                    "set it in the environment or in .env, or set {} in worker.toml",
                    variable.key()
                ),
            });
        }
        value
    }

    /// Reads a variable; `None` if its value is not valid, `Some(None)` if it has no value.
    pub(super) fn optional<F: ValueParser>(
        &mut self,
        variable: &Variable,
        parser: &F,
    ) -> Option<Option<F::Value>> {
        let Some(SettingText { text, origin }) = self.texts.get(&variable.key()) else {
            return Some(None);
        };
        match parser.parse(text) {
            Ok(value) => Some(Some(value)),
            Err(help) => {
                let origin = origin.as_deref().unwrap_or("default");
                let value = shown(text, variable);
                self.problems.push(Problem {
                    subject: variable.name.into(),
                    found: format!("is {value} ({origin})"),
                    expected: variable.expected(),
                    help: help.unwrap_or_else(|| match variable.when_unset {
                        WhenUnset::Required => "correct it".into(),
                        unset => format!("correct it, or unset it (then: {unset})"),
                    }),
                });
                None
            }
        }
    }

    /// Warnings about secrets with white space around them.
    pub(super) fn spaces_around_secrets(&self) -> Vec<Problem> {
        let secrets = VARIABLES.iter().filter(|variable| variable.secret);
        let found =
            secrets.filter_map(|variable| Some((variable, self.texts.get(&variable.key())?)));
        let spaced = found.filter(|(_, found)| found.text.trim() != found.text);
        let warning = |(variable, found): (&Variable, &SettingText)| Problem {
            subject: variable.name.into(),
            found: format!(
                "begins or ends with white space ({})",
                found.origin.as_deref().unwrap_or("default")
            ),
            expected: variable.expected(),
            help: "remove the white space, unless it belongs to the secret".into(),
        };
        spaced.map(warning).collect()
    }

    /// Checks that both halves of a key pair are set, or neither.
    pub(super) fn check_pair(&mut self, a: &Variable, b: &Variable) {
        for (set, unset) in [(a, b), (b, a)] {
            let Some(found) = self.texts.get(&set.key()) else {
                continue;
            };
            if self.texts.contains_key(&unset.key()) {
                continue;
            }
            let origin = found.origin.as_deref().unwrap_or("default");
            self.problems.push(Problem {
                subject: unset.name.into(),
                found: format!("is not set, but {} is ({origin})", set.name),
                expected: "both or neither".into(),
                help: format!("set {} too, or unset {}", unset.name, set.name),
            });
        }
    }

    /// Checks that a KMS key is set only together with the encryption that uses it.
    pub(super) fn check_kms_key(&mut self) {
        let Some(key) = self.texts.get(&row::S3_KMS_KEY_ID.key()) else {
            return;
        };
        let encryption = match self.texts.get(&row::S3_ENCRYPTION.key()) {
            None => "not set",
            Some(SettingText { text, .. }) => match S3Encryption.parse(text) {
                Ok(Encryption::Aes256) => "AES256",
                _ => return,
            },
        };
        let origin = key.origin.as_deref().unwrap_or("default");
        self.problems.push(Problem {
            subject: row::S3_KMS_KEY_ID.name.into(),
            found: format!("is set ({origin}), but S3_ENCRYPTION is {encryption}"),
            expected: "S3_ENCRYPTION=aws:kms, which uses the key".into(),
            help: "set S3_ENCRYPTION=aws:kms, or unset S3_KMS_KEY_ID".into(),
        });
    }

    /// Checks that each job type in a list has a handler. The types may have values: `TYPE=value`.
    pub(super) fn check_handled(&mut self, variable: &Variable, handled: &[&str]) {
        let Some(SettingText { text, origin }) = self.texts.get(&variable.key()) else {
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
            expected: format!("job types with a handler: {}", handled.join(", ")),
            help: "correct or remove the name, or register a handler for it".into(),
        });
    }
}

/// A value as problems show it: quoted, and without secrets.
fn shown(text: &str, variable: &Variable) -> String {
    if variable.secret {
        return "[redacted]".into();
    }
    // A URL with a password is rejected, and so shown in a problem.
    address::shown(text)
}
