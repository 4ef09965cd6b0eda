//! How a program's exit becomes an error.

use crate::fails;

#[tokio::test]
async fn the_exit_code_decides_and_the_error_quotes_the_last_lines_of_stderr() {
    let mut errors = Vec::new();
    for script in [
        "echo 'reading tiles' >&2; echo 'no tile 7' >&2; exit 3",
        "echo 'licence server busy' >&2; exit 75",
        "echo only on stdout; exit 1",
        "ulimit -c 0; kill -SEGV $$",
        "echo 'loading model' >&2; kill -KILL $$",
        "exit 137",
        "seq 100 >&2; exit 4",
    ] {
        errors.push(format!("{script}\n    {:?}", fails(script).await));
    }
    insta::assert_snapshot!(errors.join("\n"));
}

#[tokio::test]
async fn an_error_stays_short_when_stderr_is_long() {
    let error = fails("head -c 1000000 /dev/zero | tr '\\0' e >&2; exit 1").await;
    let length = error.to_string().len();
    assert!((500..3_000).contains(&length), "{length}");
}
