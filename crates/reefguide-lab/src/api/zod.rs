//! Checks requests against their schemas and reports issues as Zod, the real server's validation library, does.

use serde::Serialize;
use serde_json::{Map, Value};

/// Which part of a request was checked.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) enum RequestPart {
    Body,
    Query,
}

/// One issue. The variants differ in the order of their keys, as on the wire.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub(crate) enum Issue {
    Type {
        code: &'static str,
        expected: &'static str,
        received: &'static str,
        path: Vec<Step>,
        message: String,
    },
    TooSmall {
        code: &'static str,
        minimum: u8,
        r#type: &'static str,
        inclusive: bool,
        exact: bool,
        message: String,
        path: Vec<Step>,
    },
    EnumType {
        expected: String,
        received: &'static str,
        code: &'static str,
        path: Vec<Step>,
        message: String,
    },
    EnumValue {
        received: String,
        code: &'static str,
        options: Vec<String>,
        path: Vec<Step>,
        message: String,
    },
}

/// One step of a path into a document.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub(crate) enum Step {
    Key(&'static str),
    Index(usize),
}

#[derive(Serialize)]
struct Report<'a> {
    r#type: RequestPart,
    errors: Errors<'a>,
}

#[derive(Serialize)]
struct Errors<'a> {
    issues: &'a [Issue],
    name: &'static str,
}

/// The response body that reports `issues`.
pub(crate) fn report(part: RequestPart, issues: &[Issue]) -> impl Serialize {
    [Report {
        r#type: part,
        errors: Errors {
            issues,
            name: "ZodError",
        },
    }]
}

