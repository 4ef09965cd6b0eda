//! The lab's S3 server: [`s3s`] implements the protocol, and this module stores the objects.
//!
//! An object is a row of an SQLite index ([`ObjectStore`]) that references the files with its bytes ([`blob`]). Keys are
//! only in the index and never become file names, so every key that S3 allows is safe. The changes of a request become
//! visible in one transaction, after its bytes are on disk.
//!
//! Uploads and downloads are streamed: no object is held in memory.

mod backend;
mod blob;
mod bucket;
mod checksum;
mod conditions;
mod copy;
mod credentials;
mod error;
mod inspect;
mod list_objects;
mod listing;
mod multipart;
mod object;
mod presign;
mod protocol;
mod receive;
mod store;
mod time;
mod upload;

use std::sync::Arc;

use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};

pub(crate) use credentials::Credentials;
pub(crate) use error::ObjectStoreError;
pub(crate) use presign::presign_get;
pub(crate) use store::ObjectStore;

/// Builds the HTTP service over `store`. Requests address buckets by path (`/bucket/key`) and are signed with
/// `credentials`. Unsigned requests get `AccessDenied`.
pub(crate) fn service(store: Arc<ObjectStore>, credentials: Credentials) -> S3Service {
    let mut builder = S3ServiceBuilder::new(backend::Backend { store });
    builder.set_auth(SimpleAuth::from_single(
        credentials.access_key,
        credentials.secret_key,
    ));
    builder.build()
}
