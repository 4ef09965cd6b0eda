//! Where the lab listens, and what it calls itself there.

use std::net::{IpAddr, Ipv4Addr};

use aws_sdk_s3::primitives::ByteStream;
use reefguide_lab::Lab;
use serde_json::json;
use tokio::net::TcpStream;

use crate::session::{Session, json_of};

/// An address of this machine other than 127.0.0.1.
const ANOTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

fn ports(lab: &Lab) -> [u16; 2] {
    [lab.api_endpoint(), lab.s3_endpoint()]
        .map(|endpoint| endpoint.strip_prefix("http://127.0.0.1:").unwrap())
        .map(|port| port.parse().unwrap())
}

#[tokio::test]
async fn a_lab_answers_on_the_loopback_address_alone() {
    let lab = Lab::builder().start().await.unwrap();
    for port in ports(&lab) {
        assert!(TcpStream::connect((ANOTHER, port)).await.is_err());
    }
}

#[tokio::test]
async fn a_lab_on_all_addresses_calls_itself_by_one_that_can_be_reached() {
    let lab = Lab::builder().host(Ipv4Addr::UNSPECIFIED).start().await;
    let lab = lab.unwrap();
    for port in ports(&lab) {
        TcpStream::connect((ANOTHER, port)).await.unwrap();
    }
}

#[tokio::test]
async fn a_download_url_names_the_host_at_which_the_api_was_asked() {
    let session = Session::calm().await;
    let job = session.submit(1);
    let assignment = session.assigned(job).await;
    let uri = assignment["storage_uri"].as_str().unwrap();
    let (_, prefix) = uri.split_once("reefguide-dev/").unwrap();
    let put = session.s3().put_object().bucket("reefguide-dev");
    put.key(format!("{prefix}/a.txt"))
        .body(ByteStream::from_static(b"content"))
        .send()
        .await
        .unwrap();
    session
        .result(&assignment, &json!({ "status": "SUCCEEDED" }))
        .await
        .unwrap();

    let [api, s3] = ports(&session.lab);
    let http = reqwest::Client::builder()
        .no_proxy()
        .resolve("lab", (Ipv4Addr::LOCALHOST, 0).into())
        .build()
        .unwrap();
    for host in ["lab", "127.0.0.1"] {
        let ask = http.get(format!("http://{host}:{api}/api/jobs/{job}/download"));
        let answer = ask.bearer_auth(&session.token).send().await.unwrap();
        let answer = json_of(answer).await;
        let url = answer["files"]["a.txt"].as_str().unwrap();
        assert!(url.starts_with(&format!("http://{host}:{s3}/")), "{url}");
        let object = http.get(url).send().await.unwrap();
        assert_eq!(object.text().await.unwrap(), "content");
    }
}
