//! The figures of a soak.

use std::collections::BTreeMap;

use reefguide_lab::{FaultId, Lab};

use super::log::LogSummary;
use super::worker::Exits;
use crate::failure::{Doing, Failure};

#[derive(Debug, Default)]
pub(super) struct Figures {
    /// How often each kind of fault was set, and how often it struck.
    faults: BTreeMap<String, (u64, u64)>,
    exits: Exits,
}

impl Figures {
    /// Removes a fault and counts it.
    pub(super) fn fault(&mut self, lab: &Lab, id: FaultId) {
        for set in lab.faults().all().into_iter().filter(|set| set.id == id) {
            let kind = set.fault.kind().to_string();
            // Delays of different lengths are one kind.
            let kind = kind.split(" of ").next().unwrap_or_default();
            let kind = kind.split(" held").next().unwrap_or_default();
            let (times, strikes) = self.faults.entry(kind.to_owned()).or_default();
            *times += 1;
            *strikes += set.fired;
        }
        lab.faults().remove(id);
    }

    pub(super) fn exits(&mut self, exits: Exits) {
        for (how, count) in exits {
            *self.exits.entry(how).or_default() += count;
        }
    }

    pub(super) fn print(
        &self,
        lab: &Lab,
        summary: &LogSummary,
        recovered: usize,
    ) -> Result<(), Failure> {
        let jobs = lab.jobs().doing("reading the jobs")?;
        let assignments = jobs
            .iter()
            .map(|job| job["assignments"].as_array().map_or(0, Vec::len));
        let (assignments, claims): (usize, usize) =
            (assignments.sum(), summary.claims.values().sum());
        let strikes: u64 = self.faults.values().map(|(_, strikes)| strikes).sum();
        println!("jobs          {}", statuses(lab)?);
        println!(
            "assignments   {assignments}, of which {claims} were claims and {} wasted or lost",
            assignments - claims.min(assignments)
        );
        println!(
            "resolved      {} claims of dead workers by other workers, {recovered} records in the end",
            summary.resolved
        );
        println!("faults        {strikes} strikes");
        for (kind, (times, strikes)) in &self.faults {
            println!("              {kind}: set {times} times, {strikes} strikes");
        }
        println!(
            "workers       {} processes ended",
            self.exits.values().sum::<usize>()
        );
        for (how, count) in &self.exits {
            println!("              {how}: {count}");
        }
        Ok(())
    }
}

/// The number of jobs in each status.
pub(super) fn statuses(lab: &Lab) -> Result<String, Failure> {
    let mut counts = BTreeMap::<_, usize>::new();
    let jobs = lab.jobs().doing("reading the jobs")?;
    for job in &jobs {
        *counts
            .entry(job["status"].as_str().unwrap_or_default())
            .or_default() += 1;
    }
    let each = counts
        .iter()
        .map(|(status, count)| format!("{count} {status}"));
    Ok(format!(
        "{}: {}",
        jobs.len(),
        each.collect::<Vec<_>>().join(", ")
    ))
}
