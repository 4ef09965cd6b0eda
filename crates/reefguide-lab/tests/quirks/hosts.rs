//! Tests of the addresses that the lab listens on, and of the hosts in its URLs.

use std::net::{IpAddr, Ipv4Addr};

use reefguide_lab::Lab;
use serde_json::json;
use tokio::net::TcpStream;

use crate::session::{Session, json_of};

/// An address of this machine other than 127.0.0.1.
const OTHER_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

fn ports(lab: &Lab) -> [u16; 2] {
    [lab.api_endpoint(), lab.s3_endpoint()]
        .map(|endpoint| endpoint.strip_prefix("http://127.0.0.1:").unwrap())
        .map(|port| port.parse().unwrap())
}

#[tokio::test]
async fn a_lab_listens_only_on_127_0_0_1_by_default() {
    let lab = Lab::builder().start().await.unwrap();
    for port in ports(&lab) {
        assert!(TcpStream::connect((OTHER_ADDRESS, port)).await.is_err());
    }
}

#[tokio::test]
async fn a_lab_on_all_addresses_reports_an_endpoint_that_can_be_reached() {
    let lab = Lab::builder().host(Ipv4Addr::UNSPECIFIED).start().await;
    let lab = lab.unwrap();
    for port in ports(&lab) {
        TcpStream::connect((OTHER_ADDRESS, port)).await.unwrap();
    }
}

#[tokio::test]
async fn a_download_url_has_the_host_of_the_api_request() {
    let session = Session::without_races().await;
    let job = session.submit(1);
    let assignment = session.assigned(job).await;
    let key = format!("{}/a.txt", session.prefix(&assignment));
    session.put(&key, b"content").await;
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
