//! Traces, as a collector receives them.

use std::collections::{BTreeMap, BTreeSet};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use reefguide_lab::Route;
use reefguide_worker::storage::{Storage, StorageUri};
use serde_json::{Value, json};

use crate::fixture::{
    assert_shown, closed_port, final_status, lab, run_jobs, status, submit_test, worker_for,
};
use crate::lab_storage;
use crate::program::{Program, in_time};
use crate::receiver::Receiver;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// What a collector has received.
struct Collected {
    spans: Vec<Span>,
    /// Attributes of the processes that sent it.
    resources: BTreeSet<BTreeMap<String, String>>,
}

fn collected(receiver: &Receiver) -> Collected {
    let (mut spans, mut resources) = (Vec::new(), BTreeSet::new());
    for request in receiver.received() {
        assert_eq!(request.path, "/v1/traces");
        assert_eq!(request.headers["content-type"], "application/x-protobuf");
        let request = ExportTraceServiceRequest::decode(request.body).unwrap();
        for of_resource in request.resource_spans {
            let attributes = of_resource.resource.unwrap().attributes.into_iter();
            let attributes = attributes.map(|attribute| {
                let value = attribute.value.and_then(|value| value.value);
                (attribute.key, text(value))
            });
            resources.insert(attributes.collect());
            spans.extend(
                of_resource
                    .scope_spans
                    .into_iter()
                    .flat_map(|of_scope| of_scope.spans),
            );
        }
    }
    spans.sort_by_key(|span| span.start_time_unix_nano);
    Collected { spans, resources }
}

