//! Lists with a job that cannot be read.

use httpmock::prelude::*;
use reefguide_client::JobFilter;

use crate::fixture::{client, jobs, login, token};

#[tokio::test]
async fn one_job_that_cannot_be_read_hides_no_other_from_a_list() {
    let server = MockServer::start_async().await;
    login(&server, &token("a", 600)).await;
    let list = format!(r#"{{"jobs":[{}],"total":8}}"#, jobs());
    for path in ["/api/jobs", "/api/jobs/mine"] {
        let body = list.clone();
        server
            .mock_async(|when, then| {
                when.path(path);
                then.status(200).body(body);
            })
            .await;
    }
    let client = client(&server);
    let all = client.jobs(&JobFilter::default()).await.unwrap();
    let mine = client.my_jobs(None).await.unwrap();
    assert_eq!(all, mine);
    let ids: Vec<_> = all.jobs.iter().map(|job| job.job.id.to_string()).collect();
    assert_eq!(ids, ["1", "2", "3", "4", "5", "9"]);
    assert_eq!((all.skipped.len(), all.total), (2, 8));
}
