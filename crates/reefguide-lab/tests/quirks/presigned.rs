//! Tests of the presigned URLs of a download.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::Credentials;
use aws_sdk_s3::presigning::PresigningConfig;
use serde_json::json;

use crate::s3_client::s3_config;
use crate::session::{Session, json_of};

/// A job that has succeeded with these files, each with its path as content.
struct Download {
    session: Session,
    /// The URLs of the files by their paths.
    urls: BTreeMap<String, String>,
    prefix: String,
}

impl Download {
    async fn of(paths: &[&'static str]) -> Self {
        let session = Session::without_races().await;
        let job = session.submit(1);
        let assignment = session.assigned(job).await;
        let prefix = session.prefix(&assignment).to_owned();
        for path in paths {
            let key = format!("{prefix}/{path}");
            session.put(&key, path.as_bytes()).await;
        }
        let succeeded = json!({ "status": "SUCCEEDED" });
        session.result(&assignment, &succeeded).await.unwrap();
        let answer = format!("/api/jobs/{job}/download?expirySeconds=60");
        let answer = json_of(session.get(&answer).await.unwrap()).await;
        let urls: BTreeMap<_, _> = serde_json::from_value(answer["files"].clone()).unwrap();
        assert_eq!(urls.len(), paths.len());
        Self {
            session,
            urls,
            prefix,
        }
    }
}

#[tokio::test]
async fn a_presigned_url_downloads_its_object_and_no_other() {
    let paths = ["plain", "a b/+%&é?=🐠", "x//y", "~-._"];
    let download = Download::of(&paths).await;
    let bucket = download.session.lab.bucket();
    for path in paths {
        let url = &download.urls[path];
        let answer = reqwest::get(url).await.unwrap();
        assert_eq!(answer.status(), 200, "{url}");
        assert_eq!(answer.bytes().await.unwrap(), path, "{url}");
        let other = url.replacen(&format!("/{bucket}/"), &format!("/{bucket}/other"), 1);
        assert_eq!(reqwest::get(other).await.unwrap().status(), 403);
        let put = download.session.http.put(url).body("mine");
        assert_eq!(put.send().await.unwrap().status(), 403);
    }
}

#[tokio::test]
async fn a_presigned_url_expires_and_needs_the_right_secret() {
    let Download {
        session,
        urls,
        prefix,
    } = Download::of(&["file"]).await;
    let url = &urls["file"];
    let date = url
        .split("X-Amz-Date=")
        .nth(1)
        .unwrap()
        .split('&')
        .next()
        .unwrap();
    let longer = url.replace("X-Amz-Expires=60", "X-Amz-Expires=600");
    assert_ne!(&longer, url);
    assert_eq!(reqwest::get(longer).await.unwrap().status(), 403);
    let earlier = url
        .replace(date, "20200101T000000Z")
        .replace(&date[..8], "20200101");
    assert_eq!(reqwest::get(earlier).await.unwrap().status(), 403);

    let key = format!("{prefix}/file");
    for (secret, status) in [("minioadmin", 200), ("wrong", 403)] {
        let pair = Credentials::new("minioadmin", secret, None, None, "test");
        let config = s3_config(&session.lab).credentials_provider(pair);
        let get = Client::from_conf(config.build()).get_object();
        let life = PresigningConfig::expires_in(Duration::from_secs(60)).unwrap();
        let signed = get.bucket(session.lab.bucket()).key(&key).presigned(life);
        let signed = signed.await.unwrap();
        let answer = reqwest::get(signed.uri()).await.unwrap();
        assert_eq!(answer.status(), status, "{secret}");
    }
}

#[tokio::test]
async fn a_presigned_url_supports_ranges_and_reports_a_missing_key() {
    let Download {
        session,
        urls,
        prefix,
    } = Download::of(&["0123456789"]).await;
    let url = &urls["0123456789"];
    let get = session.http.get(url).header("range", "bytes=2-4");
    let answer = get.send().await.unwrap();
    assert_eq!(answer.status(), 206);
    assert_eq!(answer.text().await.unwrap(), "234");

    let delete = session.s3().delete_object().bucket(session.lab.bucket());
    let delete = delete.key(format!("{prefix}/0123456789"));
    delete.send().await.unwrap();
    let answer = reqwest::get(url).await.unwrap();
    assert_eq!(answer.status(), 404);
    let text = answer.text().await.unwrap();
    assert!(text.contains("<Code>NoSuchKey</Code>"), "{text}");
}
