use std::fs;
use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::multipart::Upload;
use crate::server::{PART, Server, bytes};

#[tokio::test]
async fn of_two_concurrent_overwrites_one_wins_completely() {
    let server = Server::start().await;
    let (one, two) = (bytes(1_000_000, 7), bytes(1_000_000, 8));
    for _ in 0..5 {
        tokio::join!(
            server.put("key", one.clone()),
            server.put("key", two.clone())
        );
        let got = server.get("key").await;
        assert!(got == one || got == two);
        assert_eq!(server.files(), 1);
    }
}

#[tokio::test]
async fn a_download_continues_while_its_object_is_overwritten() {
    let server = Server::start().await;
    let old = bytes(2 * PART + 10, 9);
    let upload = Upload::create(&server, "key").await;
    let parts = upload.put_chunks(&old).await;
    upload.complete(parts).send().await.unwrap();
    let get = server.get_object("key");
    let mut download = get.send().await.unwrap();
    let mut got = download.body.next().await.unwrap().unwrap().to_vec();
    server.put("key", "new").await;
    assert_eq!(server.get("key").await, b"new");
    while let Some(chunk) = download.body.next().await {
        got.extend_from_slice(&chunk.unwrap());
    }
    assert!(got == old);
    drop(download);
    // The connection's task may keep the old file for a moment longer.
    tokio::time::timeout(Duration::from_secs(10), async {
        while server.files() > 1 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn an_interrupted_upload_leaves_nothing() {
    let server = Server::start().await;
    server.put("key", "old").await;
    let presigned = server
        .put_object("key")
        .presigned(
            aws_sdk_s3::presigning::PresigningConfig::expires_in(Duration::from_secs(60)).unwrap(),
        )
        .await
        .unwrap();
    let target = presigned
        .uri()
        .strip_prefix(server.lab.s3_endpoint())
        .unwrap()
        .to_owned();
    let mut socket = TcpStream::connect(server.address()).await.unwrap();
    let head = format!(
        "PUT {target} HTTP/1.1\r\nhost: {}\r\ncontent-length: 1000000\r\n\r\n",
        server.address()
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(&bytes(500_000, 10)).await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), async {
        while server.files() < 2 {
            tokio::task::yield_now().await;
        }
        socket.shutdown().await.unwrap();
        _ = socket.read_to_end(&mut Vec::new()).await;
        while server.files() > 1 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    assert_eq!(server.get("key").await, b"old");
}

#[tokio::test]
async fn a_restarted_lab_has_its_objects_and_uploads_but_no_stray_files() {
    let server = Server::start().await;
    server.put("key", "bytes").await;
    let create = server.create_multipart_upload("parts");
    let id = create.send().await.unwrap().upload_id.unwrap();
    let part = || server.upload_part("parts").part_number(1);
    part()
        .upload_id(&id)
        .body(ByteStream::from_static(b"part"))
        .send()
        .await
        .unwrap();
    let stray = server.blobs().join("stray");
    fs::write(&stray, "left by a killed process").unwrap();

    let server = server.restarted().await;
    assert_eq!(server.keys(), ["key"]);
    assert!(!stray.exists());
    assert_eq!(server.files(), 2);
    assert_eq!(server.get("key").await, b"bytes");
    let list = server.list_parts("parts").upload_id(id);
    assert_eq!(list.send().await.unwrap().parts().len(), 1);
}
