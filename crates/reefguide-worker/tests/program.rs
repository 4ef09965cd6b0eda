//! A handler's work done by a program, here the shell.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod witness;

use std::fs::File;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reefguide_worker::app::telemetry::{LogFormat, TelemetryOptions, subscriber};
use reefguide_worker::handler::WithheldVariables;
use reefguide_worker::prelude::*;
use reefguide_worker::testing::{Finished, Harness};
#[cfg(target_os = "linux")]
use rustix::process::Pid;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use witness::Witness;

/// No test waits longer than this for anything; it says so instead of hanging.
const PATIENCE: Duration = Duration::from_secs(60);

async fn in_time<F: Future>(waiting: F) -> F::Output {
    tokio::time::timeout(PATIENCE, waiting).await.unwrap()
}

fn sh(script: &str) -> Program {
    Program::new("sh").args(["-c", script])
}

/// A handler that runs a program on its payload.
fn harness(program: Program) -> Harness {
    harness_for::<Value>(program)
}

fn harness_for<O>(program: Program) -> Harness
where
    O: serde::de::DeserializeOwned + Serialize + JsonSchema + Send + 'static,
{
    Harness::handler_fn("CORAL", move |input: Value, ctx: JobContext| {
        let program = program.clone();
        async move { program.run::<_, O>(&input, &ctx).await }
    })
}

async fn run(script: &str) -> Result<Finished, JobError> {
    in_time(harness(sh(script)).run(json!({ "reef": 7 }))).await
}

async fn fails(script: &str) -> JobError {
    run(script).await.unwrap_err()
}

/// Log lines, kept.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// What a script's run logs, in the span of a job.
    async fn of(script: &str) -> Self {
        let log = Self::default();
        let (format, filter) = (LogFormat::Json, "info".to_owned());
        let options = TelemetryOptions {
            format,
            filter,
            ..TelemetryOptions::default()
        };
        let writer = log.clone();
        let subscriber = subscriber(&options, move || writer.clone(), false).unwrap();
        // For this thread, which is the only one of a test's runtime.
        let _logging = tracing::subscriber::set_default(subscriber);
        let span = tracing::info_span!("job", job_id = 12);
        let harness = harness(sh(script));
        in_time(harness.run(json!({})).instrument(span))
            .await
            .unwrap();
        log
    }

    fn entries(&self) -> Vec<Value> {
        let log = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let lines = log.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The messages of one stream.
    fn lines(&self, stream: &str) -> Vec<String> {
        let entries = self.entries();
        let of_stream = entries.iter().filter(|entry| entry["stream"] == stream);
        of_stream
            .map(|entry| entry["message"].as_str().unwrap().to_owned())
            .collect()
    }
}

#[tokio::test]
async fn the_payload_is_on_stdin_and_in_a_file() {
    let script = r#"printf '{"stdin":%s,"file":%s}' "$(cat)" "$(cat "$JOB_INPUT")" >"$JOB_RESULT""#;
    let finished = run(script).await.unwrap();
    let payload = json!({ "reef": 7 });
    assert_eq!(
        finished.result(),
        &json!({ "stdin": payload, "file": payload })
    );
}

#[tokio::test]
async fn a_large_payload_need_not_be_read() {
    let payload = "x".repeat(8 << 20);
    let harness = harness(sh("exec <&-; echo 1 >\"$JOB_RESULT\""));
    let finished = in_time(harness.run(&payload)).await.unwrap();
    assert_eq!(finished.result(), &json!(1));
}

