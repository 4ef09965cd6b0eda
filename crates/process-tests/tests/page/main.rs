//! The lab's page in a browser, with a worker that runs the submitted jobs. Without Chromium these tests print that they
//! are skipped, and pass.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "tests and what they share")]

mod driver;
mod fixture;

use driver::{ENTER, SPACE, TAB, until};
use fixture::{Fixture, PNG};
use reefguide_lab::Route;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_submitted_from_its_form_seen_to_succeed_and_its_output_downloaded() {
    let Some(mut fixture) = Fixture::start().await else {
        return;
    };
    let page = &fixture.browser;
    page.width(1200, 800).await;
    page.open(&fixture.lab.page()).await;
    page.reads("No job has been submitted yet.").await;
    page.click("//nav/a[.='Submit a job']").await;
    page.choose("Job type", "SURVEY").await;
    page.fill("reef", "<b>Heron</b>").await;
    page.choose("zone", "slope").await;
    page.fill("transects", "3").await;
    page.click("//button[.='Add to depths']").await;
    page.fill("depths 1", "-4.5").await;
    page.click("//button[.='Add to depths']").await;
    page.fill("depths 2", "12").await;
    page.toggle("With site").await;
    page.fill("latitude", "-23.4").await;
    page.picture("form-wide").await;
    page.click("//button[.='Submit job']").await;

    page.sees("location.hash === '#/jobs/1'").await;
    page.reads("No worker has claimed this job yet.").await;
    page.picture("job-waiting").await;
    fixture.work();
    let page = &fixture.browser;
    page.sees("document.querySelector('.badge').textContent === 'SUCCEEDED'")
        .await;
    page.reads("\"mean\": 3.75").await;
    let payload = &fixture.lab.job(1).unwrap()["input_payload"];
    assert_eq!(
        payload,
        &json!({ "reef": "<b>Heron</b>", "zone": "slope", "transects": 3, "depths": [-4.5, 12],
            "quick": false, "site": { "latitude": -23.4 } })
    );
    // Text of a job is never interpreted as HTML.
    page.reads("<b>Heron</b>").await;

    page.click("//*[@aria-label='Preview notes.txt']").await;
    page.reads("surveyed <b>Heron</b>").await;
    page.click("//*[@aria-label='Preview map.png']").await;
    page.sees("document.querySelector('img.preview')?.naturalWidth === 2")
        .await;
    // A log among the outputs is shown without a click.
    page.reads("the last transect").await;
    page.reads("POST /api/jobs/assign").await;
    page.picture("job-wide").await;

    page.click("//*[@aria-label='Download map.png']").await;
    let saved = fixture.downloads.path().join("map.png");
    until("the file is there", async || saved.is_file()).await;
    assert_eq!(std::fs::read(&saved).unwrap(), PNG);

    page.click("//a[.='Submit one like it']").await;
    page.sees("[...document.querySelectorAll('input')].some((input) => input.value === '12')")
        .await;
    page.click("//button[.='Submit job']").await;
    page.reads("the API does not create a second one").await;
    page.click("//nav/a[.='Jobs']").await;
    page.reads("succeeded 1").await;
    page.picture("jobs-wide").await;
    fixture.finish(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_submitted_with_the_keyboard_alone() {
    let Some(mut fixture) = Fixture::start().await else {
        return;
    };
    fixture.work();
    let page = &fixture.browser;
    page.open(&fixture.lab.page()).await;
    page.reads("No job has been submitted yet.").await;
    // Jobs, Submit a job.
    page.press(&[TAB, TAB, ENTER].concat()).await;
    page.reads("Job type").await;
    page.sees("document.activeElement.textContent === 'Submit a job'")
        .await;
    // The type is chosen by its first letters.
    page.press(&[TAB, "SURV"].concat()).await;
    page.reads("reef").await;
    // The switch to JSON, then field after field.
    let order = page
        .run("return [...document.querySelectorAll('form input, form select, form button')].map((control) => control.labels?.[0]?.textContent ?? control.textContent)")
        .await;
    for label in order.as_array().unwrap().iter().skip(1) {
        page.press(TAB).await;
        let keys = match label.as_str().unwrap() {
            "reef" => "Heron",
            "transects" => "3",
            "zone" => "lag",
            "quick" => SPACE,
            "Submit job" => ENTER,
            _ => "",
        };
        page.press(keys).await;
    }
    page.sees("document.querySelector('.badge')?.textContent === 'SUCCEEDED'")
        .await;
    let payload = &fixture.lab.job(1).unwrap()["input_payload"];
    assert_eq!(
        payload,
        &json!({ "reef": "Heron", "transects": 3, "zone": "lagoon", "depths": [], "quick": true })
    );
    fixture.finish(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_value_is_reported_at_its_field_and_corrected_as_json() {
    let Some(fixture) = Fixture::start().await else {
        return;
    };
    let page = &fixture.browser;
    page.open(&format!("{}#/submit", fixture.lab.page())).await;
    page.choose("Job type", "SURVEY").await;
    page.fill("reef", "Heron").await;
    page.choose("zone", "slope").await;
    page.fill("transects", "3").await;
    page.click("//button[.='Add to depths']").await;
    page.fill("depths 1", "9000").await;
    page.click("//button[.='Submit job']").await;
    page.reads("Invalid payload for job type SURVEY").await;
    page.sees("document.activeElement.value === '9000' && document.activeElement.matches('[aria-invalid]')")
        .await;
    page.reads("value is greater than or equal to the maximum of 100")
        .await;
    page.picture("form-refused").await;

    page.toggle("as JSON").await;
    let text = page
        .run("return document.querySelector('form textarea').value")
        .await;
    let mut payload: Value = serde_json::from_str(text.as_str().unwrap()).unwrap();
    assert_eq!(payload["depths"], json!([9000]));
    page.fill("Payload as JSON", "{").await;
    page.toggle("as JSON").await;
    page.reads("This is not JSON").await;
    payload["depths"] = json!([90]);
    payload["unknown"] = json!(true);
    page.fill("Payload as JSON", &payload.to_string()).await;
    page.toggle("as JSON").await;
    page.reads("The form cannot show all of this payload.")
        .await;
    page.click("//button[.='Submit job']").await;
    page.sees("location.hash === '#/jobs/1'").await;
    assert_eq!(fixture.lab.job(1).unwrap()["input_payload"], payload);

    page.click("//button[.='Cancel']").await;
    page.sees("document.querySelector('.badge').textContent === 'CANCELLED'")
        .await;
    // The console names the answer with 400.
    fixture.finish(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_is_set_seen_to_strike_and_removed() {
    let Some(fixture) = Fixture::start().await else {
        return;
    };
    let page = &fixture.browser;
    page.open(&format!("{}#/faults", fixture.lab.page())).await;
    page.reads("No faults are set.").await;
    page.choose("Route", "health").await;
    page.choose("What goes wrong", "status").await;
    page.fill("Status", "503").await;
    page.fill("Retry-After in seconds", "7").await;
    page.fill("How often (default: until it is removed)", "2")
        .await;
    page.click("//button[.='Set fault']").await;
    page.reads("0 of 2").await;
    let health = format!("{}/api", fixture.lab.api_endpoint());
    let answer = reqwest::get(health).await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["retry-after"]),
        (503, &"7".parse().unwrap())
    );
    page.reads("1 of 2").await;
    // Faults set elsewhere are seen, too.
    fixture
        .lab
        .faults()
        .add(reefguide_lab::Fault::lost_answer(Route::Result));
    page.reads("2 set").await;
    page.picture("faults-wide").await;
    page.click("//*[@aria-label='Remove status on health']")
        .await;
    page.reads("The fault status on health is removed.").await;
    page.reads("1 set").await;
    page.click("//button[.='Clear all']").await;
    page.reads("No faults are set.").await;
    assert!(fixture.lab.faults().all().is_empty());
    fixture.finish(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_view_can_be_used_on_a_phone_in_light_and_dark_mode() {
    let Some(mut fixture) = Fixture::start().await else {
        return;
    };
    fixture
        .lab
        .faults()
        .add(reefguide_lab::Fault::reset(Route::S3Put).times(3));
    let payload = json!({ "reef": "W".repeat(200), "transects": 3, "zone": "slope", "quick": true, "depths": [1] });
    fixture.lab.submit("SURVEY", payload).unwrap();
    fixture
        .lab
        .submit("A_TYPE_WITH_A_NAME_THAT_IS_LONGER_THAN_MOST", json!(1))
        .unwrap();
    fixture.work();
    let ended = fixture.lab.wait_for(1, |job| job["status"] == "SUCCEEDED");
    ended.await.unwrap();
    let views = [
        ("jobs", "#/jobs", "Job 1"),
        ("job", "#/jobs/1", "POST /api/jobs/assign"),
        ("form", "#/submit?like=1", "Submit job"),
        ("faults", "#/faults", "s3-put"),
    ];
    for (width, scheme) in [
        (375, "light"),
        (375, "dark"),
        (1200, "dark"),
        (1200, "light"),
    ] {
        fixture.browser.width(width, 800).await;
        fixture.browser.scheme(scheme).await;
        for (name, hash, text) in views {
            fixture
                .browser
                .open(&format!("{}{hash}", fixture.lab.page()))
                .await;
            fixture.browser.reads(text).await;
            if name == "job" {
                fixture
                    .browser
                    .click("//*[@aria-label='Preview map.png']")
                    .await;
            }
            let case = format!("{name}-{width}-{scheme}");
            fixture.browser.picture(&case).await;
            let found = fixture.browser.run(include_str!("audit.js")).await;
            assert_eq!(found, json!([]), "{case}");
            assert_eq!(fixture.nameless().await, Vec::<Value>::new(), "{case}");
        }
    }
    fixture.finish(0).await;
}