fn text(value: Option<Any>) -> String {
    match value {
        Some(Any::StringValue(text)) => text,
        Some(Any::IntValue(number)) => number.to_string(),
        Some(Any::BoolValue(is)) => is.to_string(),
        other => panic!("{other:?}"),
    }
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attribute(span: &Span, name: &str) -> Option<String> {
    let attribute = span
        .attributes
        .iter()
        .find(|attribute| attribute.key == name)?;
    Some(text(attribute.value.clone()?.value))
}

impl Collected {
    fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Span> {
        self.spans.iter().filter(move |span| span.name == name)
    }

    /// The spans below a parent, each with its attributes and status.
    fn tree(&self, parent: &[u8], depth: usize) -> String {
        let mut tree = String::new();
        for span in self
            .spans
            .iter()
            .filter(|span| span.parent_span_id == parent)
        {
            tree += &format!("{}{}", "  ".repeat(depth), span.name);
            for shown in ["attempt", "won", "files", "bytes", "status", "jobs"] {
                if let Some(value) = attribute(span, shown) {
                    tree += &format!(" {shown}={value}");
                }
            }
            // 3 is the kind of a client's span.
            tree += if span.kind == 3 { " (client)" } else { "" };
            let status = span.status.clone().unwrap_or_default();
            // 2 is an error.
            if status.code == 2 {
                tree += &format!(" failed: {}", status.message);
            }
            tree += "\n";
            tree += &self.tree(&span.span_id, depth + 1);
        }
        tree
    }
}

/// A program that exports to the collector.
fn exporting(program: Program, receiver: &Receiver) -> Program {
    let endpoint = format!("http://127.0.0.1:{}", receiver.port);
    program.env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
}

#[tokio::test]
async fn a_job_is_one_trace_that_continues_the_trace_of_its_payload() {
    let (lab, receiver) = (lab().await, Receiver::start().await);
    let source: StorageUri = format!("s3://{}/depths.csv", lab.bucket()).parse().unwrap();
    let storage = Storage::s3(lab_storage::options(&lab));
    in_time(storage.upload_bytes("heron,-4\n", &source))
        .await
        .unwrap();
    let payload = json!({ "source": source, "traceparent": PARENT });
    let job = lab.submit("COPY", payload).unwrap();
    let program = exporting(worker_for(&lab), &receiver)
        .env(
            "OTEL_RESOURCE_ATTRIBUTES",
            "deployment.environment.name=great%20reef",
        )
        .secret("OTEL_EXPORTER_OTLP_HEADERS", "api-key=tr0ub4dor");
    let log = run_jobs(&lab, &program, &[job]).await.log();
    assert_eq!(status(&lab, job), "SUCCEEDED");

    let collected = collected(&receiver);
    for request in receiver.received() {
        assert_eq!(request.headers["api-key"], "tr0ub4dor");
    }
    let spans = collected.spans.iter();
    let (ours, others): (Vec<_>, Vec<_>) = spans.partition(|span| hex(&span.trace_id) == TRACE);
    let polls = others.iter().filter(|span| span.name == "poll").count();
    assert_eq!(
        (polls, others.len()),
        (1, 2),
        "one poll with its request found something"
    );
    assert_shown!(collected.tree(&[], 0), @r"
    poll jobs=1
      GET /jobs/poll (client)
    ");
    let is_job = |span: &&&Span| span.name == "job";
    let parent = &ours.iter().find(is_job).unwrap().parent_span_id;
    assert_eq!(hex(parent), "b7ad6b7169203331");
    assert_shown!(collected.tree(parent, 0), @r"
    job
      S3.PutObject (client)
      claim won=true
        POST /jobs/assign (client)
        fence
          GET /jobs/{id} (client)
      attempt attempt=1
        S3.GetObject (client)
      publish files=1 bytes=9
        S3.PutObject (client)
        S3.ListObjectsV2 (client)
      deliver status=SUCCEEDED
        S3.PutObject (client)
        POST /jobs/assignments/{id}/result (client)
      S3.DeleteObject (client)
    ");

    let span = collected.named("job").next().unwrap();
    assert_eq!(attribute(span, "job_id").unwrap(), job.to_string());
    assert_eq!(attribute(span, "job_type").unwrap(), "COPY");
    assert!(attribute(span, "assignment_id").is_some());
    let resource = collected.resources.iter().next().unwrap();
    assert_eq!(collected.resources.len(), 1);
    assert_eq!(resource["service.name"], "process-tests");
    assert_eq!(resource["service.version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(resource["deployment.environment.name"], "great reef");
    assert!(!resource["service.instance.id"].is_empty());

    let said = log.iter().find(|line| line["message"] == "copied").unwrap();
    assert_eq!(said["job_id"], job.to_string(), "a handler's line");
    let of_job = log.iter().filter(|line| line["assignment_id"].is_string());
    let traces: BTreeSet<_> = of_job.map(|line| line["trace_id"].as_str()).collect();
    assert_eq!(traces, BTreeSet::from([Some(TRACE)]));
    let asked = lab
        .requests()
        .into_iter()
        .filter(|asked| asked.route == Route::Result);
    assert_eq!(asked.count(), 1);
}

#[tokio::test]
async fn each_attempt_is_a_span_even_if_isolated_and_a_failed_one_has_its_reason() {
    let (lab, receiver) = (lab().await, Receiver::start().await);
    let job = lab.submit("CRASH", json!("fail")).unwrap();
    let program = exporting(worker_for(&lab).unruly(), &receiver);
    run_jobs(&lab, &program, &[job]).await;
    assert_eq!(status(&lab, job), "FAILED");
    let collected = collected(&receiver);
    let jobs: Vec<_> = collected.named("job").collect();
    let [worker, isolated] = jobs[..] else {
        panic!("{} spans of jobs", jobs.len());
    };
    let attempt = collected.named("attempt").next().unwrap();
    assert!(worker.parent_span_id.is_empty());
    assert_eq!(attempt.parent_span_id, worker.span_id);
    assert_eq!(isolated.parent_span_id, attempt.span_id);
    assert_eq!(isolated.trace_id, worker.trace_id);
    for span in [worker, attempt] {
        let status = span.status.clone().unwrap();
        assert_eq!(
            (status.code, status.message.as_str()),
            (2, "mean: there are no depths")
        );
    }
}

#[tokio::test]
async fn a_program_gets_the_trace_in_its_environment() {
    let (lab, receiver) = (lab().await, Receiver::start().await);
    let payload =
        json!({ "does": "program", "mark": 7, "size": 0, "ms": 0, "traceparent": PARENT });
    let job = lab.submit("WORK", payload).unwrap();
    let program = exporting(worker_for(&lab).soak_worker(), &receiver);
    let log = run_jobs(&lab, &program, &[job]).await.log();
    let told = |line: &&Value| line["message"].as_str().unwrap().contains("traceparent: ");
    let told = log.iter().find(told).unwrap()["message"]
        .as_str()
        .unwrap()
        .to_owned();
    let collected = collected(&receiver);
    let attempt = hex(&collected.named("attempt").next().unwrap().span_id);
    assert!(
        told.contains(&format!("traceparent: 00-{TRACE}-{attempt}-01")),
        "{told}"
    );
}

#[tokio::test]
async fn an_invalid_traceparent_is_ignored_and_a_sampler_is_obeyed() {
    let lab = lab().await;
    for (sampler, spans) in [("always_off", 0), ("parentbased_always_on", 1)] {
        let receiver = Receiver::start().await;
        let source = format!("s3://{}/none.csv", lab.bucket());
        let payload = json!({ "source": source, "traceparent": format!("00-{TRACE}-{sampler}") });
        let job = lab.submit("COPY", payload).unwrap();
        let program = exporting(worker_for(&lab), &receiver).env("OTEL_TRACES_SAMPLER", sampler);
        run_jobs(&lab, &program, &[job]).await;
        let collected = collected(&receiver);
        assert_eq!(collected.named("job").count(), spans, "{sampler}");
        assert!(
            collected
                .named("job")
                .all(|job| job.parent_span_id.is_empty())
        );
    }
}

#[tokio::test]
async fn an_unreachable_collector_is_logged_once_and_delays_nothing() {
    let lab = lab().await;
    let (_socket, port) = closed_port();
    let job = submit_test(&lab, 7);
    let program = worker_for(&lab)
        .env(
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            format!("http://127.0.0.1:{port}"),
        )
        .env("OTEL_BSP_SCHEDULE_DELAY", "50");
    let mut worker = program.start(&[]);
    worker.logs("traces are not exported").await;
    assert_eq!(final_status(&lab, job).await, "SUCCEEDED");
    let exited = worker.stop().await;
    assert_eq!(exited.code, Some(0));
    assert_eq!(exited.stderr.matches("traces are not exported").count(), 1);
}
