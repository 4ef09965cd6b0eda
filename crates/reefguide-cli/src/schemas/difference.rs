//! Differences in meaning between two JSON Schemas.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

/// Schemas by job type.
pub(crate) type Schemas = BTreeMap<String, Value>;

/// Keywords that document a schema and do not affect validation.
const ANNOTATIONS: [&str; 5] = ["$comment", "$schema", "description", "examples", "title"];
/// Keywords whose value is an object of named schemas.
const NAMED: [&str; 5] = [
    "$defs",
    "definitions",
    "dependentSchemas",
    "patternProperties",
    "properties",
];
/// Keywords whose value is an unordered list.
const SETS: [&str; 6] = ["allOf", "anyOf", "enum", "oneOf", "required", "type"];
/// Keywords whose value is data, not a schema.
const DATA: [&str; 3] = ["const", "default", "enum"];

/// A place where schemas differ.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Difference {
    #[serde(rename = "type")]
    pub(crate) job_type: String,
    /// A JSON pointer below the job type.
    path: String,
    /// The expected value, if there is one.
    expected: Option<Value>,
    /// The worker's value, if there is one.
    given: Option<Value>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            return f.write_str(match self.expected {
                Some(_) => "is expected, but the worker does not have it",
                None => "is not expected",
            });
        }
        write!(f, "{}: ", self.path)?;
        match (&self.expected, &self.given) {
            (Some(expected), Some(given)) => write!(f, "expected {expected}, found {given}"),
            (Some(expected), None) => write!(f, "expected {expected}, found nothing"),
            (None, Some(given)) => write!(f, "expected nothing, found {given}"),
            (None, None) => Ok(()),
        }
    }
}

/// Compares the schemas of a worker with the expected ones.
pub(crate) fn differences(expected: &Schemas, given: &Schemas) -> Vec<Difference> {
    let mut found = Vec::new();
    let job_types: BTreeSet<_> = expected.keys().chain(given.keys()).collect();
    for job_type in job_types {
        let of = |schemas: &Schemas| schemas.get(job_type).map(normalize_handler);
        let (expected, given) = (of(expected), of(given));
        let mut note = |path: &str, expected: Option<&Value>, given: Option<&Value>| {
            found.push(Difference {
                job_type: job_type.clone(),
                path: path.to_owned(),
                expected: expected.cloned(),
                given: given.cloned(),
            });
        };
        compare("", expected.as_ref(), given.as_ref(), &mut note);
    }
    found
}

/// Normalizes the schemas of a handler, `input` and `output`.
fn normalize_handler(schemas: &Value) -> Value {
    match schemas {
        Value::Object(schemas) => normalize_all(schemas),
        other => other.clone(),
    }
}

fn compare(
    path: &str,
    expected: Option<&Value>,
    given: Option<&Value>,
    note: &mut impl FnMut(&str, Option<&Value>, Option<&Value>),
) {
    match (expected, given) {
        (expected, given) if expected == given => {}
        (Some(Value::Object(expected)), Some(Value::Object(given))) => {
            let names: BTreeSet<_> = expected.keys().chain(given.keys()).collect();
            for name in names {
                let escaped = name.replace('~', "~0").replace('/', "~1");
                let path = format!("{path}/{escaped}");
                compare(&path, expected.get(name), given.get(name), note);
            }
        }
        _ => note(path, expected, given),
    }
}

/// Removes annotations from a schema and sorts its unordered lists.
fn normalize(schema: &Value) -> Value {
    let Value::Object(schema) = schema else {
        return schema.clone();
    };
    let mut normalized = Map::new();
    for (keyword, value) in schema {
        let name = keyword.as_str();
        if ANNOTATIONS.contains(&name) {
            continue;
        }
        let value = match value {
            _ if DATA.contains(&name) => value.clone(),
            Value::Object(schemas) if NAMED.contains(&name) => normalize_all(schemas),
            Value::Array(items) => items.iter().map(normalize).collect(),
            value => normalize(value),
        };
        let value = match value {
            Value::Array(items) if SETS.contains(&name) => sort(items),
            value => value,
        };
        normalized.insert(keyword.clone(), value);
    }
    Value::Object(normalized)
}

fn normalize_all(schemas: &Map<String, Value>) -> Value {
    let schemas = schemas.iter();
    Value::Object(
        schemas
            .map(|(name, schema)| (name.clone(), normalize(schema)))
            .collect(),
    )
}

fn sort(items: Vec<Value>) -> Value {
    let items: BTreeMap<_, _> = items
        .into_iter()
        .map(|item| (item.to_string(), item))
        .collect();
    items.into_values().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn diff(expected: Value, given: Value) -> Vec<String> {
        let of = |schema| Schemas::from([("T".to_owned(), json!({ "input": schema }))]);
        let found = differences(&of(expected), &of(given));
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn annotations_and_the_order_of_unordered_lists_are_not_compared() {
        let expected = json!({
            "$schema": "a", "title": "A", "type": ["string", "null"], "enum": ["x", "y"],
            "required": ["a", "b"], "anyOf": [{ "type": "null", "description": "d" }, { "$ref": "#" }],
        });
        let given = json!({
            "type": ["null", "string"], "enum": ["y", "x"], "description": "other", "required": ["b", "a"],
            "anyOf": [{ "$ref": "#", "title": "t" }, { "type": "null" }],
        });
        assert_eq!(diff(expected, given), Vec::<String>::new());
    }

    #[test]
    fn a_property_named_like_a_keyword_is_a_property() {
        let with = |name: &str| json!({ "properties": { name: { "type": "string" } } });
        assert_eq!(
            diff(with("title"), with("description")),
            [
                r#"/input/properties/description: expected nothing, found {"type":"string"}"#,
                r#"/input/properties/title: expected {"type":"string"}, found nothing"#,
            ]
        );
    }

    #[test]
    fn data_is_compared_exactly() {
        let with = |data: Value| json!({ "default": data.clone(), "const": data });
        let (titled, plain) = (json!({ "title": 1 }), json!({}));
        assert_eq!(diff(with(titled), with(plain)).len(), 2);
        let lists = [json!(["a", "b"]), json!(["b", "a"])];
        let [first, second] = lists.map(|list| json!({ "default": list }));
        assert_eq!(diff(first, second).len(), 1);
        // The order of these schemas matters.
        let tuple =
            |types: [&str; 2]| json!({ "prefixItems": types.map(|name| json!({ "type": name })) });
        assert_eq!(
            diff(tuple(["string", "null"]), tuple(["null", "string"])).len(),
            1
        );
    }

    #[test]
    fn a_difference_names_its_place() {
        let expected =
            json!({ "properties": { "a/b": { "type": "integer" } }, "required": ["a/b"] });
        let given = json!({ "properties": { "a/b": { "type": "number", "minimum": 0 } } });
        assert_eq!(
            diff(expected, given),
            [
                "/input/properties/a~1b/minimum: expected nothing, found 0",
                r#"/input/properties/a~1b/type: expected "integer", found "number""#,
                r#"/input/required: expected ["a/b"], found nothing"#,
            ]
        );
    }
}
