//! Telling by their records which workers live.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::record;
use reefguide_storage::StorageUri;

/// What was seen of the records of other workers, look by look.
///
/// A record that stays the same grows silent by the time between two looks, but by no more than the
/// interval in which it should have been renewed: while nobody could look, perhaps nobody could renew
/// either.
#[derive(Debug, Default)]
pub(super) struct LivenessTracker {
    seen: HashMap<StorageUri, Seen>,
    last_look: Option<Instant>,
    since_last_look: Duration,
}

#[derive(Debug)]
struct Seen {
    /// What of the record changes when it is renewed.
    mark: String,
    interval: Duration,
    silent: Duration,
    renewed: bool,
}

/// What can be said of a worker by its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Liveness {
    Dead,
    Alive,
    Undecided,
}

impl LivenessTracker {
    /// Begins a look, at which there are these records.
    pub(super) fn begin(&mut self, exists: impl Fn(&StorageUri) -> bool) {
        self.seen.retain(|uri, _| exists(uri));
        let now = Instant::now();
        self.since_last_look = self.last_look.map_or(Duration::ZERO, |last| now - last);
        self.last_look = Some(now);
    }

    /// Whether the record was seen before.
    pub(super) fn is_known(&self, uri: &StorageUri) -> bool {
        self.seen.contains_key(uri)
    }

    /// Notes what a record looks like that was not seen before, or is read anew each time.
    pub(super) fn observe_first(&mut self, uri: &StorageUri, mark: &str, interval: Duration) {
        self.seen.entry(uri.clone()).or_insert_with(|| Seen {
            mark: mark.to_owned(),
            interval,
            silent: Duration::ZERO,
            renewed: false,
        });
    }

    /// What the record says of its worker, given what it looks like now. It counts as dead after
    /// `dead_after` of silence, or after five of its own intervals.
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
            seen.silent += self.since_last_look.min(seen.interval);
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

    /// One record, looked at after each of these waits, in seconds, with what it looks like then.
    async fn looks(looks: &[(u64, &str)]) -> Vec<Liveness> {
        let uri: StorageUri = "s3://reef/records/1.json".parse().unwrap();
        let mut liveness = LivenessTracker::default();
        let mut seen = Vec::new();
        for (wait, mark) in looks {
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
        assert_eq!(looks(&silent).await, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_renews_its_record_lives_until_it_falls_silent() {
        use Liveness::{Alive, Dead};
        let mut renewed: Vec<_> = (0..20).map(|nth| (30, ["a", "b"][nth % 2])).collect();
        assert!(
            looks(&renewed)
                .await
                .iter()
                .all(|sighting| *sighting == Alive)
        );
        renewed.extend([(30, "b"); 5]);
        let seen = looks(&renewed).await;
        assert_eq!(seen[seen.len() - 2..], [Alive, Dead]);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_dead_because_nobody_could_look() {
        let hour = 3_600;
        let outage = [(0, "a"), (30, "a"), (hour, "a"), (30, "b")];
        let seen = looks(&outage).await;
        assert!(!seen.contains(&Liveness::Dead), "{seen:?}");
    }
}
