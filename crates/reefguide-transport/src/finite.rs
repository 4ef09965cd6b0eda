//! Finds floats that JSON cannot express.
//!
//! `serde_json` silently writes NaN and the infinities as `null`, as if there were no value. Other programs
//! write them as they are, which is not JSON. In both cases the job fails, with an error that says where the float is.

use std::fmt::{self, Display};

use serde::ser::{
    self, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant,
    SerializeTuple, SerializeTupleStruct, SerializeTupleVariant,
};
use serde_json::Value;

use crate::text::{self, TextError};

/// How Python and JavaScript write such floats.
const TOKENS: [&str; 3] = ["NaN", "Infinity", "-Infinity"];

/// A float that is NaN or infinite. Worded to follow the name of the value that contains it.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("{}is {float}, which JSON does not have: use an `Option`", at(.place))]
pub struct NotFinite {
    /// Its place in the value; empty for the value itself.
    place: String,
    float: f64,
}

fn at(place: &str) -> String {
    match place {
        "" => String::new(),
        place => format!("at `{place}` "),
    }
}

/// An error for the first float in a value that is NaN or infinite, if there is one.
pub fn check<T: Serialize + ?Sized>(value: &T) -> Result<(), NotFinite> {
    match value.serialize(Finite) {
        Err(Stopped::At(float)) => Err(float),
        Err(Stopped::Other) | Ok(()) => Ok(()),
    }
}

/// Describes why a file is not JSON. Names NaN and the infinities.
pub fn not_json(file: &[u8], error: &TextError) -> String {
    let (TextError::Json(json), Ok(text)) = (error, text::decode(file)) else {
        return format!("not JSON: {error}");
    };
    let (line, column) = (json.line(), json.column());
    let at = text.lines().nth(line.saturating_sub(1)).map(str::as_bytes);
    // The column is that of the invalid byte, which may be the second one.
    let found = at.and_then(|at| {
        (column.saturating_sub(2)..=column).find_map(|start| {
            let rest = at.get(start..)?;
            let mut tokens = TOKENS.iter();
            let token = tokens.find(|token| rest.starts_with(token.as_bytes()))?;
            Some((token, start + 1))
        })
    });
    match found {
        Some((token, column)) => format!(
            "not JSON: {token} at line {line} column {column}; JSON has finite numbers only, write null or leave it out"
        ),
        None => format!("not JSON: {error}"),
    }
}

/// A serializer that writes nothing and fails at a float that is NaN or infinite.
struct Finite;

/// Serializes the content of an array or an object.
#[derive(Default)]
struct Inside {
    /// The name of an enum's variant, which is part of the place.
    variant: Option<&'static str>,
    index: usize,
    key: String,
}

/// Why serializing stopped.
#[derive(Debug)]
enum Stopped {
    At(NotFinite),
    /// Serializing fails for another reason, which the real serializer reports.
    Other,
}

impl Stopped {
    /// The same, with the place inside of the value called `name`.
    fn within(self, name: &str) -> Self {
        match self {
            Self::At(NotFinite { place, float }) => {
                let dot = if place.is_empty() || place.starts_with('[') {
                    ""
                } else {
                    "."
                };
                let place = format!("{name}{dot}{place}");
                Self::At(NotFinite { place, float })
            }
            Self::Other => Self::Other,
        }
    }
}

impl Inside {
    fn of(variant: &'static str) -> Self {
        Self {
            variant: Some(variant),
            ..Self::default()
        }
    }

    fn check<T: Serialize + ?Sized>(&self, name: &str, value: &T) -> Checked {
        value.serialize(Finite).map_err(|error| {
            let error = error.within(name);
            match self.variant {
                Some(variant) => error.within(variant),
                None => error,
            }
        })
    }

    fn check_next<T: Serialize + ?Sized>(&mut self, value: &T) -> Checked {
        let index = self.index;
        self.index += 1;
        self.check(&format!("[{index}]"), value)
    }
}

impl Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(float) => float.fmt(f),
            Self::Other => f.write_str("not serializable"),
        }
    }
}

impl std::error::Error for Stopped {}

impl ser::Error for Stopped {
    fn custom<T: Display>(_: T) -> Self {
        Self::Other
    }
}

type Checked = Result<(), Stopped>;

macro_rules! fine {
    ($($method:ident($($type:ty),*);)*) => {
        $(fn $method(self, $(_: $type),*) -> Checked {
            Ok(())
        })*
    };
}

impl ser::Serializer for Finite {
    type Ok = ();
    type Error = Stopped;
    type SerializeSeq = Inside;
    type SerializeTuple = Inside;
    type SerializeTupleStruct = Inside;
    type SerializeTupleVariant = Inside;
    type SerializeMap = Inside;
    type SerializeStruct = Inside;
    type SerializeStructVariant = Inside;

