//! Job types: their names, the JSON Schemas of their payloads, and how long their assignments last.

use std::sync::Arc;
use std::time::Duration;

use jsonschema::Validator;
use jsonschema::error::ValidationErrorKind;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::LabError;

const EXPIRY: Duration = Duration::from_secs(60 * 60);

/// A job type the lab accepts.
///
/// ```
/// # use reefguide_lab::JobTypeSpec;
/// # use serde_json::json;
/// let spec = JobTypeSpec::new("COUNT_CORAL").input(json!({ "type": "object", "required": ["image"] }));
/// ```
#[derive(Debug, Clone)]
pub struct JobTypeSpec {
    name: String,
    input: Option<Value>,
    result: Option<Value>,
    expiry: Duration,
}

impl JobTypeSpec {
    /// A type called `name` that accepts any payload and any result. Its assignments last 60 minutes.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            input: None,
            result: None,
            expiry: EXPIRY,
        }
    }

    /// Checks input payloads against this JSON Schema when a job is submitted.
    #[must_use]
    pub fn input(mut self, schema: Value) -> Self {
        self.input = Some(schema);
        self
    }

    /// Checks result payloads against this JSON Schema when a result is posted.
    #[must_use]
    pub fn result(mut self, schema: Value) -> Self {
        self.result = Some(schema);
        self
    }

    /// The time from an assignment to its `expires_at` (default 60 minutes).
    #[must_use]
    pub fn expiry(mut self, expiry: Duration) -> Self {
        self.expiry = expiry;
        self
    }
}

/// Upstream's types, in the order in which its error messages list them.
fn built_in() -> Result<Vec<JobTypeSpec>, LabError> {
    #[derive(Deserialize)]
    struct Schemas {
        input: Value,
        result: Value,
    }
    macro_rules! upstream {
        ($($name:literal $file:literal $expiry:expr,)*) => {
            [$(($name, include_str!(concat!("schemas/", $file, ".json")), $expiry)),*]
        };
    }
    let upstream = upstream![
        "TEST" "test" EXPIRY,
        "SUITABILITY_ASSESSMENT" "suitability_assessment" EXPIRY,
        "REGIONAL_ASSESSMENT" "regional_assessment" EXPIRY,
        "DATA_SPECIFICATION_UPDATE" "data_specification_update" EXPIRY,
        "ADRIA_MODEL_RUN" "adria_model_run" EXPIRY * 4,
    ];
    let spec = |(name, schemas, expiry): (&str, &str, Duration)| {
        let Schemas { input, result } =
            serde_json::from_str(schemas).map_err(|error| LabError::schema(name, &error))?;
        Ok(JobTypeSpec::new(name)
            .input(input)
            .result(result)
            .expiry(expiry))
    };
    upstream.into_iter().map(spec).collect()
}

/// The types of one lab, with compiled schemas.
#[derive(Debug, Clone)]
pub(crate) struct JobTypes {
    types: Arc<[JobType]>,
    any: bool,
}

#[derive(Debug)]
struct JobType {
    name: String,
    input_schema: Option<Value>,
    input: Option<Validator>,
    result: Option<Validator>,
    expiry: Duration,
}

/// A place in a payload that does not match the schema.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Mismatch {
    /// A JSON Pointer.
    path: String,
    message: String,
}

impl JobTypes {
    /// Upstream's types and `added` ones, which replace upstream's types of the same name. With `any`, every name is
    /// accepted.
    pub(crate) fn new(added: &[JobTypeSpec], any: bool) -> Result<Self, LabError> {
        let mut specs = built_in()?;
        for spec in added {
            match specs.iter_mut().find(|known| known.name == spec.name) {
                Some(known) => *known = spec.clone(),
                None => specs.push(spec.clone()),
            }
        }
        let types = specs
            .into_iter()
            .map(JobType::compile)
            .collect::<Result<Arc<[_]>, _>>()?;
        Ok(Self { types, any })
    }

    pub(crate) fn accepts(&self, name: &str) -> bool {
        self.any || self.find(name).is_some()
    }

    /// The names of all types that are known.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.types.iter().map(|known| known.name.as_str()).collect()
    }

    /// The names of all types that are known, with the schemas of their payloads.
    pub(crate) fn schemas(&self) -> impl Iterator<Item = (&str, Option<&Value>)> {
        self.types
            .iter()
            .map(|known| (known.name.as_str(), known.input_schema.as_ref()))
    }

    /// Whether jobs of other types are accepted too.
    pub(crate) fn takes_any(&self) -> bool {
        self.any
    }

    /// Where and why a payload does not match the schema. Values are left out because they may be long.
    pub(crate) fn mismatches(&self, name: &str, payload: &Value) -> Vec<Mismatch> {
        let schema = self.find(name).and_then(|known| known.input.as_ref());
        let errors = schema
            .into_iter()
            .flat_map(|schema| schema.iter_errors(payload));
        let mut mismatches: Vec<_> = errors
            .map(|error| match error.kind() {
                // The error is reported for the object, but concerns the property.
                ValidationErrorKind::Required { property } => Mismatch {
                    path: format!(
                        "{}/{}",
                        error.instance_path(),
                        property
                            .as_str()
                            .unwrap_or_default()
                            .replace('~', "~0")
                            .replace('/', "~1")
                    ),
                    message: "is required".to_owned(),
                },
                _ => Mismatch {
                    path: error.instance_path().to_string(),
                    message: error.masked().to_string(),
                },
            })
            .collect();
        mismatches.sort();
        mismatches
    }

    pub(crate) fn accepts_input(&self, name: &str, payload: &Value) -> bool {
        let schema = self.find(name).and_then(|known| known.input.as_ref());
        schema.is_none_or(|schema| schema.is_valid(payload))
    }

    pub(crate) fn accepts_result(&self, name: &str, payload: &Value) -> bool {
        let schema = self.find(name).and_then(|known| known.result.as_ref());
        schema.is_none_or(|schema| schema.is_valid(payload))
    }

    pub(crate) fn expiry(&self, name: &str) -> Duration {
        self.find(name).map_or(EXPIRY, |known| known.expiry)
    }

    fn find(&self, name: &str) -> Option<&JobType> {
        self.types.iter().find(|known| known.name == name)
    }
}

