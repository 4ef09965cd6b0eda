//! The fault matrix: every call of a worker × every way it can fail × what else may happen meanwhile, each case in a
//! lab of its own with workers that race, and the promises of the book checked after it.
//!
//! A case has a name, such as `result/lost-answer/sigterm`, and a seed made of it:
//!
//! | variable | what it does |
//! | --- | --- |
//! | `MATRIX_ONLY` | runs the cases whose names contain this, or one of these with commas between |
//! | `MATRIX_SEED` | a number; another one draws everything that is random anew |
//! | `RUST_LOG` | shows the log of the workers, as `RUST_LOG=debug` |

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod case;
mod checks;
#[path = "../../../reefguide-storage/tests/lab_storage/mod.rs"]
mod lab_storage;
mod report;
mod run;
#[path = "../../../process-tests/src/work.rs"]
#[expect(unreachable_pub, reason = "the module is another package's too")]
mod work;

use std::sync::Mutex;
use std::time::Instant;

use crate::report::Report;

/// How many cases are under way at once: most of the time they wait for a delay to pass.
const AT_ONCE: usize = 12;

#[test]
fn no_fault_loses_doubles_or_strands_a_job_or_leaks_anything() {
    if std::env::var_os("RUST_LOG").is_some() {
        tracing_subscriber::fmt::init();
    }
    let started = Instant::now();
    let labs = tokio::runtime::Runtime::new().unwrap();
    let cases = Mutex::new(case::chosen().into_iter());
    let report = Mutex::new(Report::default());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                // A binding, so that the lock is not held while the case runs.
                while let Some(case) = { cases.lock().unwrap().next() } {
                    let ran = run::run(&case, labs.handle());
                    report.lock().unwrap().add(&case, ran);
                }
            });
        }
    });
    let mut report = report.into_inner().unwrap();
    report.process(checks::children());
    report.close(started.elapsed());
}
