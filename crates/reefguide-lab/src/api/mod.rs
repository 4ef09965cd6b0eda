//! The job API: the routes of the real server, and the lab's own under `/lab`.

mod admin;
mod auth;
mod claims;
mod control;
mod download;
mod error;
mod jobs;
mod login_limit;
mod page;
mod request;
mod response;
mod router;
mod same_origin;
mod state;
mod zod;

pub(crate) use login_limit::LoginLimit;
pub(crate) use router::service;
pub(crate) use state::{Api, Objects};
