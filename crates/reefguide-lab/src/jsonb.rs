//! JSON as the real server returns it, after JavaScript's numbers and PostgreSQL's `jsonb`.

use serde::Deserialize;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::hex::hex;

/// A JSON document stored with a job.
///
/// Every number is a double, so integers beyond 2^53 lose precision. Object keys are ordered by length, then by bytes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Jsonb(Value);

/// How deep arrays and objects may be nested. The real server accepts thousands of levels, but here each one uses stack.
const MAXIMUM_DEPTH: usize = 500;

/// Why a document cannot be stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unstorable {
    /// PostgreSQL cannot store a NUL character in text, so the real server responds with 500.
    #[error("text with a NUL character cannot be stored")]
    Nul,
    #[error("arrays and objects nested more than {MAXIMUM_DEPTH} deep cannot be stored")]
    Deep,
}

/// Parses a request's JSON or a stored document. JSON that is nested too deeply is an error.
pub(crate) fn parse(json: &[u8]) -> serde_json::Result<Value> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    if !is_deep(json) {
        deserializer.disable_recursion_limit();
    }
    let value = Value::deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// Whether the brackets are nested so deeply that a payload inside cannot be stored.
fn is_deep(json: &[u8]) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        // The payload itself is inside one more object.
        if depth > MAXIMUM_DEPTH + 1 {
            return true;
        }
    }
    false
}

impl Jsonb {
    /// Converts `value`, unless it has a NUL character in a string or key, or is nested too deeply.
    pub(crate) fn new(value: Value) -> Result<Self, Unstorable> {
        check(&value, MAXIMUM_DEPTH)?;
        Ok(Self(through_doubles(value)))
    }

    /// The job's hash, the same as on the real server: the SHA-256 of the payload's SHA-256 (with sorted keys, and white
    /// space in strings collapsed) and the job type.
    pub(crate) fn job_hash(&self, job_type: &str) -> String {
        let payload = hex(&Sha256::digest(collapse_space(&self.0).to_string()));
        hex(&Sha256::digest(payload + job_type))
    }
}

impl Serialize for Jsonb {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Ordered(&self.0).serialize(serializer)
    }
}

struct Ordered<'a>(&'a Value);

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(map) => {
                let mut entries: Vec<_> = map.iter().collect();
                entries.sort_by_key(|(key, _)| (key.len(), key.as_bytes()));
                let mut object = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    object.serialize_entry(key, &Ordered(value))?;
                }
                object.end()
            }
            Value::Array(items) => serializer.collect_seq(items.iter().map(Ordered)),
            scalar => scalar.serialize(serializer),
        }
    }
}

fn check(value: &Value, depth_left: usize) -> Result<(), Unstorable> {
    let text = |text: &str| match text.contains('\0') {
        true => Err(Unstorable::Nul),
        false => Ok(()),
    };
    let inside = || depth_left.checked_sub(1).ok_or(Unstorable::Deep);
    match value {
        Value::String(value) => text(value),
        Value::Array(items) => {
            let depth_left = inside()?;
            items.iter().try_for_each(|item| check(item, depth_left))
        }
        Value::Object(map) => {
            let depth_left = inside()?;
            map.iter()
                .try_for_each(|(key, value)| text(key).and_then(|()| check(value, depth_left)))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

fn through_doubles(value: Value) -> Value {
    match value {
        Value::Number(number) => {
            let double = number.as_f64().unwrap_or_default();
            // A whole double is printed without a fraction: its shortest digits, padded with zeros.
            let whole = (double.fract() == 0.0)
                .then(|| format!("{double}").parse::<i64>().ok())
                .flatten();
            whole.map_or_else(|| Value::from(double), Value::from)
        }
        Value::Array(items) => items.into_iter().map(through_doubles).collect(),
        Value::Object(map) => map
            .into_iter()
            .map(|(key, value)| (key, through_doubles(value)))
            .collect(),
        other => other,
    }
}

fn collapse_space(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::from(text.split_whitespace().collect::<Vec<_>>().join(" ")),
        Value::Array(items) => items.iter().map(collapse_space).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (key.trim().to_owned(), collapse_space(value)))
            .collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn written(value: Value) -> String {
        serde_json::to_string(&Jsonb::new(value).unwrap()).unwrap()
    }

    #[test]
    fn keys_are_ordered_by_length_then_bytes() {
        let payload = json!({"region": "R", "reef_type": "slopes", "x_dist": 1, "threshold": 2, "list": [{"bb": 1, "c": 2}]});
        assert_eq!(
            written(payload),
            r#"{"list":[{"c":2,"bb":1}],"region":"R","x_dist":1,"reef_type":"slopes","threshold":2}"#
        );
    }

    #[test]
    fn numbers_become_doubles() {
        let numbers: Value = serde_json::from_str(
            "[9007199254740993, 1.0, 1e16, 1152921504606846976, 1.5e-7, -0.5]",
        )
        .unwrap();
        assert_eq!(
            written(numbers),
            "[9007199254740992,1,10000000000000000,1152921504606847000,1.5e-7,-0.5]"
        );
    }

    #[test]
    fn the_hash_is_the_same_as_on_the_real_server() {
        let payload = Jsonb::new(json!({"id": 1})).unwrap();
        assert_eq!(
            payload.job_hash("TEST"),
            "a8637e9a541fb0570fc3a43157601feeb04354cfc1e2147ded1da577f7b779ed"
        );
    }

    #[test]
    fn brackets_in_strings_do_not_count_as_depth() {
        let text = format!(r#"["\"{0}", "\\", {{}}]"#, "[".repeat(1000));
        assert!(!is_deep(text.as_bytes()) && is_deep("[".repeat(502).as_bytes()));
        assert!(!is_deep("[]".repeat(1000).as_bytes()));
        assert!(parse(text.as_bytes()).is_ok());
    }

    #[test]
    fn a_nul_is_refused_in_values_and_keys() {
        assert!(Jsonb::new(json!({"a": ["x\0y"]})).is_err());
        assert!(Jsonb::new(json!({"a\0": 1})).is_err());
        assert!(Jsonb::new(json!({"a": "\\u0000"})).is_ok());
    }
}
