//! The input of the jobs: synthetic depth soundings, uploaded to the lab's bucket.

use std::fmt::Write as _;

use reefguide_lab::Lab;
use reefguide_worker::storage::StorageUri;

use crate::failure::{Doing, Failure};
use crate::lab_storage;

const REGIONS: [(&str, f64); 3] = [("davies", 12.0), ("heron", 8.0), ("lizard", 20.0)];
/// The number of soundings.
const SOUNDINGS: usize = 60_000;

/// The locations of the inputs.
#[derive(Debug)]
pub(super) struct Inputs {
    /// The bucket.
    pub(super) bucket: String,
    /// A valid file.
    pub(super) soundings: StorageUri,
    /// A file with an invalid line.
    pub(super) broken: StorageUri,
    /// A file that does not exist.
    pub(super) missing: StorageUri,
}

/// Uploads the inputs.
pub(super) async fn upload(lab: &Lab) -> Result<Inputs, Failure> {
    let storage = lab_storage::of(lab);
    let folder: StorageUri = format!("s3://{}/inputs", lab.bucket())
        .parse()
        .doing("naming the inputs")?;
    let at = |name| folder.join(name).doing("naming an input");
    let inputs = Inputs {
        bucket: lab.bucket().to_owned(),
        soundings: at("soundings.csv")?,
        broken: at("broken.csv")?,
        missing: at("missing.csv")?,
    };
    for (uri, text) in [
        (&inputs.soundings, csv(SOUNDINGS)),
        (&inputs.broken, csv(2) + "heron,deep\n"),
    ] {
        storage
            .upload_bytes(text, uri)
            .await
            .doing("uploading an input")?;
    }
    Ok(inputs)
}

/// A header and lines of `region,depth`, the regions in turn, with depths that rise and fall like a reef slope.
/// Deterministic.
fn csv(lines: usize) -> String {
    let mut csv = String::from("region,depth\n");
    for line in 0..lines {
        let (region, mean) = REGIONS[line % REGIONS.len()];
        let along = line as f64 / 400.0;
        let depth = -mean - mean / 2.0 * along.sin() - (line * 7919 % 100) as f64 / 50.0;
        // Writing to a string cannot fail.
        let _ = writeln!(csv, "{region},{depth:.2}");
    }
    csv
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn soundings_are_below_the_surface_and_in_every_region() {
        let csv = csv(6);
        let lines: Vec<_> = csv.lines().skip(1).collect();
        assert_eq!(lines.len(), 6);
        for (line, (region, _)) in lines.iter().zip(REGIONS.iter().cycle()) {
            let (named, depth) = line.split_once(',').unwrap();
            assert_eq!(named, *region);
            assert!(depth.parse::<f64>().unwrap() < 0.0, "{line}");
        }
    }
}
