#![doc = include_str!("../README.md")]

mod account;
mod api;
mod audit;
mod body;
mod builder;
mod command;
mod connection;
mod data;
mod error;
mod fault;
mod fault_response;
mod faults;
mod hex;
mod interceptor;
mod job_type;
mod jsonb;
mod lab;
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
pub use error::LabError;
pub use fault::{Fault, FaultKind};
pub use faults::{FaultId, Faults, SetFault};
pub use job_type::JobTypeSpec;
pub use lab::Lab;
pub use request_log::RequestRecord;
pub use route::{Route, Side, UnknownRoute};
