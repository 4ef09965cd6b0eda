//! The texts of errors.

use std::fmt::Write;

use axum::http::Method;
use reefguide_storage::{Outputs, Storage, StorageError, publish};
use tokio::net::TcpListener;

use crate::server::{Server, error, options, stored, uri};

/// An error and its sources.
fn read(error: &StorageError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        write!(text, "\n  because: {error}").unwrap();
        source = error.source();
    }
    let debug = format!("{text} {error:?}");
    assert!(!debug.contains("secret"), "a secret is shown: {debug}");
    // Which variables configure a storage is known only to the programs that read them.
    let is_variable = |word: &&str| word.contains('_') && !word.contains(char::is_lowercase);
    let variable = text.split_whitespace().find(is_variable);
    assert_eq!(variable, None, "a variable is named: {text}");
    text
}

fn redacted() -> insta::internals::SettingsBindDropGuard {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"127\.0\.0\.1:\d+", "[server]");
    settings.add_filter(r"/tmp/\S+?/", "[folder]/");
    settings.add_filter(r"\(os error \d+\)", "(os error)");
    settings.add_filter("a{100,}", "aaa[…]");
    settings.add_filter(r"(tries|try) in [\d.]+ m?s", "$1 in [time]");
    settings.bind_to_scope()
}

#[tokio::test]
async fn each_refusal_names_the_thing_and_the_remedy() {
    let _redacted = redacted();
    let mut read_out = String::new();
    for (status, code) in [
        (404, "NoSuchBucket"),
        (404, "NoSuchKey"),
        (403, "InvalidAccessKeyId"),
        (403, "SignatureDoesNotMatch"),
        (400, "ExpiredToken"),
        (403, "AccessDenied"),
        (301, "PermanentRedirect"),
        (400, "AuthorizationHeaderMalformed"),
        (412, "PreconditionFailed"),
        (400, "BadDigest"),
        (507, "InsufficientStorage"),
        (400, "SomethingNew"),
    ] {
        let server = Server::answering(move |_| async move { error(status, code) }).await;
        let refused = server
            .storage
            .upload_bytes("", &uri("s3://reef/a/b.json"))
            .await;
        let refused = refused.unwrap_err();
        let again = if refused.is_retryable() {
            "retryable"
        } else {
            "final"
        };
        writeln!(read_out, "{status} {code} ({again}):\n  {}", read(&refused)).unwrap();
    }
    insta::assert_snapshot!(read_out);
}

#[tokio::test]
async fn a_probe_tells_its_failures_apart() {
    let _redacted = redacted();
    let mut read_out = String::new();
    for (status, code) in [
        (404, "NoSuchBucket"),
        (403, "InvalidAccessKeyId"),
        (403, "SignatureDoesNotMatch"),
        (403, "AccessDenied"),
    ] {
        let mut server = Server::answering(move |_| async move { error(status, code) }).await;
        let refused = server.storage.probe("reef").await.unwrap_err();
        writeln!(read_out, "{}", read(&refused)).unwrap();
        assert_eq!(
            server.lines(),
            ["GET /reef/?list-type=2&max-keys=1&prefix="]
        );
    }
    let closed = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let mut quick = options(&format!("http://me:secret@{closed}"));
    quick.connect_timeout = std::time::Duration::from_secs(1);
    let unreachable = Storage::s3(quick).probe("reef").await.unwrap_err();
    assert!(unreachable.is_retryable());
    writeln!(read_out, "{}", read(&unreachable)).unwrap();

    let no_url = Storage::s3(options("localhost:9000"));
    writeln!(
        read_out,
        "{}",
        read(&no_url.probe("reef").await.unwrap_err())
    )
    .unwrap();
    insta::assert_snapshot!(read_out);
}

#[tokio::test]
async fn each_local_refusal_names_the_thing_and_the_remedy() {
    let _redacted = redacted();
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage::folder(folder.path());
    let s3 = Storage::s3(options("http://localhost:9000"));
    let prefix = uri("s3://reef/results/test/7");
    let a = prefix.join("a").unwrap();
    storage.upload_bytes("0123456789", &a).await.unwrap();
    let outputs = Outputs::new(folder.path().join("outputs"));
    outputs.write("a", "1").await.unwrap();
    let huge = outputs.path("huge").unwrap();
    let file = std::fs::File::create(&huge).unwrap();
    file.set_len((5 << 40) + 1).unwrap();
    let errors = [
        "reef/key"
            .parse::<reefguide_storage::StorageUri>()
            .unwrap_err(),
        prefix.join("../8/a").unwrap_err(),
        prefix.join(&"a".repeat(1010)).unwrap_err(),
        outputs.write("/etc/passwd", "").await.unwrap_err(),
        outputs.write("charts\\a", "").await.unwrap_err(),
        storage.read(&a, 9).await.unwrap_err(),
        storage.read(&uri("s3://reef/b"), 9).await.unwrap_err(),
        storage.read(&uri("s3://reef/../b"), 9).await.unwrap_err(),
        storage.read(&uri("s3://reef"), 9).await.unwrap_err(),
        s3.upload_file(&huge, &a).await.unwrap_err(),
        s3.read(&uri("file:///a"), 9).await.unwrap_err(),
        storage
            .upload_file(&outputs.folder().join("gone"), &a)
            .await
            .unwrap_err(),
        storage.upload_file(outputs.folder(), &a).await.unwrap_err(),
    ];
    let read_out: Vec<_> = errors.iter().map(read).collect();
    insta::assert_snapshot!(read_out.join("\n"));
}

#[tokio::test]
async fn a_publication_that_fails_deletes_what_it_had_stored() {
    let _redacted = redacted();
    let mut server = Server::answering(|asked| async move {
        match asked.line().as_str() {
            "PUT /reef/p/bad" => error(403, "AccessDenied"),
            _ => stored(),
        }
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let outputs = Outputs::new(folder.path());
    for path in ["a", "bad", "charts/c"] {
        outputs.write(path, path).await.unwrap();
    }
    let outputs = outputs.manifest().await.unwrap();
    let failed = publish(&outputs, &server.storage, &uri("s3://reef/p"))
        .await
        .unwrap_err();
    assert!(!failed.is_retryable());
    insta::assert_snapshot!(read(&failed), @r"
    cannot publish the outputs to s3://reef/p: the 3 files begun were removed again
      because: cannot store s3://reef/p/bad: access denied (AccessDenied, 1 try in [time]): the credentials or the role need permission to list, read, write and delete in bucket `reef`, and to use the KMS key if objects are encrypted with one
    ");
    let mut lines = server.lines();
    lines.retain(|line| line.starts_with(Method::DELETE.as_str()));
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "DELETE /reef/p/a",
            "DELETE /reef/p/bad",
            "DELETE /reef/p/charts/c"
        ]
    );
}

#[tokio::test]
async fn a_request_is_tried_four_times() {
    let mut server = Server::answering(|_| async { error(503, "SlowDown") }).await;
    let refused = server.storage.info(&uri("s3://reef/a")).await.unwrap_err();
    assert!(refused.is_retryable(), "{refused:?}");
    assert_eq!(server.lines(), ["HEAD /reef/a"; 4]);
}
