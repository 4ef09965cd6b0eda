//! Workers that `cargo generate` generates from the templates. The tests need the command cargo-generate and build whole
//! workers, so `cargo test` does not run them, but `cargo xtask template-check` does.

#![expect(clippy::unwrap_used, reason = "tests and what they share")]

mod building;
mod example;
mod files;
mod handler;
mod images;
mod linting;
mod packages;
mod refused;
mod repository;
mod tools;
mod update;
mod worker;
