//! Workers that are killed at random moments, and what becomes of their jobs.

use std::time::Duration;

use fastrand::Rng;
use process_tests::work::{Does, WORK, Work};
use reefguide_lab::{JobTypeSpec, Lab};
use serde_json::Value;
use tokio::time::timeout;

use crate::program::{Program, in_time};
use crate::rig::{status, worker_for};

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
