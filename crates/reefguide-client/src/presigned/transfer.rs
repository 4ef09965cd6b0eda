//! One file on its way: requested, written as it arrives, resumed after an interruption, and verified.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use reefguide_transport::ObjectPath;
use reefguide_transport::atomic_file::{AtomicFile, Destination, FileSystemError};
use reefguide_transport::blocking::blocking;
use reefguide_transport::checksum::{Expected, InOrder, Verification};
use reefguide_transport::http_client::Proxy;
use reefguide_transport::retry::RetryPolicy;
use reefguide_transport::s3_answer::{Asked, Judgement};
use reqwest::header::{IF_MATCH, RANGE};
use reqwest::{Response, StatusCode, Url};

use super::answer::{
    begins_at, body_start, content_headers, content_length, explanation, head, retry_after,
};
use super::{DownloadedFile, PresignedDownloads, PresignedError, VerifiedBy};

/// Between tries of one file, four in total.
const RETRIES: RetryPolicy = RetryPolicy::new(Duration::from_millis(500))
    .cap(Duration::from_secs(5))
    .tries(4);
/// How many bytes are collected before they are written.
const BUFFER: usize = 1 << 20;

/// One file to download.
pub(super) struct Transfer<'a> {
    pub(super) downloads: &'a PresignedDownloads,
    pub(super) url: Url,
    pub(super) server: String,
    pub(super) path: &'a ObjectPath,
    pub(super) to: &'a Path,
}

/// A file of which a part has arrived.
struct PartialFile {
    file: AtomicFile,
    arrived: InOrder,
    /// `None` if the server does not say it.
    size: Option<u64>,
    etag: Option<String>,
    verified_by: VerifiedBy,
}

