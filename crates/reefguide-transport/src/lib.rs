//! What the client of the ReefGuide API and the storage have in common.
//!
//! | module | what is in it |
//! | --- | --- |
//! | [`address`] | addresses of servers, as settings and options have them |
//! | [`http_client`] | certificates, proxies, and why there can be no HTTP client |
//! | [`retry`] | the one policy for everything that is repeated |
//! | [`atomic_file`], [`ObjectPath`], [`open_files`], [`blocking`] | files that appear whole or not at all, where they lie, and how many may be open |
//! | [`checksum`], [`s3_answer`] | whether content is what the server has, and whether it was S3 that answered |
//! | [`TransferProgress`] | how far transfers are |
//! | [`text`], [`finite`] | text and JSON in files that people and programs write |
//! | [`trace`] | how a trace goes from one process to another |

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
pub use progress::{TransferObserver, TransferProgress, TransferStats, Transferring};
