//! The outputs of a handler, and their publication.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use reefguide_storage::{FolderTransfer, Outputs, Storage, StorageError, StorageUri, publish};
use serde_json::json;
use tempfile::TempDir;

struct Attempt {
    folder: TempDir,
    outputs: Outputs,
    storage: Storage,
    to: StorageUri,
}

fn attempt() -> Attempt {
    let folder = tempfile::tempdir().unwrap();
    Attempt {
        outputs: Outputs::new(folder.path().join("outputs")),
        storage: Storage::folder(folder.path().join("store")),
        to: "s3://reef/results/test/7".parse().unwrap(),
        folder,
    }
}

impl Attempt {
    async fn publish(&self) -> Result<FolderTransfer, StorageError> {
        publish(&self.outputs.manifest().await?, &self.storage, &self.to).await
    }

    async fn published(&self) -> Vec<String> {
        let published = self.storage.list(&self.to).await.unwrap();
        published
            .iter()
            .map(|object| object.uri.to_string())
            .collect()
    }
}

#[tokio::test]
async fn a_float_that_json_cannot_express_is_named_and_nothing_is_written() {
    let outputs = attempt().outputs;
    let depths = std::collections::BTreeMap::from([("heron", [1.0, f64::NAN])]);
    let error = outputs.write_json("depths.json", &depths).await;
    insta::assert_snapshot!(
        reefguide_transport::Chain(&error.unwrap_err()),
        @r#"cannot write "depths.json" as JSON: value at `heron[1]` is NaN, which JSON does not have: use an `Option`"#
    );
    assert!(outputs.manifest().await.unwrap().files().is_empty());
}

#[tokio::test]
async fn outputs_are_listed_and_published_as_they_were_written() {
    let attempt = attempt();
    let outputs = &attempt.outputs;
    outputs.write("b.txt", "text").await.unwrap();
    outputs
        .write_json("charts/a.json", &json!({"depth": 3}))
        .await
        .unwrap();
    std::fs::write(outputs.path("tiles/1/2.tif").unwrap(), [7; 100]).unwrap();

    let outputs = outputs.manifest().await.unwrap();
    let files: Vec<_> = outputs
        .files()
        .iter()
        .map(|file| (file.path.as_str(), file.size))
        .collect();
    assert_eq!(
        files,
        [("b.txt", 4), ("charts/a.json", 17), ("tiles/1/2.tif", 100)]
    );
    assert_eq!(outputs.bytes(), 121);

    let published = publish(&outputs, &attempt.storage, &attempt.to)
        .await
        .unwrap();
    assert_eq!(
        published,
        FolderTransfer {
            files: 3,
            bytes: 121
        }
    );
    assert_eq!(
        attempt.published().await,
        [
            "s3://reef/results/test/7/b.txt",
            "s3://reef/results/test/7/charts/a.json",
            "s3://reef/results/test/7/tiles/1/2.tif"
        ]
    );
    let chart = attempt.to.join("charts/a.json").unwrap();
    let chart = attempt.storage.read(&chart, 100).await.unwrap();
    assert_eq!(chart, "{\n  \"depth\": 3\n}\n");
}

#[tokio::test]
async fn a_manifest_knows_which_names_outputs_use_and_does_not_change() {
    let outputs = attempt().outputs;
    outputs.write("a.log", "x").await.unwrap();
    outputs.write("charts/b.log", "x").await.unwrap();
    let manifest = outputs.manifest().await.unwrap();
    outputs.write("c.log", "x").await.unwrap();
    let names = ["a.log", "charts", "b.log", "c.log", "a"];
    let used: Vec<_> = names.iter().filter(|name| manifest.uses(name)).collect();
    assert_eq!(used, [&"a.log", &"charts"]);
}

#[tokio::test]
async fn no_outputs_publish_nothing() {
    let attempt = attempt();
    let published = attempt.publish().await;
    assert_eq!(published.unwrap(), FolderTransfer::default());
    assert!(!attempt.folder.path().join("store").exists());
}

#[tokio::test]
async fn an_output_cannot_be_written_outside_its_folder() {
    let attempt = attempt();
    for path in ["../x", "a/../../x", "/tmp/x", "", "a//x", "a\\x"] {
        for refused in [
            attempt.outputs.write(path, "x").await.unwrap_err(),
            attempt.outputs.path(path).unwrap_err(),
        ] {
            assert!(matches!(refused, StorageError::Path { .. }), "{refused:?}");
            assert!(
                refused.to_string().contains(&format!("{path:?}")),
                "{refused}"
            );
        }
    }
    assert_eq!(std::fs::read_dir(attempt.folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn cleared_outputs_are_gone() {
    let attempt = attempt();
    attempt.outputs.clear().await.unwrap();
    attempt.outputs.write("a/b", "x").await.unwrap();
    attempt.outputs.clear().await.unwrap();
    assert_eq!(attempt.outputs.manifest().await.unwrap().files(), []);
    attempt.outputs.write("c", "x").await.unwrap();
    let outputs = attempt.outputs.manifest().await.unwrap();
    assert_eq!(outputs.files().len(), 1);
}

#[cfg(unix)]
#[tokio::test]
async fn an_output_that_cannot_be_published_is_refused_by_name_before_anything_is_stored() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let attempt = attempt();
    let outputs = attempt.outputs.folder();
    attempt.outputs.write("a", "x").await.unwrap();
    let refused = async || attempt.publish().await.unwrap_err().to_string();

    let link = outputs.join("link");
    std::os::unix::fs::symlink("/etc/hostname", &link).unwrap();
    assert!(refused().await.contains("outputs/link is a symbolic link"));
    std::fs::remove_file(link).unwrap();

    let socket = outputs.join("socket");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    assert!(refused().await.contains("outputs/socket is a special file"));
    drop(listener);
    std::fs::remove_file(socket).unwrap();

    for name in [&b"back\\slash"[..], b"line\nbreak"] {
        let file = outputs.join(OsStr::from_bytes(name));
        std::fs::write(&file, "x").unwrap();
        let name = format!("{:?}", std::str::from_utf8(name).unwrap());
        assert!(refused().await.contains(&name), "{name}");
        std::fs::remove_file(file).unwrap();
    }
    // Some file systems reject such a name.
    let latin = outputs.join(OsStr::from_bytes(b"caf\xe9"));
    if std::fs::write(&latin, "x").is_ok() {
        assert!(refused().await.contains("not UTF-8"));
    }
    assert!(!attempt.folder.path().join("store").exists());
}

#[tokio::test]
async fn a_publication_that_fails_leaves_nothing() {
    let attempt = attempt();
    for path in ["a", "b/c", "z"] {
        attempt.outputs.write(path, "x").await.unwrap();
    }
    // A folder has the name of the output `z`.
    let blocking = attempt.to.join("z/blocking").unwrap();
    attempt.storage.upload_bytes("y", &blocking).await.unwrap();
    let failed = attempt.publish().await.unwrap_err();
    assert!(matches!(failed, StorageError::Publish { .. }), "{failed:?}");
    assert_eq!(attempt.published().await, [blocking.to_string()]);
}
