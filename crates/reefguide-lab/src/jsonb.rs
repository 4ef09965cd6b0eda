//! JSON the way it comes back from the real server: through JavaScript's numbers and PostgreSQL's `jsonb`.

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// A JSON document stored with a job.
///
/// Every number is a double (so an integer beyond 2^53 loses precision), and object keys come back ordered by length,
/// then by bytes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Jsonb(Value);

/// PostgreSQL stores no NUL character in text; the real server answers 500 to one.
#[derive(Debug, thiserror::Error)]
#[error("text with a NUL character cannot be stored")]
pub(crate) struct HoldsNul;

impl Jsonb {
    /// Takes `value` in, or refuses it for a NUL character in a string or key.
    pub(crate) fn new(value: Value) -> Result<Self, HoldsNul> {
        if holds_nul(&value) {
            return Err(HoldsNul);
        }
        Ok(Self(through_doubles(value)))
    }

    /// The job's hash, equal to the real server's: SHA-256 over the payload's own SHA-256 (keys sorted, white space in
    /// strings collapsed) and the job type.
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

fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(holds_nul),
        Value::Object(map) => map
            .iter()
            .any(|(key, value)| key.contains('\0') || holds_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn through_doubles(value: Value) -> Value {
    match value {
        Value::Number(number) => {
            let double = number.as_f64().unwrap_or_default();
            // A whole double prints without a fraction, its shortest digits padded with zeros.
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

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn written(value: Value) -> String {
        serde_json::to_string(&Jsonb::new(value).unwrap()).unwrap()
    }

    #[test]
    fn keys_come_back_by_length_then_bytes() {
        let payload = json!({"region": "R", "reef_type": "slopes", "x_dist": 1, "threshold": 2, "list": [{"bb": 1, "c": 2}]});
        assert_eq!(
            written(payload),
            r#"{"list":[{"c":2,"bb":1}],"region":"R","x_dist":1,"reef_type":"slopes","threshold":2}"#
        );
    }

    #[test]
    fn numbers_pass_through_doubles() {
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
    fn the_hash_is_the_real_servers() {
        let payload = Jsonb::new(json!({"id": 1})).unwrap();
        assert_eq!(
            payload.job_hash("TEST"),
            "a8637e9a541fb0570fc3a43157601feeb04354cfc1e2147ded1da577f7b779ed"
        );
    }

    #[test]
    fn a_nul_is_refused_in_values_and_keys() {
        assert!(Jsonb::new(json!({"a": ["x\0y"]})).is_err());
        assert!(Jsonb::new(json!({"a\0": 1})).is_err());
        assert!(Jsonb::new(json!({"a": "\\u0000"})).is_ok());
    }
}
