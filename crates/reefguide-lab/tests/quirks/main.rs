//! What the recorded exchanges do not show: races, limits, connections, and what the fault dials do.
#![expect(clippy::unwrap_used, reason = "tests and what they share")]

mod access;
mod audit;
mod bodies;
mod claims;
mod faults;
mod hosts;
mod jobs;
mod page;
mod session;
mod transport;
