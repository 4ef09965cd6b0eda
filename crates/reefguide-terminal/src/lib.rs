#![doc = include_str!("../README.md")]

mod bar;
mod exit;
pub mod log_queue;
mod signal;
pub mod signals;
pub mod stdout;

pub use bar::{Bar, Position};
pub use exit::Exit;
pub use signal::Signal;
