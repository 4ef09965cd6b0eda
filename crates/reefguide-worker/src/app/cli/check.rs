//! `check`: tries everything that a worker needs, one after the other.

use std::io::Write as _;

use super::command_error::{CommandError, api_error, bucket_error, cache_error, scratch_error};
use super::invocation::{Invocation, client, listen, storage};
use crate::app::Exit;
use crate::app::config::{ApiAccount, Config};
use crate::app::platform::ecs::TaskIdentity;
use crate::app::stdout::{StdoutError, answer};
use crate::source::reefguide::Client;
use crate::storage::{InputCache, Storage, StorageUri};

impl Invocation {
    pub(super) async fn check(self) -> Result<Exit, CommandError> {
        listen()?;
        let mut report = Report { exit: Exit::Done };
        let Some((config, account)) = report.note("configuration", self.loaded())? else {
            return Ok(report.exit);
        };
        for warning in config.warnings() {
            let (subject, found, help) = (&warning.subject, &warning.found, &warning.help);
            answer(format_args!(
                "note  configuration: {subject} {found}; {help}"
            ))?;
        }
        report.note("scratch", scratch(&config))?;
        if let Some(cache) = config.input_cache() {
            report.note("cache", prepared(&cache).await)?;
        }
        report.note("task", Ok(task(&config).await))?;
        match client(&config, &account) {
            Err(error) => {
                report.note::<()>("account", Err(api_error(&account, &error)))?;
            }
            Ok(client) => {
                if report
                    .note("account", profile(&account, &client).await)?
                    .is_some()
                {
                    for job_type in &config.job_types {
                        let polled = client.poll(Some(job_type)).await;
                        let polled = polled
                            .map(|jobs| Good {
                                value: (),
                                detail: waiting(jobs.len()),
                            })
                            .map_err(|error| api_error(&account, &error));
                        report.note(job_type.as_str(), polled)?;
                    }
                }
            }
        }
        report.note("bucket", bucket(&config, &storage(&config)).await)?;
        Ok(report.exit)
    }

    fn loaded(&self) -> Result<Good<(Config, ApiAccount)>, CommandError> {
        let (config, account) = self.load()?;
        Ok(Good {
            detail: format!("API at {}, as {}", account.endpoint, account.username),
            value: (config, account),
        })
    }
}

/// A part that works, with a detail to print.
struct Good<T> {
    value: T,
    detail: String,
}

/// Prints a line for each part, and keeps the exit code of the first that does not work.
struct Report {
    exit: Exit,
}

impl Report {
    fn note<T>(
        &mut self,
        part: &str,
        result: Result<Good<T>, CommandError>,
    ) -> Result<Option<T>, StdoutError> {
        match result {
            Ok(Good { value, detail }) => {
                answer(format_args!("good  {part}: {detail}"))?;
                Ok(Some(value))
            }
            Err(problem) => {
                answer(format_args!("BAD   {part}: {}", problem.message))?;
                if self.exit == Exit::Done {
                    self.exit = problem.exit;
                }
                Ok(None)
            }
        }
    }
}

fn waiting(jobs: usize) -> String {
    match jobs {
        0 => "no job waits".into(),
        10.. => "10 jobs or more wait".into(),
        1 => "1 job waits".into(),
        _ => format!("{jobs} jobs wait"),
    }
}

fn scratch(config: &Config) -> Result<Good<()>, CommandError> {
    let folder = &config.data_scratch_space;
    std::fs::create_dir_all(folder)
        .and_then(|()| tempfile::tempfile_in(folder))
        // A full disk accepts an empty file.
        .and_then(|mut file| file.write_all(&[0; 64 << 10]))
        .map(|()| Good {
            value: (),
            detail: format!("{} can be written", folder.display()),
        })
        .map_err(|error| scratch_error(folder, &error))
}

async fn prepared(cache: &InputCache) -> Result<Good<()>, CommandError> {
    let prepared = cache.prepare().await;
    prepared.map_err(|error| cache_error(cache, &error))?;
    let (folder, limit) = (cache.folder().display(), cache.limit());
    let detail = format!("{folder} can be written and locked, {limit} bytes at most");
    Ok(Good { value: (), detail })
}

async fn task(config: &Config) -> Good<()> {
    let task = TaskIdentity::discover(config.ecs_container_metadata_uri.as_deref()).await;
    Good {
        value: (),
        detail: task.task_arn,
    }
}

async fn profile(account: &ApiAccount, client: &Client) -> Result<Good<()>, CommandError> {
    let profile = client
        .profile()
        .await
        .map_err(|error| api_error(account, &error))?;
    Ok(Good {
        value: (),
        detail: format!("{}, {}", profile.email, profile.roles.join(", ")),
    })
}

/// Lists, writes and deletes, at a place that no user sees.
async fn bucket(config: &Config, storage: &Storage) -> Result<Good<()>, CommandError> {
    let Some(bucket) = &config.s3_bucket_name else {
        let detail =
            "not tried, since S3_BUCKET_NAME is not set; each assignment names its own".into();
        return Ok(Good { value: (), detail });
    };
    let trial = async {
        storage.probe(bucket).await?;
        let object = format!(
            "s3://{bucket}/reefguide-worker/check/{}",
            uuid::Uuid::new_v4()
        );
        let object: StorageUri = object.parse()?;
        storage
            .upload_bytes("written by `check`, safe to delete", &object)
            .await?;
        storage.delete(&object).await
    };
    match trial.await {
        Ok(()) => Ok(Good {
            value: (),
            detail: format!("{bucket} can be listed and written"),
        }),
        Err(error) => Err(bucket_error(config, &error)),
    }
}
