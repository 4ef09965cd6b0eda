//! The repository's example is a generated worker with its own handlers.

use crate::tools::root;
use crate::worker::{Worker, files};

const EXAMPLE: &str = "examples/example-worker";

/// Whether the author of the example wrote the file.
fn is_authored(file: &str) -> bool {
    file.starts_with("src/handlers/") || file.starts_with("payloads/")
}

#[test]
fn the_example_is_what_the_template_generates_for_its_answers() {
    let example = root().join(EXAMPLE);
    let generated = Worker::generate_again("example-worker", &example);
    let from_template = |files: Vec<String>| -> Vec<String> {
        files
            .into_iter()
            .filter(|file| !is_authored(file))
            .collect()
    };
    assert_eq!(
        from_template(files(&example)),
        from_template(generated.files())
    );
    for file in from_template(generated.files()) {
        let text = std::fs::read_to_string(example.join(&file)).unwrap();
        assert!(
            text == generated.text(&file),
            "{EXAMPLE}/{file} differs from what the template generates:\n{}",
            generated.text(&file)
        );
    }
}
