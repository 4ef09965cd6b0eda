use crate::fixture::CliFixture;

#[tokio::test(flavor = "multi_thread")]
async fn doctor_says_that_this_build_cannot_read_the_bucket_and_checks_the_api() {
    let cli = CliFixture::new().await;
    cli.log_in_as("worker@email.com");
    let transcript = cli.run(&["doctor"]);
    assert!(
        transcript.contains("this build cannot read the bucket"),
        "{transcript}"
    );
    assert!(transcript.contains("nothing is stuck"), "{transcript}");
}
