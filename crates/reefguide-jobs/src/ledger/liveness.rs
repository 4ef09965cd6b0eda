//! Which workers are alive, according to their records.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::record;
use reefguide_storage::StorageUri;

/// What the sweeps so far have seen of other workers' records.
///
/// The silence of a record that has not changed grows by the time between two sweeps, but at most by the interval in which
/// it should have been renewed: during an outage that prevents sweeps, the worker could not renew its record either.
#[derive(Debug, Default)]
pub(super) struct LivenessTracker {
    seen: HashMap<StorageUri, Seen>,
    last_sweep: Option<Instant>,
    since_last_sweep: Duration,
}

#[derive(Debug)]
struct Seen {
    /// A value that changes when the record is renewed, such as an ETag.
    mark: String,
    interval: Duration,
    silent: Duration,
    renewed: bool,
}

/// Whether a worker is alive, according to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Liveness {
    Dead,
    Alive,
    /// Its record has not been renewed since it was first seen, but not for long enough either.
    Undecided,
}

impl LivenessTracker {
    /// Begins a sweep, and forgets the records that are gone.
    pub(super) fn begin(&mut self, exists: impl Fn(&StorageUri) -> bool) {
        self.seen.retain(|uri, _| exists(uri));
        let now = Instant::now();
        self.since_last_sweep = self.last_sweep.map_or(Duration::ZERO, |last| now - last);
        self.last_sweep = Some(now);
    }

    /// Whether the record was seen before.
    pub(super) fn is_known(&self, uri: &StorageUri) -> bool {
        self.seen.contains_key(uri)
    }

    /// Remembers the mark of a record, unless the record is known.
    pub(super) fn observe_first(&mut self, uri: &StorageUri, mark: &str, interval: Duration) {
        self.seen.entry(uri.clone()).or_insert_with(|| Seen {
            mark: mark.to_owned(),
            interval,
            silent: Duration::ZERO,
            renewed: false,
        });
    }

    /// Whether the worker of a known record is alive, given the record's mark in this sweep. It counts as dead after
    /// `dead_after` of silence, or by default after five intervals.
    pub(super) fn observe(
        &mut self,
        uri: &StorageUri,
        mark: &str,
        dead_after: Option<Duration>,
    ) -> Liveness {
        let Some(seen) = self.seen.get_mut(uri) else {
            return Liveness::Undecided;
        };
        if seen.mark == mark {
            seen.silent += self.since_last_sweep.min(seen.interval);
        } else {
            mark.clone_into(&mut seen.mark);
            seen.silent = Duration::ZERO;
            seen.renewed = true;
        }
        let dead_after = dead_after.unwrap_or_else(|| record::dead_after(seen.interval));
        match seen.renewed {
            _ if seen.silent >= dead_after => Liveness::Dead,
            true => Liveness::Alive,
            false => Liveness::Undecided,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(30);

    /// Sweeps one record after each of these waits, in seconds, when it has these marks.
    async fn swept(sweeps: &[(u64, &str)]) -> Vec<Liveness> {
        let uri: StorageUri = "s3://reef/records/1.json".parse().unwrap();
        let mut liveness = LivenessTracker::default();
        let mut seen = Vec::new();
        for (wait, mark) in sweeps {
            tokio::time::advance(Duration::from_secs(*wait)).await;
            liveness.begin(|_| true);
            if !liveness.is_known(&uri) {
                liveness.observe_first(&uri, mark, INTERVAL);
                continue;
            }
            seen.push(liveness.observe(&uri, mark, None));
        }
        seen
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_is_dead_after_five_intervals_of_silence_and_not_before() {
        use Liveness::{Dead, Undecided};
        let silent = [
            (0, "a"),
            (30, "a"),
            (30, "a"),
            (30, "a"),
            (29, "a"),
            (30, "a"),
            (1, "a"),
        ];
        let expected = [Undecided, Undecided, Undecided, Undecided, Undecided, Dead];
        assert_eq!(swept(&silent).await, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_renews_its_record_is_alive_until_it_goes_silent() {
        use Liveness::{Alive, Dead};
        let mut renewed: Vec<_> = (0..20).map(|nth| (30, ["a", "b"][nth % 2])).collect();
        assert!(
            swept(&renewed)
                .await
                .iter()
                .all(|liveness| *liveness == Alive)
        );
        renewed.extend([(30, "b"); 5]);
        let seen = swept(&renewed).await;
        assert_eq!(seen[seen.len() - 2..], [Alive, Dead]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_without_sweeps_makes_no_worker_dead() {
        let hour = 3_600;
        let outage = [(0, "a"), (30, "a"), (hour, "a"), (30, "b")];
        let seen = swept(&outage).await;
        assert!(!seen.contains(&Liveness::Dead), "{seen:?}");
    }
}
