//! A lab, a browser for its page, and a worker in the test's process.

use reefguide_lab::{JobTypeSpec, Lab};
use reefguide_worker::prelude::*;
use reefguide_worker::runtime::Stopped;
use reefguide_worker::source::reefguide::{Client, ReefGuide};
use reefguide_worker::storage::{S3Credentials, S3Options, Storage};
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::driver::Browser;

/// Four pixels.
pub(crate) const PNG: &[u8] = include_bytes!("map.png");

/// A payload with a field of most kinds.
#[derive(Deserialize, JsonSchema)]
struct Survey {
    /// Its name, as on the chart
    reef: String,
    /// How many
    #[schemars(range(min = 1, max = 20))]
    transects: u32,
    zone: Zone,
    /// In metres
    depths: Vec<Depth>,
    quick: bool,
    #[expect(dead_code, reason = "only asked for")]
    site: Option<Site>,
    #[expect(dead_code, reason = "only asked for")]
    diver: Option<String>,
}

/// A bound that no browser checks.
#[derive(Deserialize, JsonSchema)]
#[schemars(extend("exclusiveMaximum" = 100))]
struct Depth(f64);

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Zone {
    /// Behind the crest
    Lagoon,
    Slope,
}

#[derive(Deserialize, JsonSchema)]
struct Site {
    #[expect(dead_code, reason = "only asked for")]
    latitude: f64,
}

async fn survey(survey: Survey, ctx: JobContext) -> Result<Value, JobError> {
    let outputs = ctx.outputs();
    outputs
        .write("notes.txt", format!("surveyed {}\n", survey.reef))
        .await?;
    outputs.write("map.png", PNG.to_vec()).await?;
    outputs
        .write("run.log", "the first transect\nthe last transect\n")
        .await?;
    let depths = survey.depths.iter().map(|depth| depth.0);
    let mean = depths.sum::<f64>() / survey.depths.len().max(1) as f64;
    Ok(
        json!({ "mean": mean, "transects": survey.transects, "zone": matches!(survey.zone, Zone::Slope), "quick": survey.quick }),
    )
}

pub(crate) struct Fixture {
    pub(crate) lab: Lab,
    pub(crate) browser: Browser,
    pub(crate) downloads: TempDir,
    worker: Option<(DropGuard, JoinHandle<Stopped>)>,
}

impl Fixture {
    /// `None` where no browser is installed.
    pub(crate) async fn start() -> Option<Self> {
        let downloads = tempfile::tempdir().unwrap();
        let browser = Browser::start(downloads.path()).await?;
        let schema = schemars::schema_for!(Survey).to_value();
        let lab = Lab::builder()
            .job_type(JobTypeSpec::new("SURVEY").input(schema))
            .any_job_type()
            .start();
        Some(Self {
            lab: lab.await.unwrap(),
            browser,
            downloads,
            worker: None,
        })
    }

    /// Starts a worker.
    pub(crate) fn work(&mut self) {
        let client = Client::builder(self.lab.api_endpoint(), "worker@email.com", "password");
        let mut s3 = S3Options::default();
        s3.endpoint = Some(self.lab.s3_endpoint().into());
        s3.credentials = Some(S3Credentials {
            access_key: "minioadmin".into(),
            secret_key: "minioadmin".into(),
            session_token: None,
        });
        let stop = CancellationToken::new();
        let worker = Worker::builder()
            .handler_fn("SURVEY", survey)
            .source(ReefGuide::builder(client.build().unwrap()).build())
            .storage(Storage::s3(s3))
            .stop(stop.clone())
            .build();
        let running = tokio::spawn(worker.unwrap().run());
        self.worker = Some((stop.drop_guard(), running));
    }

    /// The controls and images that have no accessible name.
    pub(crate) async fn nameless(&self) -> Vec<Value> {
        const NAMED: [&str; 9] = [
            "button",
            "link",
            "textbox",
            "combobox",
            "spinbutton",
            "checkbox",
            "image",
            "table",
            "navigation",
        ];
        let command = "Accessibility.getFullAXTree";
        let mut tree = self.browser.devtools(command, json!({})).await;
        let mut nodes = std::mem::take(tree["nodes"].as_array_mut().unwrap());
        nodes.retain(|node| {
            let role = node["role"]["value"].as_str().unwrap_or_default();
            NAMED.contains(&role)
                && node["name"]["value"]
                    .as_str()
                    .unwrap_or_default()
                    .is_empty()
        });
        nodes
    }

    /// Ends everything, after checking that the page sent requests only to the lab and that the console has this many errors.
    pub(crate) async fn finish(self, errors: usize) {
        let console = self.browser.log("browser").await;
        assert_eq!(console.len(), errors, "{console:#?}");
        let requests = self.browser.log("performance").await;
        let mut asked = 0;
        for entry in requests {
            let event: Value = serde_json::from_str(entry["message"].as_str().unwrap()).unwrap();
            let event = &event["message"];
            if event["method"] == "Network.requestWillBeSent" {
                let url = event["params"]["request"]["url"].as_str().unwrap();
                assert!(
                    url.starts_with(&self.lab.page()) || url == "data:,",
                    "{url}"
                );
                asked += 1;
            }
        }
        assert!(asked > 10);
        if let Some((stop, running)) = self.worker {
            drop(stop);
            running.await.unwrap();
        }
        self.lab.shutdown().await;
    }
}
