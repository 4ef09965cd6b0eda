//! Workers killed at random moments: their jobs and programs.

use std::time::Duration;

use fastrand::Rng;
use process_tests::work::{Does, WORK, Work};
use reefguide_lab::{JobTypeSpec, Lab};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::fifo_probe::FifoProbe;
use crate::fixture::{final_status, lab, send, status, submit_test, worker_for};
use crate::program::{Program, in_time};

const JOBS: usize = 40;
const WORKERS: usize = 3;
const KILLS: usize = 12;
/// It usually takes three seconds.
const RESOLVED_WITHIN: Duration = Duration::from_secs(30);

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
async fn a_job_whose_worker_is_killed_at_a_random_moment_ends_exactly_once() {
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
    let has_ended = |id: &i64| !matches!(status(&lab, *id).as_str(), "PENDING" | "IN_PROGRESS");
    let audit = || lab.audit(outputs).unwrap();
    // The record of a claim that was lost takes as long as any other to count as dead.
    let resolved = lab.wait_until(|_| jobs.iter().all(has_ended) && audit().is_empty());
    // On a timeout the audit says what is wrong.
    let _ = timeout(RESOLVED_WITHIN, resolved).await;
    for worker in running {
        worker.kill().await;
    }
    let violations = audit();
    assert!(violations.is_empty(), "{violations:#?}");
    assert!(jobs.iter().all(has_ended), "a job has not ended");
    let succeeded = jobs.iter().filter(|id| status(&lab, **id) == "SUCCEEDED");
    assert!(succeeded.count() > JOBS / 4, "too few jobs succeeded");
}

#[tokio::test]
async fn the_programs_of_a_killed_worker_end_with_all_that_they_started() {
    for job_type in ["PLAIN", "CRASH"] {
        for does in ["wait", "stubborn"] {
            let lab = lab().await;
            let mut probe = FifoProbe::new();
            lab.submit(job_type, json!({ does: { "pipe": probe.path } }))
                .unwrap();
            let program = worker_for(&lab).unruly();
            let worker = program.start(&[]);
            if does == "wait" {
                probe.receives("waiting").await;
            }
            probe.receives("running").await;
            worker.kill().await;
            probe.released().await;
        }
    }
}

#[tokio::test]
async fn the_programs_of_a_killed_handle_end_with_all_that_they_started() {
    let mut probe = FifoProbe::new();
    let payload = json!({ "stubborn": { "pipe": probe.path } }).to_string();
    let program = Program::bare().unruly().file("payload.json", &payload);
    let args = "handle PLAIN --input payload.json --output-dir out";
    let handle = program.start(&args.split(' ').collect::<Vec<_>>());
    probe.receives("running").await;
    handle.kill().await;
    probe.released().await;
}

/// The children of a process that are guards: shells that wait for the ids of process groups to kill.
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
async fn programs_end_with_a_killed_worker_even_if_their_guard_was_killed_first() {
    let lab = lab().await;
    let program = worker_for(&lab).unruly().env("MAX_CONCURRENT_JOBS", "2");
    let mut probes = [FifoProbe::new(), FifoProbe::new()];
    let worker = program.start(&[]);
    for probe in &mut probes {
        let does = json!({ "stubborn": { "pipe": probe.path } });
        lab.submit("PLAIN", does).unwrap();
        probe.receives("running").await;
        // The second program gets a new guard, which also knows the first program.
        if cfg!(target_os = "linux") && lab.job(2).is_err() {
            let guards = guards(worker.id());
            assert_eq!(guards.len(), 1, "{guards:?}");
            send("KILL", &guards[0]);
        }
    }
    worker.kill().await;
    for probe in probes {
        probe.released().await;
    }
}

#[tokio::test]
async fn the_next_worker_removes_the_scratch_folder_of_a_killed_one_and_keeps_that_of_a_live_one() {
    let lab = lab().await;
    let program = worker_for(&lab);
    let alive = program.start(&[]);
    let mut killed = program.start(&[]);
    killed.logs("not on ECS").await;
    in_time(async {
        while program.temporary().len() < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    killed.kill().await;
    let left = program.temporary();
    let mut next = program.start(&[]);
    next.logs("removing the scratch folder of a worker that was killed")
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
    // The live worker still has its scratch folder, and removes it at its end.
    let job = submit_test(&lab, 1);
    assert_eq!(final_status(&lab, job).await, "SUCCEEDED");
    next.signal("TERM").await;
    assert_eq!(next.exit_code().await, Some(0));
    assert_eq!(alive.stop().await.code, Some(0));
}
