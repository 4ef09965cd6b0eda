//! What the ReefGuide API's client and the storage share.
//!
//! | module | what is in it |
//! | --- | --- |
//! | [`address`] | reads addresses of servers from settings and options |
//! | [`http_client`] | HTTP clients: certificates, proxies, no redirects |
//! | [`retry`] | the retry policy |
//! | [`atomic_file`], [`ObjectPath`], [`open_files`], [`blocking`] | files that appear complete or not at all, their paths, and how many may be open |
//! | [`checksum`], [`s3_answer`] | verifies content, and that it was S3 that answered |
//! | [`TransferProgress`] | the progress of transfers |
//! | [`text`], [`finite`] | text and JSON files that people and programs write |
//! | [`trace`] | passes traces from one process to another |

pub mod address;
pub mod atomic_file;
pub mod blocking;
mod chain;
pub mod checksum;
pub mod finite;
pub mod hex;
pub mod http_client;
mod object_path;
pub mod open_files;
mod progress;
pub mod retry;
pub mod s3_answer;
pub mod text;
pub mod trace;

pub use chain::Chain;
pub use object_path::{MAX_KEY_BYTES, ObjectPath, PathError};
pub use progress::{TransferGuard, TransferObserver, TransferProgress, TransferStats};
