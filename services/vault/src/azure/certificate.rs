//! Who a worker is by a certificate: it signs an assertion with the certificate's key.
//!
//! The SDK's own credential for certificates links OpenSSL; the assertion is a few lines, and `ring` is here anyway.
//! The format is Microsoft's (PS256, `x5t#S256`). Only RSA, as Entra wants it; PEM only.

use std::{fmt, fs, path::Path};

use async_trait::async_trait;
use azure_core::{error::ErrorKind, http::ClientMethodOptions};
use azure_identity::ClientAssertion;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    digest,
    rand::{SecureRandom, SystemRandom},
    signature::{RSA_PSS_SHA256, RsaKeyPair},
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde_json::json;
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::settings::SettingsError;

/// An assertion is used at once; the rest is for clocks that differ.
const LIFETIME_S: i64 = 300;

/// Signs that the worker is this client.
pub(super) struct CertificateAssertion {
    /// The token endpoint, which nobody else may pass the assertion on to.
    audience: String,
    client_id: String,
    /// SHA-256 of the certificate, by which Entra knows it.
    thumbprint: String,
    key: RsaKeyPair,
}

impl CertificateAssertion {
    /// Reads a PEM file with the certificate and its private key.
    pub(super) fn read(file: &Path, audience: String, client_id: String) -> Result<Self, SettingsError> {
        let refused = |text: &str| SettingsError::value("certificate_file", format!("{} {text}", file.display()));
        let pem = fs::read(file).map_err(|error| refused(&format!("cannot be read: {error}")))?;
        let pem = Zeroizing::new(pem);
        let certificate = CertificateDer::from_pem_slice(&pem).map_err(|_| refused("holds no certificate in PEM"))?;
        let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| refused("holds no private key in PEM"))?;
        let key = match &key {
            PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
            PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
            PrivateKeyDer::Sec1(_) | _ => {
                return Err(refused("holds a key that is not RSA, which Entra does not take"));
            }
        };
        let key = key.map_err(|error| refused(&format!("holds a key that cannot be used: {error}")))?;
        let thumbprint = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, &certificate));
        Ok(Self { audience, client_id, thumbprint, key })
    }

    fn sign(&self, now: i64) -> Result<String, ring::error::Unspecified> {
        let random = SystemRandom::new();
        let mut id = [0; 16];
        random.fill(&mut id)?;
        let header = json!({ "alg": "PS256", "typ": "JWT", "x5t#S256": self.thumbprint });
        let claims = json!({
            "aud": self.audience,
            "iss": self.client_id,
            "sub": self.client_id,
            "jti": URL_SAFE_NO_PAD.encode(id),
            "nbf": now,
            "exp": now + LIFETIME_S,
        });
        let encode = |part: serde_json::Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encode(header), encode(claims));
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key.sign(&RSA_PSS_SHA256, &random, signed.as_bytes(), &mut signature)?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

#[async_trait]
impl ClientAssertion for CertificateAssertion {
    async fn secret(&self, _: Option<ClientMethodOptions<'_>>) -> azure_core::Result<String> {
        #[expect(clippy::disallowed_methods, reason = "an assertion's end is told in the wall clock's time")]
        let now = OffsetDateTime::now_utc().unix_timestamp();
        self.sign(now)
            .map_err(|_| azure_core::Error::with_message(ErrorKind::Credential, "the assertion could not be signed"))
    }
}

impl fmt::Debug for CertificateAssertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateAssertion").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}
