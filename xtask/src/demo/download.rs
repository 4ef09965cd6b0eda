//! The outputs of a job, fetched as its submitter would: by the URLs the API gives out.

use std::path::{Path, PathBuf};

use reefguide_worker::job::JobStatus;
use reefguide_worker::source::reefguide::Client;
use reefguide_worker::storage::ObjectPath;
use tokio::fs::{self, File};
use tokio::io::AsyncWriteExt;

use super::jobs::Job;
use crate::failure::{Doing, Failure};

/// Files and bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Outputs {
    pub(super) files: usize,
    pub(super) bytes: u64,
}

/// Downloads the outputs of a job, if it has succeeded, into a folder of its own below `results`.
pub(super) async fn outputs(
    client: &Client,
    job: &Job,
    results: &Path,
) -> Result<Outputs, Failure> {
    let mut outputs = Outputs::default();
    if job.status != JobStatus::Succeeded {
        return Ok(outputs);
    }
    // The URLs are on this machine, whatever proxy there is.
    let http = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .tls_certs_only([])
        .build()
        .doing("making an HTTP client")?;
    let folder = results.join(format!("{}-{}", job.id, job.job_type.to_lowercase()));
    let files = client
        .download(&job.id, None, None)
        .await
        .doing(format_args!("asking for the outputs of job {}", job.id))?
        .files;
    for (path, url) in files {
        let path: ObjectPath = path.parse().doing("an output's path")?;
        outputs.bytes += file(&http, &url, folder.join(path.as_str()))
            .await
            .map_err(|failure| {
                Failure::new(format!("{} of job {}: {failure}", path.as_str(), job.id))
            })?;
        outputs.files += 1;
    }
    Ok(outputs)
}

async fn file(http: &reqwest::Client, url: &str, to: PathBuf) -> Result<u64, Failure> {
    // The URL is a secret of sorts: it does not belong in a message.
    let downloading = |error: reqwest::Error| error.without_url();
    let answer = http.get(url).send().await;
    let mut answer = answer
        .and_then(reqwest::Response::error_for_status)
        .map_err(downloading)
        .doing("downloading")?;
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)
            .await
            .doing("making its folder")?;
    }
    let mut file = File::create(&to).await.doing("making it")?;
    let mut bytes = 0;
    while let Some(chunk) = answer
        .chunk()
        .await
        .map_err(downloading)
        .doing("downloading")?
    {
        file.write_all(&chunk).await.doing("writing")?;
        bytes += chunk.len() as u64;
    }
    file.flush().await.doing("writing")?;
    Ok(bytes)
}
