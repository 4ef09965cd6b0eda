#![doc = include_str!("../README.md")]

#[cfg(doctest)]
mod book;
mod chain;
pub mod handler;
pub mod health;
pub mod job;
pub mod prelude;
pub mod retry;
pub mod runtime;
pub mod service;
pub mod source;
pub mod storage;
pub mod testing;

pub use chain::Chain;
