//! The key pair of the S3 server.

use std::fmt;

/// The only key pair that the server accepts.
#[derive(Clone)]
pub(crate) struct Credentials {
    /// The id, which is sent with every request.
    pub(crate) access_key: String,
    /// The secret that signs requests and is never sent.
    pub(crate) secret_key: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key", &self.access_key)
            .finish_non_exhaustive()
    }
}
