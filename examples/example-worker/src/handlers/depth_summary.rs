//! `DEPTH_SUMMARY`: reads depth soundings from storage and summarises them by region.
//!
//! The input is a CSV file of `region,depth` lines with a header. It is fetched to disk and read line by line, on the
//! job's own thread.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use reefguide_worker::prelude::*;

/// The API lists at most 25 files of a job. Each region has one, and up to three are for all regions.
const MOST_REGIONS: usize = 20;

/// The payload.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The CSV file, such as `s3://bucket/inputs/soundings.csv`.
    source: StorageUri,
    /// How many bars the histogram has, from the shallowest to the deepest sounding.
    #[serde(default = "default_bins")]
    #[schemars(range(min = 1, max = 1000))]
    bins: usize,
    /// Also writes the depths as `depths.f32`, repeated until the file has this many MiB.
    #[serde(default)]
    #[schemars(range(max = 1024))]
    export_mib: u64,
}

fn default_bins() -> usize {
    10
}

/// The result.
#[derive(Serialize, JsonSchema)]
pub struct Output {
    /// The path of the output file with the summary of all soundings.
    summary_path: String,
    /// How many soundings there were.
    soundings: usize,
    /// How many regions they were in.
    regions: usize,
}

/// The count, extremes and mean of some depths.
#[derive(Clone, Copy, Serialize)]
struct Summary {
    count: usize,
    shallowest: f64,
    deepest: f64,
    mean: f64,
}

/// Summarises depth soundings.
pub struct DepthSummary;

impl BlockingJobHandler for DepthSummary {
    const JOB_TYPE: &'static str = "DEPTH_SUMMARY";
    type Input = Input;
    type Output = Output;

    fn handle(&self, input: Input, ctx: &BlockingContext) -> Result<Output, JobError> {
        if !(1..=1000).contains(&input.bins) {
            return Err(JobError::permanent(format!(
                "bins is {}, not 1 to 1000",
                input.bins
            )));
        }
        if input.export_mib > 1024 {
            let error = format!("export_mib is {}, not 0 to 1024", input.export_mib);
            return Err(JobError::permanent(error));
        }
        let file = ctx.fetch(&input.source)?;
        ctx.progress(format_args!("read {}", input.source));
        let regions = read(file.path(), ctx)?;
        let depths: Vec<f64> = regions.values().flatten().copied().collect();
        let Some(summary) = summarise(&depths) else {
            return Err(JobError::permanent(format!(
                "{} has no soundings",
                input.source
            )));
        };
        ctx.progress(format_args!(
            "{} soundings in {} regions",
            depths.len(),
            regions.len()
        ));

        let outputs = ctx.outputs();
        outputs.write_json("summary.json", &summary)?;
        outputs.write("histogram.csv", histogram(&depths, summary, input.bins))?;
        for (region, depths) in &regions {
            outputs.write_json(&format!("regions/{region}.json"), &summarise(depths))?;
        }
        if input.export_mib > 0 {
            export(&outputs.path("depths.f32")?, &depths, input.export_mib, ctx)?;
        }
        Ok(Output {
            summary_path: "summary.json".into(),
            soundings: depths.len(),
            regions: regions.len(),
        })
    }
}

/// The depths by region.
fn read(file: &Path, ctx: &JobContext) -> Result<BTreeMap<String, Vec<f64>>, JobError> {
    let mut regions = BTreeMap::<String, Vec<f64>>::new();
    for (number, line) in BufReader::new(File::open(file)?)
        .lines()
        .enumerate()
        .skip(1)
    {
        if number % 100_000 == 0 {
            ctx.check_cancelled()?;
        }
        let line = line?;
        let wrong =
            |what: &str| JobError::permanent(format!("line {}: {what}: {line}", number + 1));
        let (region, depth) = line
            .split_once(',')
            .ok_or_else(|| wrong("not `region,depth`"))?;
        let depth: f64 = depth
            .trim()
            .parse()
            .map_err(|_| wrong("depth is not a number"))?;
        if !depth.is_finite() {
            return Err(wrong("depth is not a number"));
        }
        regions
            .entry(region.trim().to_owned())
            .or_default()
            .push(depth);
        if regions.len() > MOST_REGIONS {
            return Err(wrong(&format!("more than {MOST_REGIONS} regions")));
        }
    }
    Ok(regions)
}

