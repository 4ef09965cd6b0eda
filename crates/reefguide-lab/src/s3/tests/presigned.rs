use super::{BUCKET, REGION, Server, credentials};
use crate::s3::{Credentials, presign_get};

#[tokio::test]
async fn a_presigned_url_downloads_its_object_and_no_other() {
    let server = Server::start().await;
    for key in ["plain", "a b/+%&é?=🐠", "x//y", "~-._"] {
        server.put(key, key).await;
        let url = presign_get(&server.endpoint(), REGION, &credentials(), BUCKET, key, 60);
        let answer = reqwest::get(&url).await.unwrap();
        assert_eq!(answer.status(), 200, "{url}");
        assert_eq!(answer.bytes().await.unwrap(), key, "{url}");
        let other = url.replacen(&format!("/{BUCKET}/"), &format!("/{BUCKET}/other"), 1);
        assert_eq!(reqwest::get(other).await.unwrap().status(), 403);
        let put = reqwest::Client::new()
            .put(&url)
            .body("mine")
            .send()
            .await
            .unwrap();
        assert_eq!(put.status(), 403);
    }
}

#[tokio::test]
async fn a_presigned_url_expires_and_needs_the_right_secret() {
    let server = Server::start().await;
    server.put("key", "bytes").await;
    let expired = presign_get(
        &server.endpoint(),
        REGION,
        &credentials(),
        BUCKET,
        "key",
        60,
    );
    let date = expired
        .split("X-Amz-Date=")
        .nth(1)
        .unwrap()
        .split('&')
        .next()
        .unwrap();
    let longer = expired.replace("X-Amz-Expires=60", "X-Amz-Expires=600");
    assert_eq!(reqwest::get(longer).await.unwrap().status(), 403);
    let earlier = expired
        .replace(date, "20200101T000000Z")
        .replace(&date[..8], "20200101");
    assert_eq!(reqwest::get(earlier).await.unwrap().status(), 403);
    let wrong = Credentials {
        secret_key: "wrong".to_owned(),
        ..credentials()
    };
    let url = presign_get(&server.endpoint(), REGION, &wrong, BUCKET, "key", 60);
    assert_eq!(reqwest::get(url).await.unwrap().status(), 403);
}

#[tokio::test]
async fn a_presigned_url_supports_ranges_and_reports_a_missing_key() {
    let server = Server::start().await;
    server.put("key", "0123456789").await;
    let url = presign_get(
        &server.endpoint(),
        REGION,
        &credentials(),
        BUCKET,
        "key",
        60,
    );
    let get = reqwest::Client::new().get(url).header("range", "bytes=2-4");
    let answer = get.send().await.unwrap();
    assert_eq!(answer.status(), 206);
    assert_eq!(answer.text().await.unwrap(), "234");
    let url = presign_get(
        &server.endpoint(),
        REGION,
        &credentials(),
        BUCKET,
        "missing",
        60,
    );
    let answer = reqwest::get(url).await.unwrap();
    assert_eq!(answer.status(), 404);
    assert!(
        answer
            .text()
            .await
            .unwrap()
            .contains("<Code>NoSuchKey</Code>")
    );
}
