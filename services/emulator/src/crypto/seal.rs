//! Backup blobs: opaque, authenticated, and good only in the geography and subscription they were made in.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};

use super::CryptoError;

/// Marks a blob, so that anything else is refused before it is decrypted.
const MAGIC: &[u8] = b"KFB1";

/// Why a blob cannot be restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealError {
    OtherGeography,
    OtherSubscription,
    /// It is not a blob of this emulator.
    NotABlob,
}

/// Seals and opens blobs. Every vault of the estate has the same one, as Azure's have.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sealer([u8; 32]);

#[derive(Serialize, Deserialize)]
struct Sealed {
    geography: String,
    subscription: String,
    plain: String,
}

impl Sealer {
    pub fn generate() -> Result<Self, CryptoError> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|_| CryptoError::Generate)?;
        Ok(Self(key))
    }

    /// Makes a blob, base64url.
    pub fn seal(&self, geography: &str, subscription: &str, plain: &[u8]) -> Result<String, CryptoError> {
        let sealed = Sealed {
            geography: geography.to_owned(),
            subscription: subscription.to_ascii_lowercase(),
            plain: STANDARD.encode(plain),
        };
        let mut bytes = serde_json::to_vec(&sealed).map_err(|_| CryptoError::Generate)?;
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(|_| CryptoError::Generate)?;
        let key = self.key().ok_or(CryptoError::Generate)?;
        let place = Nonce::assume_unique_for_key(nonce);
        key.seal_in_place_append_tag(place, Aad::from(MAGIC), &mut bytes).map_err(|_| CryptoError::Generate)?;
        Ok(URL_SAFE_NO_PAD.encode([MAGIC, &nonce, &bytes].concat()))
    }

    /// Opens a blob in a place.
    pub fn open(&self, geography: &str, subscription: &str, blob: &str) -> Result<Vec<u8>, SealError> {
        let sealed = self.read(blob).ok_or(SealError::NotABlob)?;
        if sealed.geography != geography {
            return Err(SealError::OtherGeography);
        }
        if sealed.subscription != subscription.to_ascii_lowercase() {
            return Err(SealError::OtherSubscription);
        }
        STANDARD.decode(sealed.plain).map_err(|_| SealError::NotABlob)
    }

    fn read(&self, blob: &str) -> Option<Sealed> {
        let bytes = URL_SAFE_NO_PAD.decode(blob.trim_end_matches('=')).ok()?;
        let (nonce, sealed) = bytes.strip_prefix(MAGIC)?.split_at_checked(NONCE_LEN)?;
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let plain = self.key()?.open_in_place(nonce, Aad::from(MAGIC), &mut sealed).ok()?;
        serde_json::from_slice(plain).ok()
    }

    fn key(&self) -> Option<LessSafeKey> {
        UnboundKey::new(&AES_256_GCM, &self.0).ok().map(LessSafeKey::new)
    }
}

impl From<Sealer> for String {
    fn from(sealer: Sealer) -> Self {
        STANDARD.encode(sealer.0)
    }
}

impl TryFrom<String> for Sealer {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let bytes = STANDARD.decode(text).map_err(|_| "the sealing key is not base64")?;
        bytes.try_into().map(Self).map_err(|_| "the sealing key is not 32 bytes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_opens_only_where_it_was_made() {
        let sealer = Sealer::generate().unwrap();
        let blob = sealer.seal("Europe", "AAA", b"key").unwrap();
        assert_eq!(sealer.open("Europe", "aaa", &blob), Ok(b"key".to_vec()));
        assert_eq!(sealer.open("Germany", "aaa", &blob), Err(SealError::OtherGeography));
        assert_eq!(sealer.open("Europe", "bbb", &blob), Err(SealError::OtherSubscription));
        assert_ne!(sealer.seal("Europe", "AAA", b"key").unwrap(), blob);
    }

    #[test]
    fn anything_else_is_no_blob() {
        let sealer = Sealer::generate().unwrap();
        let foreign = Sealer::generate().unwrap().seal("Europe", "a", b"key").unwrap();
        for bad in ["", "AAAA", "%%%", &foreign, &foreign[..20]] {
            assert_eq!(sealer.open("Europe", "a", bad), Err(SealError::NotABlob), "{bad}");
        }
    }
}
