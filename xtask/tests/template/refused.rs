//! Answers that the template refuses.

use std::fmt::Write as _;

use crate::worker::{Answers, Worker};

#[test]
fn wrong_answers_are_refused_with_the_reason() {
    let right = Answers::new;
    let long = "X".repeat(65);
    let wrong = [
        ("9lives", right()),
        ("test", right()),
        ("serde", right()),
        ("tökio", right()),
        ("reef-worker", right().with("job_type", "coral_count")),
        ("reef-worker", right().with("job_type", "CORAL COUNT")),
        ("reef-worker", right().with("job_type", "_CORAL")),
        ("reef-worker", right().with("job_type", "CORAL__COUNT")),
        ("reef-worker", right().with("job_type", long)),
        (
            "reef-worker",
            right().with("description", "counts \"corals\""),
        ),
        ("reef-worker", right().with("description", "")),
        ("reef-worker", right().with("handler_style", "gpu")),
        ("reef-worker", right().with("container", "maybe")),
        (
            "reef-worker",
            right().with("sdk_path", "$HOME/reefguide-worker"),
        ),
        (
            "reef-worker",
            right().with("container", "false").with("deployment", "ecs"),
        ),
    ];
    let mut reasons = String::new();
    for (name, answers) in wrong {
        let Err(output) = Worker::try_generate(name, &answers) else {
            panic!("{name} was not refused");
        };
        let reason = output.lines().find(|line| line.starts_with('⛔'));
        writeln!(reasons, "{}", reason.unwrap()).unwrap();
    }
    insta::with_settings!({ filters => vec![
        (r"/\S*cargo-generate[^/]+/", "[template]/"),
        (r" \(line \d+, position \d+\)", ""),
    ] }, {
        insta::assert_snapshot!(reasons);
    });
}
