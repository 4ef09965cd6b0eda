//! `check`: everything a worker needs, tried one by one.

use std::io::Write as _;

use super::invocation::{Invocation, client, listen, storage};
use super::problem::{Problem, api_problem, bucket_problem, cache_problem, scratch_problem};
use crate::app::Exit;
use crate::app::config::Config;
use crate::app::ecs::TaskIdentity;
use crate::app::stdout::{StdoutError, answer};
use crate::source::reefguide::Client;
use crate::storage::{InputCache, Storage, StorageUri};

impl Invocation {
    pub(super) async fn check(self) -> Result<Exit, Problem> {
        listen()?;
        let mut report = Report { exit: Exit::Done };
        let Some(config) = report.note("configuration", self.loaded())? else {
            return Ok(report.exit);
        };
        for warning in config.warnings() {
            let (subject, found, remedy) = (&warning.subject, &warning.found, &warning.remedy);
            answer(format_args!(
                "note  configuration: {subject} {found}; {remedy}"
            ))?;
        }
        report.note("scratch", scratch(&config))?;
        if let Some(cache) = config.input_cache() {
            report.note("cache", prepared(&cache).await)?;
        }
        report.note("task", Ok(task(&config).await))?;
        match client(&config) {
            Err(error) => {
                report.note::<()>("account", Err(api_problem(&config, &error)))?;
            }
            Ok(client) => {
                if report
                    .note("account", account(&config, &client).await)?
                    .is_some()
                {
                    for job_type in &config.job_types {
                        let polled = client.poll(Some(job_type)).await;
                        let waiting = polled
                            .map(|jobs| Good {
                                value: (),
                                said: said_waiting(jobs.len()),
                            })
                            .map_err(|error| api_problem(&config, &error));
                        report.note(job_type.as_str(), waiting)?;
                    }
                }
            }
        }
        report.note("bucket", bucket(&config, &storage(&config)).await)?;
        Ok(report.exit)
    }

    fn loaded(&self) -> Result<Good<Config>, Problem> {
        let config = self.load(&self.sources())?;
        let said = format!(
            "API at {}, as {}",
            config.api_endpoint, config.worker_username
        );
        Ok(Good {
            value: config,
            said,
        })
    }
}

/// A part that is good, and what to say of it.
struct Good<T> {
    value: T,
    said: String,
}

/// Lines on stdout, and the exit code of the first part that is bad.
struct Report {
    exit: Exit,
}

impl Report {
    fn note<T>(
        &mut self,
        part: &str,
        tried: Result<Good<T>, Problem>,
    ) -> Result<Option<T>, StdoutError> {
        match tried {
            Ok(Good { value, said }) => {
                answer(format_args!("good  {part}: {said}"))?;
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

fn said_waiting(jobs: usize) -> String {
    match jobs {
        0 => "no job waits".into(),
        10.. => "10 jobs or more wait".into(),
        1 => "1 job waits".into(),
        _ => format!("{jobs} jobs wait"),
    }
}

fn scratch(config: &Config) -> Result<Good<()>, Problem> {
    let folder = &config.data_scratch_space;
    std::fs::create_dir_all(folder)
        .and_then(|()| tempfile::tempfile_in(folder))
        // A full disk takes a file, and nothing in it.
        .and_then(|mut file| file.write_all(&[0; 64 << 10]))
        .map(|()| Good {
            value: (),
            said: format!("{} can be written", folder.display()),
        })
        .map_err(|error| scratch_problem(folder, &error))
}

async fn prepared(cache: &InputCache) -> Result<Good<()>, Problem> {
    let prepared = cache.prepare().await;
    prepared.map_err(|error| cache_problem(cache, &error))?;
    let (folder, limit) = (cache.folder().display(), cache.limit());
    let said = format!("{folder} can be written and locked, {limit} bytes at most");
    Ok(Good { value: (), said })
}

async fn task(config: &Config) -> Good<()> {
    let task = TaskIdentity::discover(config.ecs_container_metadata_uri.as_deref()).await;
    Good {
        value: (),
        said: task.task_arn,
    }
}

async fn account(config: &Config, client: &Client) -> Result<Good<()>, Problem> {
    let profile = client
        .profile()
        .await
        .map_err(|error| api_problem(config, &error))?;
    Ok(Good {
        value: (),
        said: format!("{}, {}", profile.email, profile.roles.join(", ")),
    })
}

/// Lists, writes and deletes, where no user's listing shows it.
async fn bucket(config: &Config, storage: &Storage) -> Result<Good<()>, Problem> {
    let Some(bucket) = &config.s3_bucket_name else {
        let said =
            "not tried, since S3_BUCKET_NAME is not set; each assignment names its own".into();
        return Ok(Good { value: (), said });
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
            said: format!("{bucket} can be listed and written"),
        }),
        Err(error) => Err(bucket_problem(config, &error)),
    }
}
