#![doc = include_str!("../README.md")]

mod answer;
mod client;
mod clock;
mod error;
mod http;
pub mod job;
mod presigned;
mod raw;
mod session;
mod wire;

pub use client::{Client, ClientBuilder, JobFilter};
pub use error::{ApiError, Issue};
pub use presigned::{DownloadedFile, PresignedDownloads, PresignedError, VerifiedBy};
pub use session::TokenObserver;
pub use wire::{
    AssignmentRecord, CreatedJob, Download, JobDetails, JobList, JobRecord, Profile, ResultRecord,
    TimedOutJobs,
};
