//! Placeholder until the crate is filled.
fn main() {}
