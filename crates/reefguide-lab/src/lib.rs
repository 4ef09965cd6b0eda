#![doc = include_str!("../README.md")]

mod account;
mod api;
mod audit;
mod body;
mod builder;
mod command;
mod data;
mod fault;
mod gate;
mod job_type;
mod jsonb;
mod lab;
mod refusal;
mod request_log;
mod route;
mod s3;
mod server;
mod store;
mod token;
pub mod update;

pub use audit::{Outputs, Violation};
pub use builder::LabBuilder;
pub use command::main;
pub use fault::{Fault, FaultId, FaultKind, Faults, SetFault};
pub use job_type::JobTypeSpec;
pub use lab::{Lab, LabError};
pub use request_log::RequestRecord;
pub use route::{Route, Side, UnknownRoute};
