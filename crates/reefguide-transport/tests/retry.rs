//! The delays of a retry policy.

use std::time::Duration;

use reefguide_transport::retry::{Growth, RetryPolicy};

#[test]
fn delays_grow_to_the_cap_and_stay_below_it() {
    let policy = RetryPolicy::new(Duration::from_millis(100))
        .cap(Duration::from_millis(400))
        .tries(200);
    let bounds = [100, 200, 400].into_iter().chain(std::iter::repeat(400));
    for (delay, bound) in policy.delays().zip(bounds) {
        assert!(
            delay <= Duration::from_millis(bound),
            "{delay:?} > {bound} ms"
        );
    }
    let longest = policy.delays().max().unwrap();
    assert!(
        longest > Duration::from_millis(200),
        "the delay never grew: {longest:?}"
    );
}

#[test]
fn each_growth_has_its_delays() {
    let policy = RetryPolicy::new(Duration::from_secs(2)).cap(Duration::from_secs(7));
    let seconds = |growth| -> Vec<_> {
        let delays = policy.growth(growth).without_jitter().delays();
        delays.map(|delay| delay.as_secs()).collect()
    };
    assert_eq!(seconds(Growth::Constant), [2, 2, 2, 2]);
    assert_eq!(seconds(Growth::Linear), [2, 4, 6, 7]);
    assert_eq!(seconds(Growth::Exponential), [2, 4, 7, 7]);
}

#[test]
fn one_try_has_no_delay() {
    assert_eq!(
        RetryPolicy::new(Duration::from_secs(1))
            .tries(1)
            .delays()
            .count(),
        0
    );
    assert_eq!(
        RetryPolicy::new(Duration::from_secs(1))
            .tries(0)
            .delays()
            .count(),
        0
    );
}
