//! The lab's S3 server: [`s3s`] speaks the protocol, this module keeps the objects.
//!
//! An object is a row of an SQLite index ([`Store`]) that names the files with its bytes ([`blob`]).
//! Keys live in the index only and never become file names, so that every key S3 allows is safe
//! here. What a request changes becomes visible in one transaction, after its bytes are on disk.
//!
//! Uploads and downloads are streamed; no object is ever held in memory.

mod backend;
mod blob;
mod checksum;
mod contents;
mod copy;
mod error;
mod listing;
mod multipart;
mod object;
mod presign;
mod receive;
mod store;
mod upload;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};

pub(crate) use error::StoreError;
pub(crate) use presign::presign_get;
pub(crate) use store::Store;

/// The one key pair the server accepts.
#[derive(Clone)]
pub(crate) struct Credentials {
    /// The public half, sent with every request.
    pub(crate) access_key: String,
    /// The half that signs and is never sent.
    pub(crate) secret_key: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key", &self.access_key)
            .finish_non_exhaustive()
    }
}

/// Builds the HTTP service over `store`. Requests address buckets by path (`/bucket/key`) and are
/// signed with `credentials`; unsigned ones get `AccessDenied`.
pub(crate) fn service(store: Arc<Store>, credentials: Credentials) -> S3Service {
    let mut builder = S3ServiceBuilder::new(backend::Backend { store });
    builder.set_auth(SimpleAuth::from_single(
        credentials.access_key,
        credentials.secret_key,
    ));
    builder.build()
}
