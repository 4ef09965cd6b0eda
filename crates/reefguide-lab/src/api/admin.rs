//! The routes for administrators. They check the account before the request.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;

use super::error::ApiError;
use super::request::ApiRequest;
use super::response::json;
use super::state::Shared;
use super::zod::Reader;
use crate::store::{OLD, Time};

/// Counts the regions and criteria, but does not store them: no route that the lab has reads them back.
pub(super) async fn data_specification(
    State(api): Shared,
    request: ApiRequest,
) -> Result<Response, ApiError> {
    request.admin(&api)?;
    let mut body = Reader::new(&request.body);
    let regions = body.items("regions", |region| {
        region.string("name");
        region.string("display_name");
        region.optional_string("description");
        region.items("criteria", |criteria| {
            let name = criteria.string("name");
            criteria.string("display_title");
            for optional in ["display_subtitle", "units", "min_tooltip", "max_tooltip"] {
                criteria.optional_string(optional);
            }
            criteria.string("payload_prefix");
            for number in ["min_val", "max_val", "default_min_val", "default_max_val"] {
                criteria.number(number);
            }
            name
        })
    });
    body.finish().map_err(ApiError::body)?;
    #[derive(Serialize)]
    struct Updated {
        criteria_count: usize,
        regions_count: usize,
        regional_criteria_count: usize,
    }
    #[derive(Serialize)]
    struct Answer {
        message: &'static str,
        updated: Updated,
    }
    let updated = Updated {
        criteria_count: regions.iter().flatten().collect::<BTreeSet<_>>().len(),
        regions_count: regions.len(),
        regional_criteria_count: regions.iter().map(Vec::len).sum(),
    };
    Ok(json(
        StatusCode::OK,
        &Answer {
            message: "Data specification updated successfully",
            updated,
        },
    ))
}

pub(super) async fn timeout_jobs(
    State(api): Shared,
    request: ApiRequest,
) -> Result<Response, ApiError> {
    request.admin(&api)?;
    let mut body = Reader::new(&request.body);
    let minutes = body.optional_positive("timeoutThresholdMinutes");
    let types = body.optional_strings("jobTypes");
    body.finish().map_err(ApiError::body)?;
    let age = minutes.map_or(OLD, |minutes| {
        Duration::try_from_secs_f64(minutes * 60.0).unwrap_or(Duration::MAX)
    });
    // An empty list means every type.
    let types = types.filter(|types| !types.is_empty());
    let timed_out = api
        .store
        .time_out(Time::now().minus(age), types.as_deref())?;
    #[derive(Serialize, Default)]
    #[serde(rename_all = "camelCase")]
    struct Answer {
        total_timed_out: usize,
        by_type: BTreeMap<String, usize>,
        timed_out_job_ids: Vec<i64>,
    }
    let mut answer = Answer::default();
    for (id, job_type) in timed_out {
        answer.total_timed_out += 1;
        *answer.by_type.entry(job_type).or_default() += 1;
        answer.timed_out_job_ids.push(id);
    }
    Ok(json(StatusCode::OK, &answer))
}