/// Reads an object's fields and collects the issues.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    object: Option<&'a Map<String, Value>>,
    path: Vec<Step>,
    issues: Vec<Issue>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(value: &'a Value) -> Self {
        Self::at(Some(value), Vec::new())
    }

    fn at(value: Option<&'a Value>, path: Vec<Step>) -> Self {
        let object = value.and_then(Value::as_object);
        let issues = if object.is_some() {
            Vec::new()
        } else {
            vec![type_issue("object", value, path.clone())]
        };
        Self {
            object,
            path,
            issues,
        }
    }

    pub(crate) fn string(&mut self, key: &'static str) -> Option<&'a str> {
        self.field(key, "string", Value::as_str)
    }

    pub(crate) fn number(&mut self, key: &'static str) -> Option<f64> {
        self.field(key, "number", Value::as_f64)
    }

    pub(crate) fn optional_string(&mut self, key: &'static str) -> Option<&'a str> {
        self.get(key)?;
        self.string(key)
    }

    /// A number above 0, or an absent field.
    pub(crate) fn optional_positive(&mut self, key: &'static str) -> Option<f64> {
        self.get(key)?;
        let number = self.number(key)?;
        if number > 0.0 {
            return Some(number);
        }
        let path = self.path_to(Step::Key(key));
        self.issues.push(Issue::TooSmall {
            code: "too_small",
            minimum: 0,
            r#type: "number",
            inclusive: false,
            exact: false,
            message: "Number must be greater than 0".to_owned(),
            path,
        });
        None
    }

    /// One of a set of strings. `accepts` decides, `names` are listed in the issue.
    pub(crate) fn one_of(
        &mut self,
        key: &'static str,
        names: &[&str],
        accepts: impl Fn(&str) -> bool,
    ) -> Option<&'a str> {
        let value = self.get(key);
        let listed = names
            .iter()
            .map(|name| format!("'{name}'"))
            .collect::<Vec<_>>()
            .join(" | ");
        let path = self.path_to(Step::Key(key));
        match value {
            Some(Value::String(name)) if accepts(name) => return Some(name),
            Some(Value::String(name)) => self.issues.push(Issue::EnumValue {
                received: name.clone(),
                code: "invalid_enum_value",
                options: names.iter().map(|&name| name.to_owned()).collect(),
                path,
                message: format!("Invalid enum value. Expected {listed}, received '{name}'"),
            }),
            _ if self.object.is_none() => {}
            other => {
                let received = kind(other);
                self.issues.push(Issue::EnumType {
                    message: type_message(&listed, other),
                    expected: listed,
                    received,
                    code: INVALID_TYPE,
                    path,
                });
            }
        }
        None
    }

    /// Like [`one_of`](Self::one_of), but the field may be absent.
    pub(crate) fn optional_one_of(
        &mut self,
        key: &'static str,
        names: &[&str],
        accepts: impl Fn(&str) -> bool,
    ) -> Option<&'a str> {
        self.get(key)?;
        self.one_of(key, names, accepts)
    }

    /// An array, each item of which is read with `read`.
    pub(crate) fn items<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&mut Reader<'a>) -> T,
    ) -> Vec<T> {
        let Some(items) = self.field(key, "array", Value::as_array) else {
            return Vec::new();
        };
        let mut taken = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let mut path = self.path_to(Step::Key(key));
            path.push(Step::Index(index));
            let mut reader = Reader::at(Some(item), path);
            taken.push(read(&mut reader));
            self.issues.append(&mut reader.issues);
        }
        taken
    }

    /// An array of strings, which may be absent.
    pub(crate) fn optional_strings(&mut self, key: &'static str) -> Option<Vec<String>> {
        self.get(key)?;
        let items = self.field(key, "array", Value::as_array)?;
        let mut strings = Vec::new();
        for (index, item) in items.iter().enumerate() {
            match item {
                Value::String(text) => strings.push(text.clone()),
                other => {
                    let path = [self.path_to(Step::Key(key)), vec![Step::Index(index)]].concat();
                    self.issues.push(type_issue("string", Some(other), path));
                }
            }
        }
        Some(strings)
    }

    /// Returns the issues, if there are any.
    pub(crate) fn finish(self) -> Result<(), Vec<Issue>> {
        if self.issues.is_empty() {
            Ok(())
        } else {
            Err(self.issues)
        }
    }

    fn get(&self, key: &str) -> Option<&'a Value> {
        self.object.and_then(|object| object.get(key))
    }

    fn field<T>(
        &mut self,
        key: &'static str,
        expected: &'static str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.get(key);
        let taken = value.and_then(read);
        if taken.is_none() && self.object.is_some() {
            self.issues
                .push(type_issue(expected, value, self.path_to(Step::Key(key))));
        }
        taken
    }

    fn path_to(&self, step: Step) -> Vec<Step> {
        self.path.iter().cloned().chain([step]).collect()
    }
}

const INVALID_TYPE: &str = "invalid_type";

fn type_issue(expected: &'static str, value: Option<&Value>, path: Vec<Step>) -> Issue {
    Issue::Type {
        code: INVALID_TYPE,
        expected,
        received: kind(value),
        path,
        message: type_message(expected, value),
    }
}

fn type_message(expected: &str, value: Option<&Value>) -> String {
    match value {
        Some(_) => format!("Expected {expected}, received {}", kind(value)),
        None => "Required".to_owned(),
    }
}

fn kind(value: Option<&Value>) -> &'static str {
    match value {
        None => "undefined",
        Some(Value::Null) => "null",
        Some(Value::Bool(_)) => "boolean",
        Some(Value::Number(_)) => "number",
        Some(Value::String(_)) => "string",
        Some(Value::Array(_)) => "array",
        Some(Value::Object(_)) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_body_that_is_not_an_object_is_one_issue() {
        let body = json!([1]);
        let mut reader = Reader::new(&body);
        assert_eq!(reader.string("email"), None);
        assert_eq!(reader.one_of("status", &["A"], |_| true), None);
        let issues = serde_json::to_value(reader.finish().unwrap_err()).unwrap();
        assert_eq!(
            issues,
            json!([{"code": "invalid_type", "expected": "object", "received": "array", "path": [],
                "message": "Expected object, received array"}])
        );
    }
}
