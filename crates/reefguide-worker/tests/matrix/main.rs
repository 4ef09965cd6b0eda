//! The fault matrix: every call of a worker × every way it can fail × what else may happen meanwhile. Each case has its
//! own lab and several workers that race. After it, the promises of the book are checked.
//!
//! A case has a name, such as `result/lost-answer/sigterm`, and a seed that is derived from the name:
//!
//! | variable | what it does |
//! | --- | --- |
//! | `MATRIX_ONLY` | runs the cases whose names contain this, or one of several texts, separated by commas |
//! | `MATRIX_SEED` | a number; a different one changes every random choice |
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

/// How many cases run at once. Most of the time a case only waits for a delay to pass.
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
                // The block ends the lock before the case runs.
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