#[tokio::test]
async fn it_runs_in_an_empty_folder_and_knows_its_job() {
    let script = r#"
        [ -z "$(ls -A)" ] || exit 1
        [ -d "$TMPDIR" ] && [ "$TMPDIR" = "$JOB_SCRATCH" ] || exit 2
        case "$PWD" in "$JOB_SCRATCH"/*) ;; *) exit 3 ;; esac
        printf '"%s %s %s %s %s"' "$JOB_ID" "$JOB_TYPE" "$JOB_ATTEMPT" "$JOB_ASSIGNMENT_ID" \
            "${JOB_DEADLINE_SECONDS-never}" >"$JOB_RESULT"
    "#;
    let finished = run(script).await.unwrap();
    assert_eq!(finished.result(), "1 CORAL 1 1 never");

    let limited = harness(sh(script)).time_limit(Duration::from_secs(1_000));
    let finished = in_time(limited.run(json!({}))).await.unwrap();
    assert_eq!(finished.result(), "1 CORAL 1 1 999");
}

#[tokio::test]
async fn what_it_leaves_in_the_output_folder_is_an_output() {
    let script = r#"cd "$JOB_OUTPUT_DIR" && echo a >a.txt && mkdir maps && echo b >maps/b.txt"#;
    let finished = run(script).await.unwrap();
    assert_eq!(finished.output("a.txt").unwrap(), b"a\n");
    assert_eq!(finished.output("maps/b.txt").unwrap(), b"b\n");
    assert_eq!(finished.result(), &json!({}));
}

#[tokio::test]
async fn an_output_that_cannot_be_published_fails_the_job() {
    let error = fails(r#"ln -s /etc/hostname "$JOB_OUTPUT_DIR/link""#).await;
    assert!(
        error.to_string().contains("link is a symbolic link"),
        "{error}"
    );
}

#[tokio::test]
async fn a_result_may_begin_with_a_byte_order_mark() {
    let script = r#"printf '\357\273\277{"reef": 7}\r\n' >"$JOB_RESULT""#;
    assert_eq!(run(script).await.unwrap().result(), &json!({ "reef": 7 }));
}

#[derive(Debug, Deserialize, Serialize, JsonSchema)]
struct Counts {
    corals: Vec<u32>,
}

#[tokio::test]
async fn the_result_is_read_as_the_handlers_output() {
    let harness = harness_for::<Counts>(sh(r#"echo '{"corals":[1,2]}' >"$JOB_RESULT""#));
    let finished = in_time(harness.run(json!({}))).await.unwrap();
    assert_eq!(finished.result(), &json!({ "corals": [1, 2] }));

    let nothing = harness_for::<()>(sh("exit 0"));
    in_time(nothing.run(json!({}))).await.unwrap();
}

#[tokio::test]
async fn an_input_with_a_float_that_json_does_not_have_is_named() {
    let harness = Harness::handler_fn("CORAL", |_: Value, ctx: JobContext| async move {
        sh("cat").run::<_, ()>(&[1.0, f64::INFINITY], &ctx).await
    });
    let error = in_time(harness.run(json!({}))).await.unwrap_err();
    insta::assert_snapshot!(error, @"input of sh at `[1]` is inf, which JSON does not have: use an `Option`");
}

#[tokio::test]
async fn a_result_that_is_wrong_fails_the_job_with_the_place() {
    let mut said = Vec::new();
    for script in [
        "exit 0",
        r#"echo '{"corals":[1,"two"]}' >"$JOB_RESULT""#,
        r#"echo '{"corals":[NaN]}' >"$JOB_RESULT""#,
        r#": >"$JOB_RESULT""#,
        r#"printf '{\0"\0c\0' >"$JOB_RESULT""#,
        r#"mkdir "$JOB_RESULT""#,
        r#"head -c 17000000 /dev/zero >"$JOB_RESULT""#,
    ] {
        let error = in_time(harness_for::<Counts>(sh(script)).run(json!({}))).await;
        said.push(format!("{script}\n    {:?}", error.unwrap_err()));
    }
    insta::assert_snapshot!(said.join("\n"));
}

#[tokio::test]
async fn the_exit_code_decides_and_the_error_quotes_the_last_of_stderr() {
    let mut said = Vec::new();
    for script in [
        "echo 'reading tiles' >&2; echo 'no tile 7' >&2; exit 3",
        "echo 'licence server busy' >&2; exit 75",
        "echo only on stdout; exit 1",
        "ulimit -c 0; kill -SEGV $$",
        "echo 'loading model' >&2; kill -KILL $$",
        "exit 137",
        "seq 100 >&2; exit 4",
    ] {
        said.push(format!("{script}\n    {:?}", fails(script).await));
    }
    insta::assert_snapshot!(said.join("\n"));
}

#[tokio::test]
async fn an_error_stays_short_whatever_is_on_stderr() {
    let error = fails("head -c 1000000 /dev/zero | tr '\\0' e >&2; exit 1").await;
    let length = error.to_string().len();
    assert!((500..3_000).contains(&length), "{length}");
}

/// A script in a folder. A process of its own writes it, since a program that is open for writing cannot be started.
fn script(folder: &Path, name: &str, text: &str) -> PathBuf {
    let file = folder.join(name);
    let written = std::process::Command::new("sh")
        .args(["-c", "printf \"$0\" >\"$1\" && chmod 755 \"$1\"", text])
        .arg(&file)
        .status();
    assert!(written.unwrap().success());
    file
}

/// Why programs fail, without what differs from run to run and from machine to machine.
async fn failures(folder: &Path, programs: impl IntoIterator<Item = PathBuf>) -> String {
    let mut said = Vec::new();
    for program in programs {
        let error = in_time(harness(Program::new(program)).run(json!({}))).await;
        said.push(format!("{:?}", error.unwrap_err()));
    }
    said.join("\n")
        .replace(folder.to_str().unwrap(), "[folder]")
}

/// What shells and `env` write, and the folders of `PATH`.
const MACHINE: [(&str, &str); 2] = [
    (r"not found in [^;]*;", "not found in [folders];"),
    (r"(exit code \d+): [^;]*;", "$1: […];"),
];

#[tokio::test]
async fn a_program_that_cannot_be_started_is_named_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let plain = path.join("plain.R");
    std::fs::write(&plain, "1 + 1").unwrap();
    symlink("nowhere", path.join("dangling")).unwrap();
    let programs = [
        Path::new("no-such-program").to_owned(),
        "no-such-folder/no-such-program".into(),
        path.join("none"),
        "".into(),
        path.to_owned(),
        path.join("dangling"),
        plain.join("below"),
        plain,
    ];
    let said = failures(folder.path(), programs).await;
    insta::with_settings!({ filters => MACHINE.to_vec(), omit_expression => true }, {
        insta::assert_snapshot!(said);
    });
}

#[tokio::test]
async fn what_keeps_a_script_from_being_started_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name, text| script(folder.path(), name, text);
    let programs = [
        file("missing.py", "#!/usr/bin/python9 -u\\n"),
        file("relative.py", "#! python3\\n"),
        file("folder.sh", "#!/tmp\\n"),
        file("nothing.sh", "#!\\n"),
        file("windows.sh", "#!/bin/sh\\r\\nexit 0\\r\\n"),
        file("windows-argument.sh", "#!/bin/sh -e\\r\\nexit 0\\r\\n"),
        file(
            "windows-env.py",
            "#!/usr/bin/env python3\\r\\nexit(0)\\r\\n",
        ),
        file("env.py", "#!/usr/bin/env python9\\n"),
        file("split.py", "#!/usr/bin/env -S A=1 python9 -u\\n"),
        file("marked.sh", "\\357\\273\\277#!/bin/sh\\n"),
        file("unnamed.sh", "exit 0\\n"),
        file("empty", ""),
        file("elsewhere", "\\177ELF\\1\\2\\1aaaaaaaaaaaaaaaaa"),
    ];
    let said = failures(folder.path(), programs).await;
    insta::with_settings!({ filters => MACHINE.to_vec(), omit_expression => true }, {
        insta::assert_snapshot!(said);
    });
}

#[tokio::test]
async fn a_script_that_fails_by_itself_is_given_no_other_reason() {
    let folder = tempfile::tempdir().unwrap();
    let file = script(folder.path(), "fails", "#!/usr/bin/env sh\\nexit 127\\n");
    let said = failures(folder.path(), [file]).await;
    assert!(
        said.ends_with("exit code 127; it wrote nothing to stderr)"),
        "{said}"
    );
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_program_that_is_being_written_can_be_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = script(folder.path(), "busy", "#!/bin/sh\\n");
    let _open = File::options().write(true).open(&file).unwrap();
    let error = in_time(harness(Program::new(file)).run(json!({})))
        .await
        .unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
}

/// Runs `program`, found by the `PATH` that it is given.
async fn run_in_path(program: &Path, path: &str) -> String {
    let program = Program::new(program)
        .args([
            "-c",
            "printf '\"%s %s\"' \"$0\" \"$(command -v found)\" >\"$JOB_RESULT\"",
        ])
        .env("PATH", path);
    let finished = in_time(harness(program).run(json!({}))).await.unwrap();
    finished.result().as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_relative_folder_of_path_is_the_workers_also_for_the_program() {
    // Tests run in the folder of their crate.
    let folder = tempfile::tempdir_in("tests").unwrap();
    symlink("/bin/sh", folder.path().join("found")).unwrap();
    let absolute = std::path::absolute(folder.path()).unwrap();
    let relative = Path::new("tests").join(folder.path().file_name().unwrap());
    let path = format!("{}:/usr/bin:/bin", relative.display());
    let seen = run_in_path(Path::new("found"), &path).await;
    assert_eq!(seen, format!("found {}/found", absolute.display()));
}

#[tokio::test]
async fn a_path_may_go_on_from_a_folder_of_path() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("tools")).unwrap();
    symlink("/bin/sh", folder.path().join("tools/sh")).unwrap();
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    let seen = run_in_path(Path::new("tools/sh"), &path).await;
    assert_eq!(seen, format!("{}/tools/sh ", folder.path().display()));
}

#[tokio::test]
async fn a_program_may_lie_beside_the_worker() {
    let own = std::env::current_exe().unwrap();
    let folder = tempfile::tempdir_in(own.parent().unwrap()).unwrap();
    let file = folder.path().join("sh");
    symlink("/bin/sh", &file).unwrap();
    let relative = Path::new(folder.path().file_name().unwrap()).join("sh");
    let seen = run_in_path(&relative, "/usr/bin:/bin").await;
    assert_eq!(seen, format!("{} ", file.display()));

    let name = folder.path().with_extension("program");
    symlink("/bin/sh", &name).unwrap();
    let seen = run_in_path(Path::new(name.file_name().unwrap()), "/usr/bin:/bin").await;
    std::fs::remove_file(&name).unwrap();
    assert_eq!(seen, format!("{} ", name.display()));
}

#[tokio::test]
async fn what_cannot_be_executed_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("a/sh")).unwrap();
    std::fs::create_dir(folder.path().join("b")).unwrap();
    std::fs::write(folder.path().join("b/sh"), "").unwrap();
    let path = folder.path().display();
    let seen = run_in_path(Path::new("sh"), &format!("{path}/a:{path}/b:/usr/bin:/bin")).await;
    assert_eq!(seen, "sh ");
}

#[tokio::test]
async fn a_relative_path_is_that_of_a_program_in_the_workers_folder() {
    // Tests run in the folder of their crate.
    let folder = tempfile::tempdir_in("tests").unwrap();
    let file = folder.path().join("program");
    std::os::unix::fs::symlink("/bin/sh", &file).unwrap();
    let program = Path::new("tests").join(folder.path().file_name().unwrap());
    let program = Program::new(program.join("program")).args(["-c", "exit 0"]);
    in_time(harness(program).run(json!({}))).await.unwrap();
}

#[tokio::test]
async fn lines_are_logged_as_they_are_written_with_their_stream_and_job() {
    let log = Log::of("echo one; printf 'two\\r\\n\\nthree'; echo 'to \"stderr\"' >&2").await;
    assert_eq!(log.lines("stdout"), ["one", "two", "three"]);
    assert_eq!(log.lines("stderr"), ["to \"stderr\""]);
    for entry in log.entries() {
        assert_eq!(entry["job_id"], 12, "{entry}");
        assert_eq!(entry["level"], "INFO", "{entry}");
    }
}

#[tokio::test]
async fn of_a_progress_bar_its_last_state_is_logged() {
    let log = Log::of("printf ' 10 %%\\r 50 %%\\r100 %%\\n'; printf ' 5 %%\\r' >&2").await;
    assert_eq!(log.lines("stdout"), ["100 %"]);
    assert_eq!(log.lines("stderr"), [" 5 %"]);
}

#[tokio::test]
async fn lines_need_not_be_utf_8() {
    let log = Log::of("printf 'caf\\351 d\\303\\251j\\303\\240\\n'").await;
    assert_eq!(log.lines("stdout"), ["caf\u{fffd} déjà"]);
}

#[tokio::test]
async fn an_endless_line_is_logged_in_pieces() {
    let log = Log::of("head -c 50000000 /dev/zero | tr '\\0' x").await;
    let pieces = log.lines("stdout");
    assert_eq!(pieces.iter().map(String::len).sum::<usize>(), 50_000_000);
    assert!(pieces.iter().all(|piece| piece.len() <= 8 << 10));
}

#[tokio::test]
async fn a_line_is_not_cut_within_a_character() {
    let log = Log::of("printf x; yes é | head -n 20000 | tr -d '\\n'").await;
    let pieces = log.lines("stdout");
    assert!(pieces.len() > 3, "{}", pieces.len());
    assert_eq!(pieces.concat(), format!("x{}", "é".repeat(20_000)));
}

#[tokio::test]
async fn withheld_variables_are_not_inherited_unless_they_are_given() {
    // Cargo sets both for a test.
    let script = r#"echo "\"${CARGO_PKG_NAME-none} ${CARGO_PKG_VERSION-none}\"" >"$JOB_RESULT""#;
    let version = env!("CARGO_PKG_VERSION");
    let ran = async |program| {
        let withheld = WithheldVariables::from_iter(["CARGO_PKG_NAME"]);
        let harness = harness(program).extension(withheld);
        in_time(harness.run(json!({})))
            .await
            .unwrap()
            .result()
            .clone()
    };
    assert_eq!(ran(sh(script)).await, format!("none {version}"));
    let given = sh(script).env("CARGO_PKG_NAME", "given");
    assert!(!format!("{given:?}").contains("\"given\""));
    assert_eq!(ran(given).await, format!("given {version}"));
}

/// Runs a program, and cancels it as a shutdown would once it has said something. Returns its error,
/// unless it was dropped before it had one, and what it said then.
async fn cancelled(script: &str) -> (Option<String>, Vec<String>) {
    let mut witness = Witness::new();
    let program = witness.watch(script);
    let stop = CancellationToken::new();
    let (sender, error) = oneshot::channel();
    let sender = Arc::new(Mutex::new(Some(sender)));
    let harness = Harness::handler_fn("CORAL", move |input: Value, ctx: JobContext| {
        let (program, sender) = (program.clone(), sender.clone());
        async move {
            let error = program.run::<_, Value>(&input, &ctx).await.unwrap_err();
            let sender = sender.lock().unwrap().take().unwrap();
            sender.send(error.to_string()).unwrap();
            Err::<(), _>(error)
        }
    });
    let harness = harness.cancellation(stop.clone());
    let run = tokio::spawn(async move { harness.run(json!({})).await });
    assert_eq!(witness.says().await, "begun");
    stop.cancel();
    let ended = in_time(run).await.unwrap().unwrap_err().to_string();
    assert_eq!(ended, "cancelled: the worker is shutting down");
    (error.await.ok(), witness.gone().await)
}

#[tokio::test]
async fn a_cancelled_program_may_tidy_up() {
    let script = "trap 'echo tidy >&9; exit 1' TERM; echo begun >&9; sleep 600 & wait";
    let (error, said) = cancelled(script).await;
    assert_eq!(error.unwrap(), "cancelled");
    assert_eq!(said, ["tidy"]);
}

#[tokio::test]
async fn a_cancelled_program_that_ignores_it_is_killed_with_all_it_started() {
    let script = "trap '' TERM; (trap '' TERM; sleep 600) & echo begun >&9; sleep 600";
    let (error, said) = cancelled(script).await;
    assert_eq!(error.unwrap(), "cancelled");
    assert!(said.is_empty(), "{said:?}");
}

#[tokio::test]
async fn a_dropped_run_kills_the_program_with_all_it_started() {
    let mut witness = Witness::new();
    let script = "trap 'echo asked >&9' TERM; sleep 600 & echo begun >&9; sleep 600";
    let program = witness.watch(script);
    let drop_it = CancellationToken::new();
    let dropped = drop_it.clone();
    let harness = Harness::handler_fn("CORAL", move |input: Value, ctx: JobContext| {
        let (program, dropped) = (program.clone(), dropped.clone());
        async move {
            let run = program.run::<_, Value>(&input, &ctx);
            Ok(dropped.run_until_cancelled(run).await.is_none())
        }
    });
    let run = tokio::spawn(async move { harness.run(json!({})).await });
    assert_eq!(witness.says().await, "begun");
    drop_it.cancel();
    assert_eq!(in_time(run).await.unwrap().unwrap().result(), true);
    let said = witness.gone().await;
    assert!(said.is_empty(), "{said:?}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_a_program_leaves_running_is_killed_and_reaped() {
    // As in a container whose first process the worker is: orphans become its children.
    rustix::process::set_child_subreaper(Some(Pid::INIT)).unwrap();
    let witness = Witness::new();
    let script = "sleep 600 & echo $! >\"$JOB_RESULT\"; echo last";
    let finished = in_time(harness(witness.watch(script)).run(json!({})))
        .await
        .unwrap();
    witness.gone().await;
    assert!(!Path::new(&format!("/proc/{}", finished.result())).exists());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_process_that_left_the_group_does_not_hold_up_the_job() {
    let witness = Witness::new();
    let script = r#"
        setsid sh -c 'echo $$ >"$JOB_RESULT"; exec sleep 600' &
        until [ -s "$JOB_RESULT" ]; do sleep 0.01; done
    "#;
    let harness = harness(witness.watch(script));
    let finished = in_time(harness.run(json!({}))).await.unwrap();
    let left = finished.result().as_i64().unwrap();
    let left = Pid::from_raw(left.try_into().unwrap()).unwrap();
    rustix::process::kill_process(left, rustix::process::Signal::KILL).unwrap();
    witness.gone().await;
}
