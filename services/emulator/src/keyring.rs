//! The keys that an emulator keeps for as long as its state: what clients trust, what signs tokens, what seals backups.

use serde::{Deserialize, Serialize};

use crate::{
    crypto::{KeySpec, PrivateKey, Sealer},
    error::EmulatorError,
    tls::Ca,
};

/// All of them.
#[derive(Clone, Serialize, Deserialize)]
pub struct Keyring {
    pub ca: Ca,
    pub token_key: PrivateKey,
    pub sealer: Sealer,
}

impl Keyring {
    /// Makes new ones; `now` is seconds since 1970.
    pub fn generate(now: i64) -> Result<Self, EmulatorError> {
        let failed = |error: crate::crypto::CryptoError| EmulatorError::TokenKey(error.into());
        Ok(Self {
            ca: Ca::generate(now)?,
            token_key: PrivateKey::generate(KeySpec::Rsa { bits: 2_048 }).map_err(failed)?,
            sealer: Sealer::generate().map_err(failed)?,
        })
    }
}