impl JobType {
    fn compile(spec: JobTypeSpec) -> Result<Self, LabError> {
        let compile = |schema: Option<Value>| {
            let compiled = schema
                .map(|schema| jsonschema::validator_for(&schema))
                .transpose();
            compiled.map_err(|error| LabError::schema(&spec.name, &error))
        };
        Ok(Self {
            input: compile(spec.input.clone())?,
            input_schema: spec.input,
            result: compile(spec.result)?,
            expiry: spec.expiry,
            name: spec.name,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn upstream() -> JobTypes {
        JobTypes::new(&[], false).unwrap()
    }

    #[test]
    fn the_schemas_are_as_strict_as_upstreams() {
        let types = upstream();
        assert!(!types.accepts_input("TEST", &json!({"id": 1, "extra": true})));
        assert!(types.accepts_input("DATA_SPECIFICATION_UPDATE", &json!({"anything": [1]})));
        let run = |scenarios, package| {
            json!({"data_package": package, "num_scenarios": scenarios, "model_params":
            [{"param_name": "N", "third_param_flag": true, "lower": 0, "upper": 1, "extra": 1}]})
        };
        assert!(types.accepts_input("ADRIA_MODEL_RUN", &run(4, "GBR")));
        assert!(!types.accepts_input("ADRIA_MODEL_RUN", &run(0, "GBR")));
        assert!(!types.accepts_input("ADRIA_MODEL_RUN", &run(4, "OTHER")));
        for (scenario, fits) in [
            ("26", true),
            ("45", true),
            ("60", true),
            ("85", true),
            ("70", false),
            ("", false),
        ] {
            let mut run = run(4, "GBR");
            run["rcp_scenario"] = json!(scenario);
            assert_eq!(
                types.accepts_input("ADRIA_MODEL_RUN", &run),
                fits,
                "{scenario}"
            );
        }
    }

    #[test]
    fn assessments_accept_tide_ranges() {
        let types = upstream();
        let mut payload = json!({"region": "R", "reef_type": "slopes"});
        for key in [
            "low_tide_min",
            "low_tide_max",
            "high_tide_min",
            "high_tide_max",
        ] {
            payload[key] = json!(-1.5);
        }
        assert!(types.accepts_input("REGIONAL_ASSESSMENT", &payload));
        payload["x_dist"] = json!(1);
        payload["y_dist"] = json!(1);
        assert!(types.accepts_input("SUITABILITY_ASSESSMENT", &payload));
        payload["high_tide_max"] = json!(null);
        assert!(!types.accepts_input("SUITABILITY_ASSESSMENT", &payload));
    }

    #[test]
    fn a_model_runs_result_needs_all_its_paths_and_its_charts_may_have_more_keys() {
        let types = upstream();
        let result = json!({
            "spatial_metrics_path": "metrics.parquet",
            "reef_boundaries_path": "reefs.geojson",
            "output_result_set_path": "set",
            "available_charts": {"Cover": "cover.json"},
            "chart_metadata": {"Cover": {
                "metric_name": "cover", "filename": "cover.json", "y_label": "%", "description": "",
                "generation_time_seconds": 1.5, "more": [1]
            }},
        });
        let fits = |result: &Value| types.accepts_result("ADRIA_MODEL_RUN", result);
        assert!(fits(&result));
        for key in result.as_object().unwrap().keys() {
            let mut part = result.clone();
            part.as_object_mut().unwrap().remove(key);
            assert!(!fits(&part), "{key}");
        }
        let mut more = result.clone();
        more["more"] = json!(1);
        assert!(!fits(&more));
        let mut chart = result;
        chart["chart_metadata"]["Cover"]
            .as_object_mut()
            .unwrap()
            .remove("y_label");
        assert!(!fits(&chart));
    }

    #[test]
    fn an_added_type_replaces_upstreams_type_of_the_same_name() {
        let types =
            JobTypes::new(&[JobTypeSpec::new("TEST"), JobTypeSpec::new("MINE")], false).unwrap();
        assert!(types.accepts_input("TEST", &json!("anything")));
        assert_eq!(types.names().len(), 6);
        assert!(types.accepts("MINE") && !types.accepts("OTHER"));
    }

    #[test]
    fn mismatches_are_reported_with_their_place() {
        let payload = json!({"num_scenarios": 0, "model_params": [{"param_name": 1}]});
        let mismatches = upstream().mismatches("ADRIA_MODEL_RUN", &payload);
        let lines: Vec<_> = mismatches
            .iter()
            .map(|mismatch| format!("{} {}", mismatch.path, mismatch.message))
            .collect();
        insta::assert_snapshot!(lines.join("\n"), @r#"
        /data_package is required
        /model_params/0/lower is required
        /model_params/0/param_name value is not of type "string"
        /model_params/0/third_param_flag is required
        /model_params/0/upper is required
        /num_scenarios value is less than or equal to the minimum of 0
        "#);
    }

    #[test]
    fn an_error_in_a_schema_names_the_job_type() {
        let error = JobTypes::new(
            &[JobTypeSpec::new("MINE").input(json!({"type": "nonsense"}))],
            false,
        )
        .unwrap_err();
        assert!(error.to_string().contains("MINE"), "{error}");
    }
}
