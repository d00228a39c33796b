//! Keys, certificates and sealed blobs: everything the vaults need of cryptography.
//!
//! Well-kept crates do the work; what is here gives them the shapes Azure speaks. Nothing here derives `Debug` that
//! holds key material, and errors never repeat it. Deliberately absent: encryption and key wrapping, which no caller
//! of the emulator needs to prove that a restored key is the same.

mod chain;
mod facts;
mod issue;
mod key;
mod seal;
mod sign;
mod subject;

pub use chain::Chain;
pub use facts::{Facts, Names, facts, thumbprint};
pub use issue::{EXTENDED_KEY_USAGE, IssueSpec, KEY_USAGE, request};
pub use key::{Curve, KeySpec, PrivateKey, RSA_SIZES};
pub use seal::{SealError, Sealer};

/// Why something could not be made, read or used. No text repeats key material.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CryptoError {
    #[error("the key cannot be read")]
    Key,
    #[error("the key could not be made")]
    Generate,
    #[error("the key is missing the property {0}, or it cannot be read")]
    Jwk(&'static str),
    #[error("an RSA key of {0} bits is not supported: use 2048, 3072 or 4096")]
    Size(usize),
    #[error("the algorithm {0} does not go with this key")]
    Algorithm(String),
    #[error("the digest has {given} bytes where {wanted} are needed")]
    Digest { given: usize, wanted: usize },
    #[error("the private key is in a block labelled {0}, not in PKCS#8")]
    NotPkcs8(String),
    #[error("the certificate cannot be read")]
    Certificate,
    #[error("the certificate could not be issued: {0}")]
    Issue(String),
    #[error("the bundle cannot be read, or its password is wrong")]
    Bundle,
    #[error("the bundle holds no private key")]
    NoPrivateKey,
    #[error("the private key belongs to none of the certificates")]
    Unrelated,
}
