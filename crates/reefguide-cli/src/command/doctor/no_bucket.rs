//! A build that cannot read the claim records, because it has no client of the bucket.

#![expect(clippy::unused_async, reason = "as in a build that reads the bucket")]

use std::time::Duration;

use clap::Args;
use reefguide_client::Client;
use reefguide_client::job::JobId;
use serde::Serialize;

use super::finding::{ClaimFindings, Sweep};
use crate::error::CliError;
use crate::output::Output;

#[derive(Debug, Args)]
pub(super) struct BucketOptions {}

/// There are none.
pub(super) enum Claims {}

/// The claims that a repair has resolved: none, in the form in which other builds print them.
#[derive(Default, Serialize)]
pub(super) struct ResolvedClaims {
    delivered: [JobId; 0],
    obsolete: [JobId; 0],
}

impl Claims {
    pub(super) fn open(
        _: &BucketOptions,
        _: &Client,
        _: Option<Duration>,
        out: Output,
    ) -> Result<Option<Self>, CliError> {
        out.note(format_args!(
            "the records of claims are not checked: this build cannot read the bucket; build it with the feature `bucket`"
        ));
        Ok(None)
    }

    pub(super) async fn check(&self, _: &Client, _: Output) -> Result<ClaimFindings, CliError> {
        match *self {}
    }

    pub(super) async fn sweep(
        &mut self,
        _: &mut ResolvedClaims,
        _: &mut Vec<(JobId, String)>,
    ) -> Result<Sweep, CliError> {
        match *self {}
    }
}

impl ResolvedClaims {
    pub(super) fn count(&self) -> usize {
        self.delivered.len() + self.obsolete.len()
    }

    pub(super) fn describe(&self, _: &mut String) {}
}
