use aws_sdk_s3::Client;
use aws_sdk_s3::config::Credentials;
use reefguide_lab::Outputs;

use crate::s3_client::s3_config;
use crate::server::{BUCKET, Server, code, status};

#[tokio::test]
async fn a_bucket_is_created_found_listed_and_deleted() {
    let server = Server::start().await;
    let client = &server.client;
    client
        .create_bucket()
        .bucket("second")
        .send()
        .await
        .unwrap();
    client.head_bucket().bucket("second").send().await.unwrap();
    client
        .get_bucket_location()
        .bucket("second")
        .send()
        .await
        .unwrap();
    let listed = client.list_buckets().send().await.unwrap();
    let names: Vec<_> = listed
        .buckets()
        .iter()
        .filter_map(|bucket| bucket.name())
        .collect();
    assert_eq!(names, [BUCKET, "second"]);
    client
        .delete_bucket()
        .bucket("second")
        .send()
        .await
        .unwrap();
    assert_eq!(
        status(client.head_bucket().bucket("second").send().await),
        404
    );
}

#[tokio::test]
async fn a_bucket_that_exists_is_not_created_again() {
    let server = Server::start().await;
    let again = server.client.create_bucket().bucket(BUCKET).send().await;
    assert_eq!(code(again), "BucketAlreadyOwnedByYou");
    let server = server.restarted().await;
    server.head_bucket().send().await.unwrap();
}

#[tokio::test]
async fn a_bucket_with_an_object_or_an_upload_is_not_deleted() {
    let server = Server::start().await;
    let client = &server.client;
    server.put("key", "x").await;
    assert_eq!(
        code(client.delete_bucket().bucket(BUCKET).send().await),
        "BucketNotEmpty"
    );
    server.delete_object("key").send().await.unwrap();
    server.create_multipart_upload("key").send().await.unwrap();
    assert_eq!(
        code(client.delete_bucket().bucket(BUCKET).send().await),
        "BucketNotEmpty"
    );
}

#[tokio::test]
async fn every_operation_reports_a_missing_bucket() {
    let server = Server::start().await;
    let client = &server.client;
    let name = "missing";
    assert_eq!(
        code(client.put_object().bucket(name).key("k").send().await),
        "NoSuchBucket"
    );
    assert_eq!(
        code(client.get_object().bucket(name).key("k").send().await),
        "NoSuchBucket"
    );
    assert_eq!(
        code(client.delete_object().bucket(name).key("k").send().await),
        "NoSuchBucket"
    );
    assert_eq!(
        code(client.list_objects_v2().bucket(name).send().await),
        "NoSuchBucket"
    );
    assert_eq!(
        code(client.list_objects().bucket(name).send().await),
        "NoSuchBucket"
    );
    assert_eq!(
        code(client.list_multipart_uploads().bucket(name).send().await),
        "NoSuchBucket"
    );
    assert_eq!(
        code(client.delete_bucket().bucket(name).send().await),
        "NoSuchBucket"
    );
    let upload = client.create_multipart_upload().bucket(name).key("k");
    assert_eq!(code(upload.send().await), "NoSuchBucket");
    assert_eq!(server.files(), 0);

    client.delete_bucket().bucket(BUCKET).send().await.unwrap();
    let error = server.lab.audit(|_| Outputs::new()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the lab refused: bucket \"reef\" does not exist"
    );
}

#[tokio::test]
async fn a_wrong_key_pair_is_refused() {
    let server = Server::start().await;
    let with = |access: &str, secret: &str| {
        let pair = Credentials::new(access, secret, None, None, "test");
        Client::from_conf(s3_config(&server.lab).credentials_provider(pair).build())
    };
    let client = with("minioadmin", "wrong");
    assert_eq!(
        code(client.list_buckets().send().await),
        "SignatureDoesNotMatch"
    );
    let client = with("somebody", "wrong");
    assert_eq!(status(client.list_buckets().send().await), 403);
    let unsigned = reqwest::get(server.lab.s3_endpoint()).await.unwrap();
    assert_eq!(unsigned.status(), 403);
}
