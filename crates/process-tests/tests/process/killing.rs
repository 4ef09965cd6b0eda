//! Workers that are killed at random moments, and what becomes of their jobs.

use std::time::Duration;

use fastrand::Rng;
use process_tests::work::{Does, WORK, Work};
use reefguide_lab::{JobTypeSpec, Lab};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::pipe::Pipe;
use crate::program::{Program, in_time};
use crate::rig::{ended, lab, send, status, submit_test, worker_for};

const JOBS: usize = 40;
const WORKERS: usize = 3;
const KILLS: usize = 12;
/// It takes some three seconds.
const SETTLED_WITHIN: Duration = Duration::from_secs(30);

fn worker(lab: &Lab) -> Program {
    worker_for(lab)
        .soak_worker()
        .env("MAX_CONCURRENT_JOBS", "3")
        // A killed worker counts as dead after five of these.
        .env("RECORD_INTERVAL_MS", "300")
}

fn outputs(job: &Value) -> reefguide_lab::Outputs {
    let work: Work = serde_json::from_value(job["input_payload"].clone()).unwrap();
    work.outputs()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_whose_worker_was_killed_at_whatever_moment_comes_to_one_end() {
    let seed =
        std::env::var("KILL_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    eprintln!("replay with KILL_SEED={seed}");
    let mut rng = Rng::with_seed(seed);
    let spec = JobTypeSpec::new(WORK);
    let lab = Lab::builder().login_limit(1_000).job_type(spec).start();
    let lab = in_time(lab).await.unwrap();
    let mut jobs = Vec::new();
    for nth in 0..JOBS {
        let does = if nth % 4 == 0 {
            Does::Fail
        } else {
            Does::Succeed
        };
        let takes = rng.u64(..400);
        let work = Work::new(does, &mut rng).taking(takes);
        jobs.push(
            lab.submit(WORK, serde_json::to_value(work).unwrap())
                .unwrap(),
        );
    }

    let programs: Vec<_> = (0..WORKERS).map(|_| worker(&lab)).collect();
    let mut running: Vec<_> = programs.iter().map(|program| program.start(&[])).collect();
    for _ in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(rng.u64(50..500))).await;
        let nth = rng.usize(..WORKERS);
        let killed = std::mem::replace(&mut running[nth], programs[nth].start(&[]));
        killed.kill().await;
    }
    let ended = |id: &i64| !matches!(status(&lab, *id).as_str(), "PENDING" | "IN_PROGRESS");
    let audit = || lab.audit(outputs).unwrap();
    // Records of claims that came to nothing take as long as any to look dead.
    let settled = lab.wait_until(|_| jobs.iter().all(ended) && audit().is_empty());
    // If that never comes, the audit says what is wrong.
    let _ = timeout(SETTLED_WITHIN, settled).await;
    for worker in running {
        worker.kill().await;
    }
    let violations = audit();
    assert!(violations.is_empty(), "{violations:#?}");
    assert!(jobs.iter().all(ended), "there is still a job to be done");
    let succeeded = jobs.iter().filter(|id| status(&lab, **id) == "SUCCEEDED");
    assert!(succeeded.count() > JOBS / 4, "hardly any job was done");
}

#[tokio::test]
async fn the_programs_of_a_killed_worker_end_with_all_that_they_started() {
    for job_type in ["PLAIN", "CRASH"] {
        for does in ["wait", "stubborn"] {
            let lab = lab().await;
            let mut pipe = Pipe::new();
            lab.submit(job_type, json!({ does: { "pipe": pipe.path } }))
                .unwrap();
            let program = worker_for(&lab).unruly();
            let worker = program.start(&[]);
            if does == "wait" {
                pipe.says("waiting").await;
            }
            pipe.says("running").await;
            worker.kill().await;
            pipe.let_go().await;
        }
    }
}

#[tokio::test]
async fn the_programs_of_a_killed_handle_end_with_all_that_they_started() {
    let mut pipe = Pipe::new();
    let payload = json!({ "stubborn": { "pipe": pipe.path } }).to_string();
    let program = Program::bare().unruly().file("payload.json", &payload);
    let args = "handle PLAIN --input payload.json --output-dir out";
    let handle = program.start(&args.split(' ').collect::<Vec<_>>());
    pipe.says("running").await;
    handle.kill().await;
    pipe.let_go().await;
}

/// The children of a process that are shells which wait to be told of groups.
fn guards(parent: u32) -> Vec<String> {
    let is_guard = |id: &str| {
        let file = |name| std::fs::read_to_string(format!("/proc/{id}/{name}")).ok();
        let parent = format!("PPid:\t{parent}\n");
        file("status")?.contains(&parent).then_some(())?;
        let command = file("cmdline")?;
        command.contains("while read -r what id").then_some(())
    };
    let entries = std::fs::read_dir("/proc").unwrap();
    entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|id| is_guard(id).is_some())
        .collect()
}

#[tokio::test]
async fn programs_end_with_a_killed_worker_although_their_guard_was_killed_before() {
    let lab = lab().await;
    let program = worker_for(&lab).unruly().env("MAX_CONCURRENT_JOBS", "2");
    let mut pipes = [Pipe::new(), Pipe::new()];
    let worker = program.start(&[]);
    for pipe in &mut pipes {
        let does = json!({ "stubborn": { "pipe": pipe.path } });
        lab.submit("PLAIN", does).unwrap();
        pipe.says("running").await;
        // The second program gets another one, which knows of the first.
        if cfg!(target_os = "linux") && lab.job(2).is_err() {
            let guards = guards(worker.id());
            assert_eq!(guards.len(), 1, "{guards:?}");
            send("KILL", &guards[0]);
        }
    }
    worker.kill().await;
    for pipe in pipes {
        pipe.let_go().await;
    }
}

#[tokio::test]
async fn the_scratch_folder_of_a_killed_worker_goes_when_another_starts_and_that_of_a_live_one_stays()
 {
    let lab = lab().await;
    let program = worker_for(&lab);
    let alive = program.start(&[]);
    let mut killed = program.start(&[]);
    killed.says("not on ECS").await;
    in_time(async {
        while program.temporary().len() < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    killed.kill().await;
    let left = program.temporary();
    let mut next = program.start(&[]);
    next.says("removing the scratch folder of a worker that was killed")
        .await;
    let path = next.logged(
        "removing the scratch folder of a worker that was killed",
        "path",
    );
    in_time(async {
        while program.temporary().iter().any(|name| path.contains(name)) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let kept = program.temporary();
    assert_eq!(left.iter().filter(|name| kept.contains(name)).count(), 1);
    // The one that lived has a scratch folder still, and leaves none.
    let job = submit_test(&lab, 1);
    assert_eq!(ended(&lab, job).await, "SUCCEEDED");
    next.signal("TERM").await;
    assert_eq!(next.exits().await, Some(0));
    alive.signal("TERM").await;
    assert_eq!(alive.ended().await.code, Some(0));
}
