//! The programs that handlers run cannot read the worker's secrets.

use reefguide_worker::app::config::Config;
use serde_json::json;

use crate::fixture::{final_status, free_port, lab, worker_for};
use crate::program::Program;

const SECRET: &str = "correct-horse-battery";

/// Lists what a program can read of other processes: of its parent, and of any process that has the secret.
const SNOOP: &str = r#"
    own() { true </proc/$$/environ && grep -q JOB_ID /proc/$$/environ && echo own; }
    parents() {
        for file in environ mem maps auxv; do true <"/proc/$PPID/$file" && echo "$file"; done
        for folder in fd cwd/; do ls "/proc/$PPID/$folder" >&2 && echo "$folder"; done
        grep -ls "KEYWORD" /proc/[0-9]*/environ /proc/[0-9]*/task/*/environ
    }
    { own; parents; } 2>/dev/null | tr '\n' ' ' | sed 's/.*/"&"/' >"$JOB_RESULT"
"#;

/// A program whose every secret is [`SECRET`].
fn with_secrets(program: Program) -> Program {
    let secrets = Config::variables()
        .iter()
        .filter(|variable| variable.secret);
    let names = secrets.map(|variable| variable.name);
    let program = names
        // Their values need a certain form.
        .filter(|name| !["OTEL_EXPORTER_OTLP_HEADERS", "SENTRY_DSN"].contains(name))
        .fold(program, |program, name| program.secret(name, SECRET));
    program
        .env("AWS_ACCESS_KEY_ID", "key")
        .env("MINIO_USERNAME", "minio")
        .secret("OTEL_EXPORTER_OTLP_HEADERS", &format!("key={SECRET}"))
        .secret("SENTRY_DSN", &format!("https://{SECRET}@localhost/1"))
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_program_sees_nothing_of_the_process_that_has_the_secrets() {
    let script = SNOOP.replace("KEYWORD", SECRET);
    for job_type in ["PLAIN", "CRASH"] {
        let program = with_secrets(Program::bare()).unruly().unprivileged();
        let program = program.file("job.json", &json!({ "script": script }).to_string());
        let line = format!("handle {job_type} --input job.json --output-dir out");
        let exited = program.run_line(&line).await;
        assert_eq!(exited.code, Some(0), "{}", exited.shown());
        assert_eq!(exited.stdout, "\"own \"\n", "{job_type}");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_unprivileged_worker_runs_and_measures_itself_and_its_programs_see_no_secret() {
    let lab = lab().await;
    // No other test's worker has this one.
    let secret = format!("{SECRET}-of-a-run");
    let script = SNOOP.replace("KEYWORD", &secret);
    let jobs = ["PLAIN", "CRASH"].map(|job_type| {
        let does = json!({ "script": script });
        (job_type, lab.submit(job_type, does).unwrap())
    });
    let port = free_port();
    let program = worker_for(&lab)
        .unruly()
        .unprivileged()
        .secret("AWS_SESSION_TOKEN", &secret)
        .env("PORT", port.to_string());
    let worker = program.start(&[]);
    for (job_type, job) in jobs {
        assert_eq!(final_status(&lab, job).await, "SUCCEEDED", "{job_type}");
        let seen = &lab.job(job).unwrap()["assignments"][0]["result"]["result_payload"];
        assert_eq!(seen, "own ", "{job_type}");
    }
    let metrics = format!("http://127.0.0.1:{port}/metrics");
    let metrics = reqwest::get(metrics).await.unwrap().text().await.unwrap();
    for name in ["open_fds", "resident_memory_bytes", "cpu_seconds_total"] {
        assert!(metrics.contains(&format!("\nprocess_{name} ")), "{metrics}");
    }
    assert_eq!(worker.stop().await.code, Some(0));
}
