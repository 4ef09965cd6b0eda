//! Logging the progress of transfers.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::storage::{TransferProgress, TransferStats};

/// Between two log lines about the same transfers.
const INTERVAL: Duration = Duration::from_secs(30);

/// Runs `work`, and logs at intervals how far its transfers are, while there are any.
pub(super) async fn log_progress_while<T>(
    progress: &TransferProgress,
    work: impl Future<Output = T>,
) -> T {
    let logging = async {
        let mut ticks = interval_at(Instant::now() + INTERVAL, INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut before = TransferStats::default();
        loop {
            ticks.tick().await;
            let now = progress.now();
            if now.bytes != before.bytes || progress.is_under_way() {
                let TransferStats {
                    files,
                    files_found,
                    bytes,
                    bytes_found,
                    ..
                } = now;
                tracing::info!(
                    files,
                    files_found,
                    bytes,
                    bytes_found,
                    "transfers under way"
                );
            }
            before = now;
        }
    };
    tokio::select! {
        biased;
        done = work => done,
        never = logging => never,
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tokio::net::TcpListener;
    use tokio::time::{sleep, timeout};
    use tokio_util::sync::CancellationToken;
    use tracing::subscriber::DefaultGuard;

    use super::*;
    use crate::handler::{ContextParts, JobContext, JobError, Registry};
    use crate::job::{Assignment, Job};
    use crate::ledger::Limit;
    use crate::observe::health::Health;
    use crate::observe::metrics::Metrics;
    use crate::runtime::attempt::store;
    use crate::runtime::observer::Observer;
    use crate::runtime::{COOPERATION, call};
    use crate::storage::{Outputs, S3Credentials, S3Options, Storage, StorageUri};

    /// Time is paused, so no test waits for it.
    const HOUR: Duration = Duration::from_secs(3600);

    /// What is logged on this thread.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Log {
        fn listen(&self) -> DefaultGuard {
            let log = self.clone();
            let subscriber = tracing_subscriber::fmt()
                .with_ansi(false)
                .with_writer(move || log.clone())
                .finish();
            tracing::subscriber::set_default(subscriber)
        }

        fn transfers(&self) -> Vec<String> {
            let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
            let fields = |line: &str| Some(line.split_once("transfers under way ")?.1.to_owned());
            text.lines().filter_map(fields).collect()
        }
    }

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A store that accepts connections and never answers.
    async fn silent() -> (TcpListener, Storage) {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut options = S3Options::default()
            .with_endpoint(format!("http://{}", server.local_addr().unwrap()))
            .with_credentials(S3Credentials {
                access_key: "a".into(),
                secret_key: "s".into(),
                session_token: None,
            });
        options.connect_timeout = HOUR * 2;
        options.try_timeout = HOUR * 2;
        options.operation_timeout = HOUR * 2;
        (server, Storage::s3(options))
    }

    fn uri() -> StorageUri {
        "s3://reef/a".parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn progress_is_logged_once_and_not_again_while_nothing_moves() {
        let (log, folder) = (Log::default(), tempfile::tempdir().unwrap());
        let _listening = log.listen();
        let progress = TransferProgress::default();
        let storage = Storage::folder(folder.path()).with_progress(&progress);
        log_progress_while(&progress, async {
            sleep(HOUR + INTERVAL / 2).await;
            assert_eq!(log.transfers(), [""; 0]);
            storage.upload_bytes("0123456789", &uri()).await.unwrap();
            sleep(HOUR).await;
        })
        .await;
        let line = "files=1 files_found=1 bytes=10 bytes_found=10";
        assert_eq!(log.transfers(), [line]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_handlers_long_transfer_is_logged_every_half_minute() {
        let (log, folder) = (Log::default(), tempfile::tempdir().unwrap());
        let _listening = log.listen();
        let (_server, storage) = silent().await;
        let handler = |(): (), ctx: JobContext| async move {
            let to = uri();
            let upload = ctx.storage().upload_bytes("0123456789", &to);
            assert!(timeout(Duration::from_secs(100), upload).await.is_err());
            assert!(!ctx.transfers().is_under_way());
            sleep(HOUR).await;
            Ok::<_, JobError>(ctx.transfers().now().bytes_found)
        };
        let parts = ContextParts {
            job: Job {
                id: 1.into(),
                job_type: "TEST".into(),
                payload: serde_json::Value::Null,
                created_at: None,
                unreadable: None,
            },
            assignment: Assignment {
                id: 1.into(),
                storage_uri: "file:///outputs".into(),
                expires_at: None,
            },
            attempt: 1,
            scratch: folder.path().to_owned(),
            outputs: Outputs::new(folder.path()),
            storage,
            inputs: None,
            extensions: Default::default(),
            cancellation: CancellationToken::new(),
            deadline: None,
        };
        let limit = Limit {
            shutdown: &CancellationToken::new(),
            end: None,
            ended: None,
        };
        let registry = Registry::new().handler_fn("TEST", handler);
        let found = call(&registry, parts, limit, COOPERATION).await.unwrap();
        assert_eq!(found, 10);
        let line = "files=0 files_found=1 bytes=0 bytes_found=10";
        assert_eq!(log.transfers(), [line; 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_publication_is_logged_every_half_minute() {
        let (log, folder) = (Log::default(), tempfile::tempdir().unwrap());
        let _listening = log.listen();
        let (_server, storage) = silent().await;
        let outputs = Outputs::new(folder.path());
        outputs.write("a", "0123456789").await.unwrap();
        let outputs = outputs.manifest().await.unwrap();
        let observer = Observer::new(Health::new(1), Metrics::new());
        let (to, publishing) = (uri(), Duration::from_secs(100));
        let published = timeout(publishing, store(&outputs, &storage, &to, &observer)).await;
        assert!(published.is_err(), "{published:?}");
        let line = "files=0 files_found=1 bytes=0 bytes_found=10";
        assert_eq!(log.transfers(), [line; 3]);
    }
}
