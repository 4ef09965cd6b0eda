//! Where two JSON Schemas do not mean the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

use super::Schemas;

/// Keywords that tell people something and accept or refuse nothing.
const FOR_PEOPLE: [&str; 5] = ["$comment", "$schema", "description", "examples", "title"];
/// Keywords whose value is a schema for each name.
const NAMED: [&str; 5] = [
    "$defs",
    "definitions",
    "dependentSchemas",
    "patternProperties",
    "properties",
];
/// Keywords whose value is a list in no order.
const SETS: [&str; 6] = ["allOf", "anyOf", "enum", "oneOf", "required", "type"];
/// Keywords whose value is data and no schema.
const DATA: [&str; 3] = ["const", "default", "enum"];

/// One place at which schemas differ.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Difference {
    #[serde(rename = "type")]
    pub(super) job_type: String,
    /// Where, as a JSON pointer below the job type.
    path: String,
    /// What is expected there, if anything is.
    expected: Option<Value>,
    /// What the worker has there, if it has anything.
    given: Option<Value>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            return f.write_str(match self.expected {
                Some(_) => "is expected, and the worker does not have it",
                None => "is not expected",
            });
        }
        write!(f, "{}: ", self.path)?;
        match (&self.expected, &self.given) {
            (Some(expected), Some(given)) => write!(f, "{expected} expected, {given} given"),
            (Some(expected), None) => write!(f, "{expected} expected, nothing given"),
            (None, Some(given)) => write!(f, "nothing expected, {given} given"),
            (None, None) => Ok(()),
        }
    }
}

/// Where what is given differs from what is expected.
pub(super) fn differences(expected: &Schemas, given: &Schemas) -> Vec<Difference> {
    let mut found = Vec::new();
    let job_types: BTreeSet<_> = expected.keys().chain(given.keys()).collect();
    for job_type in job_types {
        let of = |schemas: &Schemas| schemas.get(job_type).map(handler);
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

/// The schemas of a handler: `input` and `output`.
fn handler(schemas: &Value) -> Value {
    match schemas {
        Value::Object(schemas) => named(schemas),
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

/// A schema with what it means only, in one order.
fn meaning(schema: &Value) -> Value {
    let Value::Object(schema) = schema else {
        return schema.clone();
    };
    let mut meant = Map::new();
    for (keyword, value) in schema {
        let name = keyword.as_str();
        if FOR_PEOPLE.contains(&name) {
            continue;
        }
        let value = match value {
            _ if DATA.contains(&name) => value.clone(),
            Value::Object(schemas) if NAMED.contains(&name) => named(schemas),
            Value::Array(items) => items.iter().map(meaning).collect(),
            value => meaning(value),
        };
        let value = match value {
            Value::Array(items) if SETS.contains(&name) => set(items),
            value => value,
        };
        meant.insert(keyword.clone(), value);
    }
    Value::Object(meant)
}

fn named(schemas: &Map<String, Value>) -> Value {
    let schemas = schemas.iter();
    Value::Object(
        schemas
            .map(|(name, schema)| (name.clone(), meaning(schema)))
            .collect(),
    )
}

fn set(items: Vec<Value>) -> Value {
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
    fn what_is_for_people_and_the_order_of_sets_mean_nothing() {
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
    fn a_property_called_like_a_keyword_is_a_property() {
        let with = |name: &str| json!({ "properties": { name: { "type": "string" } } });
        assert_eq!(
            diff(with("title"), with("description")),
            [
                r#"/input/properties/description: nothing expected, {"type":"string"} given"#,
                r#"/input/properties/title: {"type":"string"} expected, nothing given"#,
            ]
        );
    }

    #[test]
    fn data_is_compared_as_it_is() {
        let with = |data: Value| json!({ "default": data.clone(), "const": data });
        let (titled, plain) = (json!({ "title": 1 }), json!({}));
        assert_eq!(diff(with(titled), with(plain)).len(), 2);
        let lists = [json!(["a", "b"]), json!(["b", "a"])];
        let [first, second] = lists.map(|list| json!({ "default": list }));
        assert_eq!(diff(first, second).len(), 1);
        // A list of schemas in an order of its own.
        let tuple =
            |types: [&str; 2]| json!({ "prefixItems": types.map(|name| json!({ "type": name })) });
        assert_eq!(
            diff(tuple(["string", "null"]), tuple(["null", "string"])).len(),
            1
        );
    }

    #[test]
    fn a_difference_is_told_where_it_is() {
        let expected =
            json!({ "properties": { "a/b": { "type": "integer" } }, "required": ["a/b"] });
        let given = json!({ "properties": { "a/b": { "type": "number", "minimum": 0 } } });
        assert_eq!(
            diff(expected, given),
            [
                "/input/properties/a~1b/minimum: nothing expected, 0 given",
                r#"/input/properties/a~1b/type: "integer" expected, "number" given"#,
                r#"/input/required: ["a/b"] expected, nothing given"#,
            ]
        );
    }
}