impl Transfer<'_> {
    /// Downloads the file. A try after an interruption continues with what has arrived.
    pub(super) async fn run(&self) -> Result<DownloadedFile, PresignedError> {
        let mut delays = RETRIES.delays();
        let mut arrived = None;
        loop {
            let (left, done) = self.try_once(arrived).await;
            let error = match done {
                Ok(file) => return Ok(file),
                Err(error) => error,
            };
            let delay = delays.next().filter(|_| error.is_retryable());
            let Some(delay) = delay else {
                return Err(error);
            };
            tracing::debug!(path = %self.path, %error, "download interrupted");
            arrived = left;
            tokio::time::sleep(delay.max(error.retry_after())).await;
        }
    }

    /// Continues with what has arrived, or starts from the beginning. On failure it returns what has arrived by then.
    async fn try_once(
        &self,
        arrived: Option<PartialFile>,
    ) -> (Option<PartialFile>, Result<DownloadedFile, PresignedError>) {
        // Without an ETag the object may have changed.
        let arrived = arrived.filter(|partial| partial.etag.is_some());
        let mut response = match self.request(arrived.as_ref()).await {
            Ok(response) => response,
            // What has arrived can no longer be used.
            Err(error @ PresignedError::Broken { .. }) => return (None, Err(error)),
            Err(error) => return (arrived, Err(error)),
        };
        let continues = response.status() == StatusCode::PARTIAL_CONTENT;
        let mut partial = match arrived.filter(|_| continues) {
            Some(partial) => partial,
            None => match self.begin(&response).await {
                Ok(partial) => partial,
                Err(error) => return (None, Err(error)),
            },
        };
        let mut buffer = Vec::new();
        loop {
            let mut full = false;
            let piece = response.chunk().await.map_err(|error| self.lost(error));
            let ended = !matches!(piece, Ok(Some(_)));
            if let Ok(Some(piece)) = &piece {
                buffer.push(piece.clone());
                full = buffer.iter().map(Bytes::len).sum::<usize>() >= BUFFER;
            }
            if full || ended {
                let written = self.write(partial, std::mem::take(&mut buffer));
                partial = match written.await {
                    Ok(partial) => partial,
                    Err(error) => return (None, Err(error)),
                };
            }
            match piece {
                Ok(Some(_)) => {}
                Ok(None) => return (None, self.commit(partial).await),
                Err(error) => return (Some(partial), Err(error)),
            }
        }
    }

    /// Requests the object, or what is missing of it.
    async fn request(&self, arrived: Option<&PartialFile>) -> Result<Response, PresignedError> {
        let mut request = self.downloads.client.get(self.url.clone());
        let mut at = 0;
        let arrived = arrived.and_then(|partial| Some((partial, partial.etag.as_ref()?)));
        if let Some((partial, etag)) = arrived {
            at = partial.arrived.size();
            request = request
                .header(RANGE, format!("bytes={at}-"))
                .header(IF_MATCH, etag);
        }
        let mut response = request.send().await.map_err(|error| self.lost(error))?;
        let status = response.status();
        let (asked, head) = (Asked::by("GET", self.url.path()), head(&response));
        let judgement = asked.judge(&head);
        if judgement == Judgement::OfS3 {
            let another_part =
                status == StatusCode::PARTIAL_CONTENT && !begins_at(response.headers(), at);
            return match another_part {
                true => Err(self.broken("the server sent another part of it")),
                false => Ok(response),
            };
        }
        let body = body_start(&mut response).await;
        if let Err(answer) = asked.conclude(judgement, &head, &body) {
            return Err(PresignedError::Foreign {
                path: self.path.clone(),
                server: self.server.clone(),
                answer: answer.to_string(),
            });
        }
        match status {
            StatusCode::PRECONDITION_FAILED if at > 0 => {
                Err(self.broken("it was replaced in the meantime: download it again"))
            }
            _ => Err(self.refused(&response, &body)),
        }
    }

    /// Creates the file for the content of a response.
    async fn begin(&self, response: &Response) -> Result<PartialFile, PresignedError> {
        let size = content_length(response.headers());
        let headers = content_headers(response.headers());
        let expected = match Expected::of(&headers) {
            // Over a presigned URL, the boundaries of the parts cannot be learned.
            Expected::Parts(..) => Expected::Nothing,
            expected => expected,
        };
        let verified_by = match expected {
            Expected::Whole(..) => VerifiedBy::Checksum,
            Expected::Md5(_) => VerifiedBy::Md5,
            _ => VerifiedBy::Length,
        };
        let etag = headers.etag.map(str::to_owned);
        let verification = Verification::new(expected, size.unwrap_or(u64::MAX), None);
        let to = Destination::Below(self.to.to_owned(), self.path.clone());
        let reserved = blocking(move || {
            let file = AtomicFile::at(to)?;
            file.reserve(size.unwrap_or_default())?;
            Ok::<_, FileSystemError>(file)
        });
        let file = reserved.await?;
        self.downloads.progress.found(size.unwrap_or_default());
        Ok(PartialFile {
            file,
            arrived: InOrder::new(verification),
            size,
            etag,
            verified_by,
        })
    }

    async fn write(
        &self,
        mut partial: PartialFile,
        pieces: Vec<Bytes>,
    ) -> Result<PartialFile, PresignedError> {
        let before = partial.arrived.size();
        let partial = blocking(move || {
            for piece in pieces {
                let offset = partial.arrived.size();
                let written = partial.file.file().write_all_at(&piece, offset);
                written.map_err(FileSystemError::during("write", partial.file.target()))?;
                partial.arrived.add(&piece);
            }
            Ok::<_, FileSystemError>(partial)
        })
        .await?;
        let written = partial.arrived.size() - before;
        self.downloads.progress.moved(written);
        Ok(partial)
    }

    /// Verifies the file and gives it its name.
    async fn commit(&self, partial: PartialFile) -> Result<DownloadedFile, PresignedError> {
        let PartialFile {
            file,
            mut arrived,
            size,
            verified_by,
            ..
        } = partial;
        if size.is_some_and(|size| size != arrived.size()) {
            return Err(self.broken("its length is not the one that the server announced"));
        }
        if !arrived.are_right() {
            return Err(self.broken("its checksum does not match what arrived"));
        }
        blocking(move || file.commit()).await?;
        Ok(DownloadedFile {
            size: arrived.size(),
            verified_by,
        })
    }

    fn lost(&self, error: reqwest::Error) -> PresignedError {
        let (path, server) = (self.path.clone(), self.server.clone());
        let source = error.without_url();
        match Proxy::failed(&server, &source) {
            Some(proxy) => PresignedError::Proxy {
                path,
                server,
                proxy: proxy.to_string(),
                source,
            },
            None => PresignedError::Unreachable {
                path,
                server,
                source,
            },
        }
    }

    fn broken(&self, problem: &'static str) -> PresignedError {
        PresignedError::Broken {
            path: self.path.clone(),
            problem,
        }
    }

    fn refused(&self, response: &Response, body: &[u8]) -> PresignedError {
        PresignedError::Refused {
            path: self.path.clone(),
            server: self.server.clone(),
            status: response.status().as_u16(),
            message: explanation(&String::from_utf8_lossy(body)),
            retry_after: retry_after(response.headers()),
        }
    }
}
