//! The CA that clients are told to trust, and the server certificate under it.
//!
//! One leaf for all hosts, made afresh at each start; the CA is kept, so that a client that trusts it goes on doing so.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::{ServerConfig, crypto::ring};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use crate::error::EmulatorError;

/// What the one server certificate is good for.
const HOSTS: &[&str] = &[
    "*.vault.localhost",
    "vault.localhost",
    "login.localhost",
    "management.localhost",
    "localhost",
    "127.0.0.1",
    "::1",
];
/// The CA is kept across restarts; nobody renews it.
const CA_LIFE: Duration = Duration::days(3_650);
/// The leaf is made at each start. Apple's clients refuse more than 825 days.
const LEAF_LIFE: Duration = Duration::days(397);
/// Before now, for clients whose clock is behind.
const BACKDATED: Duration = Duration::days(1);

/// The CA's certificate and key, as kept.
#[derive(Clone, Serialize, Deserialize)]
pub struct Ca {
    pub certificate_pem: String,
    key_pem: String,
}

impl Ca {
    /// Makes a new one; `now` is seconds since 1970.
    pub fn generate(now: i64) -> Result<Self, EmulatorError> {
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = ca_params(now)?.self_signed(&key).map_err(failed)?;
        Ok(Self { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() })
    }

    /// What the server speaks TLS with.
    pub fn server_config(&self, now: i64) -> Result<ServerConfig, EmulatorError> {
        let ca_key = KeyPair::from_pem(&self.key_pem).map_err(failed)?;
        // Only the name and the key of an issuer show in what it signs, and both are the kept CA's.
        let issuer = Issuer::new(ca_params(now)?, ca_key);
        let key = KeyPair::generate().map_err(failed)?;
        let hosts = HOSTS.iter().map(|host| (*host).to_owned()).collect();
        let mut params = params(now, LEAF_LIFE, hosts, "Keyferry emulator")?;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let leaf = params.signed_by(&key, &issuer).map_err(failed)?;
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(failed)?
            .with_no_client_auth()
            .with_single_cert(vec![leaf.into()], private)
            .map_err(failed)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

fn ca_params(now: i64) -> Result<CertificateParams, EmulatorError> {
    let mut params = params(now, CA_LIFE, Vec::new(), "Keyferry emulator CA")?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn params(now: i64, life: Duration, hosts: Vec<String>, name: &str) -> Result<CertificateParams, EmulatorError> {
    let now = OffsetDateTime::from_unix_timestamp(now).map_err(failed)?;
    let mut params = CertificateParams::new(hosts).map_err(failed)?;
    params.not_before = now - BACKDATED;
    params.not_after = now + life;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> EmulatorError {
    EmulatorError::Tls(Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_ca_serves_again() {
        let ca = Ca::generate(1_800_000_000).unwrap();
        let kept: Ca = serde_json::from_str(&serde_json::to_string(&ca).unwrap()).unwrap();
        assert_eq!(kept.certificate_pem, ca.certificate_pem);
        assert!(kept.server_config(1_800_000_001).is_ok());
    }
}