    fine! {
        serialize_bool(bool);
        serialize_i8(i8);
        serialize_i16(i16);
        serialize_i32(i32);
        serialize_i64(i64);
        serialize_i128(i128);
        serialize_u8(u8);
        serialize_u16(u16);
        serialize_u32(u32);
        serialize_u64(u64);
        serialize_u128(u128);
        serialize_char(char);
        serialize_str(&str);
        serialize_bytes(&[u8]);
        serialize_none();
        serialize_unit();
        serialize_unit_struct(&'static str);
        serialize_unit_variant(&'static str, u32, &'static str);
    }

    fn serialize_f32(self, float: f32) -> Checked {
        self.serialize_f64(float.into())
    }

    fn serialize_f64(self, float: f64) -> Checked {
        match float.is_finite() {
            true => Ok(()),
            false => Err(Stopped::At(NotFinite {
                place: String::new(),
                float,
            })),
        }
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Checked {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Checked {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Checked {
        value.serialize(self).map_err(|error| error.within(variant))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Inside, Stopped> {
        Ok(Inside::default())
    }

    fn serialize_tuple(self, _: usize) -> Result<Inside, Stopped> {
        Ok(Inside::default())
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Inside, Stopped> {
        Ok(Inside::default())
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Inside, Stopped> {
        Ok(Inside::of(variant))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Inside, Stopped> {
        Ok(Inside::default())
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Inside, Stopped> {
        Ok(Inside::default())
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Inside, Stopped> {
        Ok(Inside::of(variant))
    }

    fn collect_str<T: Display + ?Sized>(self, _: &T) -> Checked {
        Ok(())
    }
}

macro_rules! inside {
    ($($trait:ident: |$inside:ident, $value:ident| $method:ident($($name:ident)?) $check:expr;)*) => {
        $(impl $trait for Inside {
            type Ok = ();
            type Error = Stopped;

            fn $method<T: Serialize + ?Sized>(
                &mut self,
                $($name: &'static str,)?
                $value: &T,
            ) -> Checked {
                let $inside = self;
                $check
            }

            fn end(self) -> Checked {
                Ok(())
            }
        })*
    };
}

inside! {
    SerializeSeq: |inside, value| serialize_element() inside.check_next(value);
    SerializeTuple: |inside, value| serialize_element() inside.check_next(value);
    SerializeTupleStruct: |inside, value| serialize_field() inside.check_next(value);
    SerializeTupleVariant: |inside, value| serialize_field() inside.check_next(value);
    SerializeStruct: |inside, value| serialize_field(name) inside.check(name, value);
    SerializeStructVariant: |inside, value| serialize_field(name) inside.check(name, value);
}

impl SerializeMap for Inside {
    type Ok = ();
    type Error = Stopped;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Checked {
        // A key that is neither text nor a number is an error of the real serializer.
        self.key = match serde_json::to_value(key) {
            Ok(Value::String(name)) => name,
            Ok(other) => other.to_string(),
            Err(_) => return Err(Stopped::Other),
        };
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Checked {
        self.check(&self.key, value)
    }

    fn end(self) -> Checked {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    use serde_json::json;

    #[derive(serde::Serialize)]
    struct Result {
        name: &'static str,
        depth: Depth,
        by_zone: BTreeMap<&'static str, Option<f32>>,
    }

    #[derive(serde::Serialize)]
    enum Depth {
        Unknown,
        Known(f64),
        Between(f64, f64),
        Measured { values: Vec<(f64, f32)> },
    }

    fn place(depth: Depth, zone: Option<f32>) -> String {
        let by_zone = BTreeMap::from([("north", Some(1.5)), ("south", zone)]);
        let result = Result {
            name: "NaN",
            depth,
            by_zone,
        };
        match check(&result) {
            Ok(()) => "fine".into(),
            Err(NotFinite { place, float }) => format!("{place}: {float}"),
        }
    }

    #[test]
    fn a_float_that_json_cannot_express_is_found_at_any_place() {
        let nan = f64::NAN;
        assert_eq!(place(Depth::Unknown, None), "fine");
        assert_eq!(place(Depth::Known(f64::MAX), Some(f32::MIN)), "fine");
        assert_eq!(place(Depth::Known(nan), None), "depth.Known: NaN");
        assert_eq!(
            place(Depth::Between(0.0, f64::INFINITY), None),
            "depth.Between[1]: inf"
        );
        let values = vec![(0.0, 0.0), (1.0, f32::NEG_INFINITY)];
        assert_eq!(
            place(Depth::Measured { values }, None),
            "depth.Measured.values[1][1]: -inf"
        );
        assert_eq!(place(Depth::Unknown, Some(f32::NAN)), "by_zone.south: NaN");
        let said = check(&nan).unwrap_err().to_string();
        assert_eq!(said, "is NaN, which JSON does not have: use an `Option`");
        let said = check(&[0.0, nan]).unwrap_err().to_string();
        assert!(said.starts_with("at `[1]` is NaN, "), "{said}");
        assert_eq!(check(&json!({ "a": [1.5, null] })), Ok(()));
    }

    #[test]
    fn a_value_that_cannot_be_serialized_for_another_reason_is_not_reported() {
        let cell = std::cell::RefCell::new(1);
        let _borrowed = cell.borrow_mut();
        assert_eq!(check(&cell), Ok(()));
    }

    #[test]
    fn such_a_float_in_a_text_is_named_and_other_errors_are_kept() {
        let said = |text: &str| {
            let error = text::json::<Value>(text.as_bytes()).unwrap_err();
            not_json(text.as_bytes(), &error)
        };
        let texts = [
            r#"{"mean": NaN}"#,
            "NaN",
            "[1,\n  2,\n  Infinity]",
            r#"{"a":-Infinity}"#,
            r#"{"a": [-Infinity, 1]}"#,
            r#"{"name": "NaN", "a": }"#,
            r#"{"a": nan}"#,
            r#"{"a": 1e999}"#,
            "",
        ];
        let said: Vec<_> = texts
            .iter()
            .map(|text| format!("{text}\n  {}", said(text)))
            .collect();
        insta::assert_snapshot!(said.join("\n"));
    }
}
