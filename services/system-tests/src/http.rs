//! How tests call: every client under one deadline, past any proxy, with one provider of cryptography.

use std::time::Duration;

/// Longest a single call may take.
const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) fn client() -> reqwest::ClientBuilder {
    // Once per process; a second time it says that it is there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().timeout(DEADLINE).no_proxy()
}
