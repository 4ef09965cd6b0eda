//! A scratch folder that is missing, full or blocked by a file is the worker's problem, and fails no job.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reefguide_worker::handler::Program;
use reefguide_worker::observe::health::Health;
use reefguide_worker::prelude::*;
use reefguide_worker::runtime::{RunOptions, StopReason, WorkerBuilder};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::fixture::{Fixture, Log, Running, in_time};
use crate::small_disk;

/// Several polls of a worker of the fixture's.
const POLLS: Duration = Duration::from_millis(500);

/// A worker with its scratch files in `folder`, which writes an output for each job.
fn worker(fixture: &Fixture, folder: &Path, health: &Health) -> WorkerBuilder {
    let mut options = fixture.options();
    options.scratch = folder.to_owned();
    worker_with(fixture, options, health)
}

fn worker_with(fixture: &Fixture, options: RunOptions, health: &Health) -> WorkerBuilder {
    let worker = fixture.worker().options(options).health(health.clone());
    worker.handler_fn("TEST", |_: Value, ctx: JobContext| async move {
        fs::write(ctx.scratch().join("file"), "scratch")?;
        ctx.outputs().write("output", "output").await?;
        Ok(())
    })
}

/// Waits until a started worker is not ready, and returns the reason; or until it is ready.
async fn unready(health: &Health, wanted: bool) -> String {
    in_time(async {
        loop {
            let reason = health.report().unready();
            let starts = matches!(&reason, Some(reason) if reason.starts_with("starting"));
            if reason.is_some() == wanted && !starts {
                return reason.unwrap_or_default();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
}

#[tokio::test]
async fn a_scratch_folder_that_disappears_is_made_again_for_the_next_job() {
    let fixture = Fixture::start().await;
    let folder = fixture.scratch.path().join("scratch");
    let health = Health::new(1);
    let stop = CancellationToken::new();
    let worker = worker(&fixture, &folder, &health).stop(stop.clone());
    let worker = worker.build().unwrap();
    let run = worker.scratch().to_owned();
    let ways: [&dyn Fn(); 4] = [
        &|| fs::remove_dir_all(&folder).unwrap(),
        &|| fs::remove_dir_all(&run).unwrap(),
        // Only the folders that were prepared for the next job.
        &|| {
            for entry in fs::read_dir(&run).unwrap() {
                fs::remove_dir_all(entry.unwrap().path()).unwrap();
            }
        },
        &|| {
            fs::remove_dir_all(&run).unwrap();
            fs::write(&run, "a file").unwrap();
        },
    ];
    let running = tokio::spawn(worker.run());
    for (id, way) in (0..).zip(ways) {
        let job = fixture.submit_test(id);
        assert_eq!(fixture.ended(job).await, "SUCCEEDED");
        // It waits for a job, with folders prepared.
        tokio::time::sleep(POLLS).await;
        way();
    }
    let job = fixture.submit_test(4);
    assert_eq!(fixture.ended(job).await, "SUCCEEDED");
    stop.cancel();
    assert_eq!(in_time(running).await.unwrap().jobs.failed, 0);
    let left: Vec<_> = fs::read_dir(&folder).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn while_no_scratch_folder_can_be_made_nothing_is_claimed_and_the_worker_is_not_ready() {
    let fixture = Fixture::start().await;
    let folder = fixture.scratch.path().join("scratch");
    let (health, log) = (Health::new(1), Log::new());
    let mut options = fixture.options();
    options.scratch.clone_from(&folder);
    options.idle_timeout = None;
    let worker = Running::start(worker_with(&fixture, options, &health));
    unready(&health, false).await;
    fs::remove_dir_all(&folder).unwrap();
    fs::write(&folder, "a file").unwrap();
    let reason = unready(&health, true).await;
    let expected = format!("no scratch folder can be made in {}: ", folder.display());
    assert!(reason.starts_with(&expected), "{reason}");
    let jobs = [fixture.submit_test(1), fixture.submit_test(2)];
    tokio::time::sleep(POLLS).await;
    assert_eq!(jobs.map(|job| fixture.status(job)), ["PENDING", "PENDING"]);
    fs::remove_file(&folder).unwrap();
    for job in jobs {
        assert_eq!(fixture.ended(job).await, "SUCCEEDED");
    }
    assert_eq!(health.report().unready(), None);
    worker.stop().await;
    let lines = log.lines("no job is claimed until a scratch folder can be made");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(log.lines("scratch folders can be made again").len(), 1);
}

#[tokio::test]
async fn a_worker_without_a_scratch_folder_does_not_stop_as_idle() {
    let fixture = Fixture::start().await;
    let folder = fixture.scratch.path().join("scratch");
    let health = Health::new(1);
    let mut options = fixture.options();
    options.scratch.clone_from(&folder);
    options.idle_timeout = Some(Duration::from_secs(2));
    let worker = Running::start(worker_with(&fixture, options, &health));
    unready(&health, false).await;
    fs::remove_dir_all(&folder).unwrap();
    fs::write(&folder, "a file").unwrap();
    let stopped = worker.stopped().await;
    assert!(
        matches!(stopped.reason, StopReason::NoScratch(_)),
        "{}",
        stopped.reason
    );
}

#[tokio::test]
async fn a_second_attempt_waits_for_a_scratch_folder_and_its_job_does_not_fail() {
    let fixture = Fixture::start().await;
    let folder = fixture.scratch.path().join("scratch");
    let health = Health::new(1);
    let mut options = fixture.options();
    options.scratch.clone_from(&folder);
    let spoilt = folder.clone();
    let worker = fixture.worker().options(options).health(health.clone());
    let worker = worker.handler_fn("TEST", move |_: Value, ctx: JobContext| {
        let folder = spoilt.clone();
        async move {
            if ctx.attempt() == 1 {
                fs::remove_dir_all(&folder)?;
                fs::write(&folder, "a file")?;
                return Err(JobError::retryable("not yet"));
            }
            Ok(())
        }
    });
    let worker = Running::start(worker);
    let job = fixture.submit_test(1);
    unready(&health, true).await;
    let other = fixture.submit_test(2);
    tokio::time::sleep(POLLS).await;
    assert_eq!(
        [fixture.status(job), fixture.status(other)],
        ["IN_PROGRESS", "PENDING"]
    );
    fs::remove_file(&folder).unwrap();
    assert_eq!(fixture.ended(job).await, "SUCCEEDED");
    worker.stop().await;
}

#[tokio::test]
async fn an_attempt_that_could_not_start_before_the_worker_stops_fails_with_the_reason() {
    let fixture = Fixture::start().await;
    let (health, log) = (Health::new(1), Log::new());
    let worker = fixture.worker().health(health.clone());
    let worker = worker.handler_fn("TEST", |_: Value, ctx: JobContext| async move {
        let program = Program::new("/nowhere/model");
        program.run::<_, Value>(&(), &ctx).await
    });
    let mut options = fixture.options();
    options.shutdown_grace = Duration::from_secs(2);
    let worker = Running::start(worker.options(options));
    let job = fixture.submit_test(1);
    unready(&health, true).await;
    let stopped = worker.stop().await;
    assert_eq!(
        (fixture.status(job).as_str(), stopped.jobs.failed),
        ("FAILED", 1)
    );
    let failed = log.lines("job failed");
    assert!(
        failed[0].contains("cannot start /nowhere/model"),
        "{failed:?}"
    );
    assert!(
        failed[0].contains("not tried again: the worker is shutting down"),
        "{failed:?}"
    );
}

#[tokio::test]
async fn jobs_of_a_missing_program_stay_in_the_queue_until_it_is_there() {
    let fixture = Fixture::with(reefguide_lab::Lab::builder().any_job_type()).await;
    let program = fixture.scratch.path().join("model.sh");
    let health = Health::new(4);
    let mut options = fixture.options();
    options.slots = 4;
    let path = program.clone();
    let worker = fixture.worker().options(options).health(health.clone());
    let worker = worker
        .handler_fn("MODEL", move |_: Value, ctx: JobContext| {
            let program = Program::new(&path);
            async move { program.run::<_, Value>(&(), &ctx).await }
        })
        .handler_fn("OTHER", |_: Value, _| async { Ok(()) });
    let log = Log::new();
    let worker = Running::start(worker);
    let first = fixture.submit("MODEL", json!({}));
    in_time(async {
        while log.lines("attempt cannot start").is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let next = fixture.submit("MODEL", json!({ "next": true }));
    let other = fixture.submit("OTHER", json!({}));
    assert_eq!(
        fixture.ended(other).await,
        "SUCCEEDED",
        "it needs no program"
    );
    tokio::time::sleep(POLLS).await;
    assert_eq!(
        [fixture.status(first), fixture.status(next)],
        ["IN_PROGRESS", "PENDING"],
        "{:#?}",
        log.lines("")
    );
    assert_eq!(health.report().unready(), None, "others are claimed");
    fs::write(&program, "#!/bin/sh\n").unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&program, executable).unwrap();
    assert_eq!(fixture.ended(first).await, "SUCCEEDED");
    assert_eq!(fixture.ended(next).await, "SUCCEEDED");
    worker.stop().await;
}

#[tokio::test]
async fn a_job_whose_outputs_were_removed_while_it_ran_does_not_succeed() {
    let fixture = Fixture::start().await;
    let worker = fixture.worker();
    let worker = worker.handler_fn("TEST", |_: Value, ctx: JobContext| async move {
        ctx.outputs().write("output", "output").await?;
        if ctx.attempt() == 1 {
            let run = ctx.scratch().ancestors().nth(2).unwrap();
            fs::remove_dir_all(run)?;
        }
        Ok(())
    });
    let worker = Running::start(worker);
    let job = fixture.submit_test(1);
    assert_eq!(fixture.ended(job).await, "SUCCEEDED");
    worker.stop().await;
    assert_eq!(fixture.outputs(job).await, ["output"]);
}

#[tokio::test]
async fn a_handler_may_remove_its_own_scratch_files() {
    let fixture = Fixture::start().await;
    let worker = fixture.worker();
    let worker = worker.handler_fn("TEST", |_: Value, ctx: JobContext| async move {
        assert_eq!(ctx.attempt(), 1);
        fs::remove_dir_all(ctx.scratch())?;
        Ok(())
    });
    let worker = Running::start(worker);
    let job = fixture.submit_test(1);
    assert_eq!(fixture.ended(job).await, "SUCCEEDED");
    worker.stop().await;
    assert!(fixture.scratch_is_empty());
}

/// The mount point of a small file system, and the file that fills it.
const SMALL: &str = "RUNTIME_SCRATCH_SMALL";

/// Runs in a process with a small disk, or one with few inodes.
#[tokio::test]
async fn child_on_a_small_disk() {
    let Ok(given) = std::env::var(SMALL) else {
        return;
    };
    let (fill, folder) = given.split_once(' ').unwrap();
    let folder = PathBuf::from(folder);
    let fixture = Fixture::start().await;
    let health = Health::new(1);
    let mut options = fixture.options();
    options.scratch = folder.join("scratch");
    options.idle_timeout = None;
    // A full disk at the start is not a wrong setting.
    if fill != "nothing" {
        spoil(fill, &folder);
    }
    let worker = Running::start(worker_with(&fixture, options, &health));
    let expected = match fill {
        "nothing" => "Read-only file system",
        _ => "No space left on device",
    };
    for round in 0..2 {
        spoil(fill, &folder);
        let reason = unready(&health, true).await;
        let job = fixture.submit_test(round);
        assert!(reason.contains(expected), "{reason}");
        tokio::time::sleep(POLLS).await;
        assert_eq!(fixture.status(job), "PENDING");
        mend(fill, &folder);
        assert_eq!(fixture.ended(job).await, "SUCCEEDED");
        unready(&health, false).await;
    }
    worker.stop().await;
}

fn mount(options: &str, folder: &Path) {
    let mut mount = std::process::Command::new("mount");
    let mounted = mount.args(["-o", options]).arg(folder).status();
    assert!(mounted.unwrap().success());
}

fn mend(with: &str, folder: &Path) {
    match with {
        "nothing" => mount("remount,rw", folder),
        _ => fs::remove_dir_all(folder.join("full")).unwrap(),
    }
}

/// Fills a disk, or makes it read-only.
fn spoil(with: &str, folder: &Path) {
    if with == "nothing" {
        return mount("remount,ro", folder);
    }
    let folder = folder.join("full");
    fs::create_dir_all(&folder).unwrap();
    for number in 0.. {
        let file = folder.join(number.to_string());
        let written = match with {
            "bytes" => fs::write(file, vec![1; 4096]),
            _ => fs::File::create(file).map(drop),
        };
        if written.is_err() {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_run_once_a_full_or_read_only_disk_or_one_without_inodes_is_usable_again() {
    for (fill, size) in [
        ("bytes", "2m"),
        ("files", "2m,nr_inodes=40"),
        ("nothing", "2m"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let given = format!("{fill} {}", folder.path().display());
        let test = "scratch::child_on_a_small_disk";
        let run = || small_disk::run_with(size, folder.path(), test, (SMALL, &given));
        if !tokio::task::block_in_place(run) {
            return;
        }
    }
}

/// Set for the process with a low limit of open files.
const FEW_FILES: &str = "RUNTIME_SCRATCH_FEW_FILES";

/// Runs in a process that can open few files, and starts a program when they are all open.
#[tokio::test]
async fn child_with_few_files() {
    use rustix::process::{Resource, Rlimit, setrlimit};

    if std::env::var_os(FEW_FILES).is_none() {
        return;
    }
    let few = Rlimit {
        current: Some(100),
        maximum: Some(100),
    };
    setrlimit(Resource::Nofile, few).unwrap();
    let fixture = Fixture::start().await;
    let job = fixture.submit_test(1);
    let again = std::sync::atomic::AtomicBool::new(false);
    let worker = fixture.worker();
    let worker = worker.handler_fn("TEST", move |_: Value, ctx: JobContext| {
        let first = !again.swap(true, std::sync::atomic::Ordering::Relaxed);
        async move {
            let open = || fs::File::open("/dev/null").ok();
            let held: Vec<_> = std::iter::from_fn(|| open().filter(|_| first)).collect();
            let program = Program::new("true");
            let done = program.run::<_, Value>(&(), &ctx).await;
            drop(held);
            done
        }
    });
    let log = Log::new();
    let worker = Running::start(worker);
    assert_eq!(fixture.ended(job).await, "SUCCEEDED");
    worker.stop().await;
    let lines = log.lines("attempt cannot start");
    assert!(lines[0].contains("Too many open files"), "{lines:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_is_started_once_files_can_be_opened_again() {
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", "scratch::child_with_few_files"])
        .env(FEW_FILES, "1");
    let ended = tokio::task::block_in_place(|| child.output()).unwrap();
    assert!(ended.status.success(), "{ended:?}");
}

/// The folder for the scratch files of an unprivileged worker.
const UNPRIVILEGED: &str = "RUNTIME_SCRATCH_UNPRIVILEGED";

/// Runs as an unprivileged user, to whom permissions matter.
#[tokio::test]
async fn child_without_rights() {
    let Ok(folder) = std::env::var(UNPRIVILEGED) else {
        return;
    };
    let fixture = Fixture::start().await;
    let (health, log) = (Health::new(1), Log::new());
    let mut options = fixture.options();
    options.scratch = PathBuf::from(folder);
    let worker = fixture.worker().options(options).health(health.clone());
    let worker = worker.handler_fn("TEST", |_: Value, ctx: JobContext| async move {
        let script = "mkdir -p $JOB_SCRATCH/a/b $JOB_OUTPUT_DIR/c; touch $JOB_SCRATCH/a/b/file $JOB_OUTPUT_DIR/c/file; \
                      chmod 0 $JOB_SCRATCH/a/b; chmod 555 $JOB_SCRATCH/a $JOB_OUTPUT_DIR/c $JOB_SCRATCH/..; \
                      chmod 500 $JOB_SCRATCH/../..";
        let program = Program::new("sh").args(["-c", script]);
        program.run::<_, Value>(&(), &ctx).await
    });
    let worker = Running::start(worker);
    for id in 0..2 {
        let job = fixture.submit_test(id);
        assert_eq!(fixture.ended(job).await, "SUCCEEDED");
    }
    worker.stop().await;
    assert_eq!(log.lines("scratch files not removed"), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_that_a_job_made_read_only_are_removed_by_a_user_without_rights() {
    use std::os::unix::process::CommandExt;

    const NOBODY: u32 = 65534;
    let folder = tempfile::tempdir().unwrap();
    let scratch = folder.path().join("scratch");
    fs::create_dir(&scratch).unwrap();
    let open = |path: &Path| {
        let all = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        fs::set_permissions(path, all).unwrap();
    };
    open(folder.path());
    open(&scratch);
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", "scratch::child_without_rights"])
        .env(UNPRIVILEGED, &scratch)
        .env("TMPDIR", folder.path())
        .current_dir(folder.path());
    // Permissions do not apply to root; other users are unprivileged already.
    if rustix::process::geteuid().is_root() {
        child.uid(NOBODY).gid(NOBODY);
    }
    let ended = match tokio::task::block_in_place(|| child.output()) {
        Err(error) => {
            eprintln!("not tried: another user cannot run this program: {error}");
            return;
        }
        ended => ended.unwrap(),
    };
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(fs::read_dir(&scratch).unwrap().count(), 0);
}