fn summarise(depths: &[f64]) -> Option<Summary> {
    let count = depths.len();
    (count > 0).then(|| Summary {
        count,
        shallowest: depths.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        deepest: depths.iter().copied().fold(f64::INFINITY, f64::min),
        mean: depths.iter().sum::<f64>() / count as f64,
    })
}

/// Lines of `from,to,count`, from the deepest bar to the shallowest.
fn histogram(depths: &[f64], summary: Summary, bins: usize) -> String {
    let width = (summary.shallowest - summary.deepest) / bins as f64;
    let mut counts = vec![0_usize; bins];
    for depth in depths {
        let bar = if width > 0.0 {
            ((depth - summary.deepest) / width) as usize
        } else {
            0
        };
        counts[bar.min(bins - 1)] += 1;
    }
    let mut csv = String::from("from,to,count\n");
    for (bar, count) in counts.iter().enumerate() {
        let from = summary.deepest + width * bar as f64;
        csv.push_str(&format!("{from:.3},{:.3},{count}\n", from + width));
    }
    csv
}

/// Writes the depths as little-endian 32-bit floats, over and over, until `mib` MiB are full.
fn export(path: &Path, depths: &[f64], mib: u64, ctx: &JobContext) -> Result<(), JobError> {
    let mut file = BufWriter::new(File::create(path)?);
    let floats = usize::try_from(mib << 18)?;
    for (number, depth) in depths.iter().cycle().take(floats).enumerate() {
        if number % 1_000_000 == 0 {
            ctx.check_cancelled()?;
        }
        file.write_all(&(*depth as f32).to_le_bytes())?;
    }
    file.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use reefguide_worker::testing::Harness;
    use serde_json::Value;

    const SOURCE: &str = "s3://bucket/soundings.csv";
    const SOUNDINGS: &str = "region,depth\nheron,-4\nheron,-8\nlizard,-2\n";

    fn harness(csv: &str) -> Harness {
        Harness::blocking(DepthSummary).object(SOURCE, csv.to_owned())
    }

    #[tokio::test]
    async fn it_summarises_all_soundings_and_each_region() {
        let payload = json!({ "source": SOURCE, "bins": 2 });
        let finished = harness(SOUNDINGS).run(payload).await.unwrap();
        assert_eq!(
            finished.result(),
            &json!({ "summary_path": "summary.json", "soundings": 3, "regions": 2 })
        );
        let read =
            |path| -> Value { serde_json::from_slice(&finished.output(path).unwrap()).unwrap() };
        assert_eq!(
            read("summary.json"),
            json!({ "count": 3, "shallowest": -2.0, "deepest": -8.0, "mean": -14.0 / 3.0 })
        );
        assert_eq!(read("regions/heron.json")["mean"], json!(-6.0));
        assert_eq!(
            finished.output("histogram.csv").unwrap(),
            b"from,to,count\n-8.000,-5.000,1\n-5.000,-2.000,2\n"
        );
        assert!(!finished.outputs().join("depths.f32").exists());
    }

    #[tokio::test]
    async fn it_exports_as_many_mebibytes_as_asked_for() {
        let payload = json!({ "source": SOURCE, "export_mib": 1 });
        let finished = harness(SOUNDINGS).run(payload).await.unwrap();
        let exported = finished.output("depths.f32").unwrap();
        assert_eq!(exported.len(), 1 << 20);
        assert_eq!(exported[..4], (-4.0_f32).to_le_bytes());
    }

    #[tokio::test]
    async fn a_line_that_is_wrong_is_named() {
        let csv = "region,depth\nheron,-4\nheron,deep\n";
        let error = harness(csv)
            .run(json!({ "source": SOURCE }))
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "line 3: depth is not a number: heron,deep"
        );
    }

    #[tokio::test]
    async fn a_region_that_is_not_a_file_name_cannot_escape_the_outputs() {
        let csv = "region,depth\n../../etc,-4\n";
        let error = harness(csv)
            .run(json!({ "source": SOURCE }))
            .await
            .unwrap_err();
        assert!(error.to_string().contains("../../etc"), "{error}");
    }

    #[tokio::test]
    async fn a_source_that_does_not_exist_is_named() {
        let payload = json!({ "source": "s3://bucket/none.csv" });
        let error = harness(SOUNDINGS).run(payload).await.unwrap_err();
        assert!(
            error.to_string().contains("s3://bucket/none.csv"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_file_without_soundings_is_refused() {
        let error = harness("region,depth\n")
            .run(json!({ "source": SOURCE }))
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "s3://bucket/soundings.csv has no soundings"
        );
    }
}
