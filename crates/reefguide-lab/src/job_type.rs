//! Job types: their names, the JSON Schemas of their payloads, and how long an assignment of one lasts.

use std::sync::Arc;
use std::time::Duration;

use jsonschema::Validator;
use jsonschema::error::ValidationErrorKind;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::LabError;

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
    /// A type called `name` that takes any payload and any result; its assignments last 60 minutes.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            input: None,
            result: None,
            expiry: EXPIRY,
        }
    }

    /// Checks input payloads against this JSON Schema: a misfit is refused when the job is submitted.
    #[must_use]
    pub fn input(mut self, schema: Value) -> Self {
        self.input = Some(schema);
        self
    }

    /// Checks result payloads against this JSON Schema: a misfit is refused when the result is posted.
    #[must_use]
    pub fn result(mut self, schema: Value) -> Self {
        self.result = Some(schema);
        self
    }

    /// How long after the assignment `expires_at` is (default 60 minutes).
    #[must_use]
    pub fn expiry(mut self, expiry: Duration) -> Self {
        self.expiry = expiry;
        self
    }
}

/// The types upstream has, in the order its error messages list them.
fn built_in() -> Result<Vec<JobTypeSpec>, LabError> {
    #[derive(Deserialize)]
    struct Schemas {
        input: Value,
        result: Value,
    }
    let upstream = [
        ("TEST", include_str!("schemas/test.json"), EXPIRY),
        (
            "SUITABILITY_ASSESSMENT",
            include_str!("schemas/suitability_assessment.json"),
            EXPIRY,
        ),
        (
            "REGIONAL_ASSESSMENT",
            include_str!("schemas/regional_assessment.json"),
            EXPIRY,
        ),
        (
            "DATA_SPECIFICATION_UPDATE",
            include_str!("schemas/data_specification_update.json"),
            EXPIRY,
        ),
        (
            "ADRIA_MODEL_RUN",
            include_str!("schemas/adria_model_run.json"),
            EXPIRY * 4,
        ),
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

/// The types of one lab, ready to check payloads.
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

/// One place of a payload that does not fit its schema.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Misfit {
    /// A JSON Pointer.
    path: String,
    message: String,
}

impl JobTypes {
    /// Upstream's types and `added`; one of the same name replaces upstream's. With `any` every name is accepted.
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

    /// Every type known by name.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.types.iter().map(|known| known.name.as_str()).collect()
    }

    /// Every type known by name, and the schema of its payload if it has one.
    pub(crate) fn schemas(&self) -> impl Iterator<Item = (&str, Option<&Value>)> {
        self.types
            .iter()
            .map(|known| (known.name.as_str(), known.input_schema.as_ref()))
    }

    /// Whether jobs of other types are accepted, too.
    pub(crate) fn takes_any(&self) -> bool {
        self.any
    }

    /// Where a payload does not fit, and why. Values are left out: they may be long.
    pub(crate) fn misfits(&self, name: &str, payload: &Value) -> Vec<Misfit> {
        let schema = self.find(name).and_then(|known| known.input.as_ref());
        let errors = schema
            .into_iter()
            .flat_map(|schema| schema.iter_errors(payload));
        let mut misfits: Vec<_> = errors
            .map(|error| match error.kind() {
                // Reported at the object; meant is the property.
                ValidationErrorKind::Required { property } => Misfit {
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
                _ => Misfit {
                    path: error.instance_path().to_string(),
                    message: error.masked().to_string(),
                },
            })
            .collect();
        misfits.sort();
        misfits
    }

    pub(crate) fn input_fits(&self, name: &str, payload: &Value) -> bool {
        self.find(name)
            .and_then(|known| known.input.as_ref())
            .is_none_or(|schema| schema.is_valid(payload))
    }

    pub(crate) fn result_fits(&self, name: &str, payload: &Value) -> bool {
        self.find(name)
            .and_then(|known| known.result.as_ref())
            .is_none_or(|schema| schema.is_valid(payload))
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
    fn upstreams_schemas_are_strict_where_upstreams_are() {
        let types = upstream();
        assert!(!types.input_fits("TEST", &json!({"id": 1, "extra": true})));
        assert!(types.input_fits("DATA_SPECIFICATION_UPDATE", &json!({"whatever": [1]})));
        let run = |scenarios, package| {
            json!({"data_package": package, "num_scenarios": scenarios, "model_params":
            [{"param_name": "N", "third_param_flag": true, "lower": 0, "upper": 1, "extra": 1}]})
        };
        assert!(types.input_fits("ADRIA_MODEL_RUN", &run(4, "GBR")));
        assert!(!types.input_fits("ADRIA_MODEL_RUN", &run(0, "GBR")));
        assert!(!types.input_fits("ADRIA_MODEL_RUN", &run(4, "OTHER")));
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
                types.input_fits("ADRIA_MODEL_RUN", &run),
                fits,
                "{scenario}"
            );
        }
    }

    #[test]
    fn assessments_take_the_tides() {
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
        assert!(types.input_fits("REGIONAL_ASSESSMENT", &payload));
        payload["x_dist"] = json!(1);
        payload["y_dist"] = json!(1);
        assert!(types.input_fits("SUITABILITY_ASSESSMENT", &payload));
        payload["high_tide_max"] = json!(null);
        assert!(!types.input_fits("SUITABILITY_ASSESSMENT", &payload));
    }

    #[test]
    fn a_model_runs_result_has_all_its_paths_and_charts_with_anything_more() {
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
        let fits = |result: &Value| types.result_fits("ADRIA_MODEL_RUN", result);
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
    fn a_type_of_ones_own_replaces_upstreams_of_that_name() {
        let types =
            JobTypes::new(&[JobTypeSpec::new("TEST"), JobTypeSpec::new("MINE")], false).unwrap();
        assert!(types.input_fits("TEST", &json!("anything")));
        assert_eq!(types.names().len(), 6);
        assert!(types.accepts("MINE") && !types.accepts("OTHER"));
    }

    #[test]
    fn misfits_are_told_with_their_place() {
        let payload = json!({"num_scenarios": 0, "model_params": [{"param_name": 1}]});
        let misfits = upstream().misfits("ADRIA_MODEL_RUN", &payload);
        let lines: Vec<_> = misfits
            .iter()
            .map(|misfit| format!("{} {}", misfit.path, misfit.message))
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
    fn a_schema_that_is_none_names_its_type() {
        let error = JobTypes::new(
            &[JobTypeSpec::new("MINE").input(json!({"type": "nonsense"}))],
            false,
        )
        .unwrap_err();
        assert!(error.to_string().contains("MINE"), "{error}");
    }
}
