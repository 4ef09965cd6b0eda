//! Presigned URLs, used by a client without credentials.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "lab_storage/mod.rs"]
mod lab_storage;

use std::time::{Duration, SystemTime};

use reefguide_lab::Lab;
use reefguide_storage::{PresignedUrl, Storage, StorageError, StorageUri};

const MINUTE: Duration = Duration::from_secs(60);

async fn lab() -> (Lab, Storage) {
    let lab = Lab::builder().start().await.unwrap();
    let storage = Storage::s3(lab_storage::options(&lab));
    (lab, storage)
}

fn uri(lab: &Lab, key: &str) -> StorageUri {
    format!("s3://{}/{key}", lab.bucket()).parse().unwrap()
}

fn request(url: &PresignedUrl) -> reqwest::RequestBuilder {
    let method = url.method().parse().unwrap();
    let request = reqwest::Client::new().request(method, url.expose());
    url.headers().fold(request, |request, (name, value)| {
        request.header(name, value)
    })
}

#[tokio::test]
async fn an_object_of_any_name_is_stored_and_read_without_credentials() {
    let (lab, storage) = lab().await;
    for key in [
        "a/b.json",
        "%2F+ &amp;<>\"'?#;=@:~^`|{}[]$!*(),\\",
        "é 海図 🪸/..x//y/",
        " leading and trailing ",
    ] {
        let uri = uri(&lab, key);
        let put = storage.presign_put(&uri, MINUTE).await.unwrap();
        assert_eq!(put.method(), "PUT");
        let put = request(&put)
            .header("content-type", "text/x-reef")
            .body(key);
        let answer = put.send().await.unwrap();
        assert_eq!(answer.status(), 200, "{key}");
        assert_eq!(storage.read(&uri, 1024).await.unwrap(), key);

        let get = storage.presign_get(&uri, MINUTE).await.unwrap();
        assert_eq!(get.method(), "GET");
        let answer = request(&get).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{key}");
        assert_eq!(answer.headers()["content-type"], "text/x-reef");
        assert_eq!(answer.text().await.unwrap(), key);
    }
}

#[tokio::test]
async fn a_url_permits_one_method_on_one_object_until_it_expires() {
    let (lab, storage) = lab().await;
    let uri = uri(&lab, "key");
    storage.upload_bytes("content", &uri).await.unwrap();
    let second = Duration::from_secs(1);
    let get = storage.presign_get(&uri, second).await.unwrap();
    assert!(get.expires_at() <= SystemTime::now() + second);
    let client = reqwest::Client::new();
    let put = client.put(get.expose()).body("another").send().await;
    assert_eq!(put.unwrap().status(), 403);
    let elsewhere = get.expose().replace("/key?", "/other?");
    let other = client.get(elsewhere).send().await.unwrap();
    assert_eq!(other.status(), 403);
    // The server's clock has whole seconds.
    let expired = async {
        while request(&get).send().await.unwrap().status() != 403 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(MINUTE, expired).await.unwrap();
    assert_eq!(storage.read(&uri, 10).await.unwrap(), "content");
}

#[tokio::test]
async fn debug_does_not_show_the_signature() {
    let (lab, storage) = lab().await;
    let url = storage
        .presign_get(&uri(&lab, "a/key"), MINUTE)
        .await
        .unwrap();
    let shown = format!("{url:?}");
    assert!(shown.contains("a/key"), "{shown}");
    assert!(!shown.contains("X-Amz"), "{shown}");
    assert!(url.expose().contains("X-Amz-Signature="));
}

#[tokio::test]
async fn a_url_that_could_not_work_is_refused() {
    let (lab, storage) = lab().await;
    let uri = uri(&lab, "key");
    let week = MINUTE * 60 * 24 * 7;
    for expires in [Duration::ZERO, MINUTE / 61, week + Duration::from_secs(1)] {
        let refused = storage.presign_put(&uri, expires).await.unwrap_err();
        assert!(refused.to_string().contains("1 s to 7 days"), "{refused}");
    }
    storage.presign_put(&uri, week).await.unwrap();
    for key in ["a/../b", "./a", "a/."] {
        let folded = storage.presign_get(&self::uri(&lab, key), MINUTE).await;
        let error = folded.unwrap_err().to_string();
        assert!(error.contains("remove from URLs"), "{error}");
    }
    let folder = tempfile::tempdir().unwrap();
    let refused = Storage::folder(folder.path())
        .presign_get(&uri, MINUTE)
        .await;
    let error = refused.unwrap_err();
    assert!(matches!(error, StorageError::Unsupported { .. }), "{error}");
    assert_eq!(lab.requests().len(), 0);
}
