//! Build a job worker by writing handlers.

pub mod health;
pub mod job;
pub mod retry;
pub mod service;
pub mod storage;
