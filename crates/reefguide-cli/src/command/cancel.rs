//! `cancel`.

use clap::Args;
use reefguide_worker::job::JobId;

use crate::error::CliError;
use crate::{output, session};

#[derive(Debug, Args)]
pub(crate) struct Cancel {
    /// The jobs.
    #[arg(value_name = "ID", required = true, value_parser = clap::value_parser!(i64).range(1..))]
    ids: Vec<i64>,
}

impl Cancel {
    /// The first job that cannot be withdrawn ends it.
    pub(super) async fn run(self, json: bool) -> Result<bool, CliError> {
        let client = session::client()?;
        for id in self.ids {
            let job = client.cancel(&JobId::from(id)).await?;
            let line = output::line(json, &job, |job| {
                format!("job {} is {}", job.id, output::status(&job.status))
            });
            output::say(format_args!("{line}"));
        }
        Ok(true)
    }
}
