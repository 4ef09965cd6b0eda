//! What surrounds the process: ECS, the limits of its container, its memory, paths, and HTTP to this machine.

pub mod ecs;
pub(super) mod limits;
pub(super) mod paths;
pub mod process_memory;

use std::time::Duration;

use reqwest::redirect::Policy;

/// A client for plain HTTP to this machine or its host: it uses no proxy, and it needs no root
/// certificates, which a minimal image may not have.
pub(super) fn plain_http_client(timeout: Duration) -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(Policy::none())
        .tls_certs_only([])
        .timeout(timeout)
        .build()
}
