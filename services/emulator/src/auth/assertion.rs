//! Client assertions: a client that proves itself by signing with the key of a certificate that is known of it.

use std::collections::HashSet;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use serde::Deserialize;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use x509_cert::{Certificate, der::Decode};

/// Clocks of the two sides may differ by this much, in seconds.
const LEEWAY_S: i64 = 300;

/// Why an assertion is refused, as Entra numbers it.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    pub number: u32,
    pub text: String,
}

#[derive(Deserialize)]
struct Claims {
    aud: String,
    iss: String,
    sub: String,
    /// Not every client says since when; and some say both times with fractions of a second, as a JWT may.
    nbf: Option<f64>,
    exp: f64,
}

/// A certificate of a client.
pub struct ClientCertificate {
    der: Vec<u8>,
    key: DecodingKey,
}

impl ClientCertificate {
    /// Reads PEM; the text says what is wrong with it.
    pub fn from_pem(pem: &str) -> Result<Self, &'static str> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| "is not a certificate in PEM")?.to_vec();
        let certificate = Certificate::from_der(&der).map_err(|_| "is not a certificate")?;
        let key = certificate.tbs_certificate().subject_public_key_info();
        let is_rsa = key.algorithm.oid == rsa::pkcs1::ALGORITHM_OID;
        let key = DecodingKey::from_rsa_der(key.subject_public_key.raw_bytes());
        if is_rsa { Ok(Self { der, key }) } else { Err("has no RSA key") }
    }

    /// Checks that whoever has the certificate's key signed for this client and this endpoint, lately.
    pub fn check(&self, assertion: &str, client_id: &str, endpoint: &str, now: i64) -> Result<(), Refused> {
        let refused = |number, text: &str| Refused { number, text: text.to_owned() };
        let header = jsonwebtoken::decode_header(assertion)
            .map_err(|_| refused(50_027, "JWT token is invalid or malformed."))?;
        if !self.is_named_by(&header) {
            return Err(refused(
                700_027,
                "The certificate with identifier used to sign the client assertion is not registered on application.",
            ));
        }
        let mut validation = Validation::new(Algorithm::PS256);
        validation.algorithms = vec![Algorithm::PS256, Algorithm::RS256];
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims = HashSet::new();
        let claims = jsonwebtoken::decode::<Claims>(assertion, &self.key, &validation)
            .map_err(|_| refused(700_027, "Client assertion failed signature validation."))?
            .claims;
        if claims.iss != client_id || claims.sub != client_id {
            return Err(refused(700_023, "Client assertion issuer and subject claims do not match the application."));
        }
        if claims.aud != endpoint {
            return Err(refused(700_021, "Client assertion audience claim does not match the token endpoint."));
        }
        let (soon, now) = ((now + LEEWAY_S) as f64, now as f64);
        if claims.nbf.is_some_and(|nbf| soon < nbf) || now > claims.exp {
            return Err(refused(700_024, "Client assertion is not within its valid time range."));
        }
        Ok(())
    }

    /// By its SHA-256 or, as older clients do, its SHA-1; in either alphabet.
    fn is_named_by(&self, header: &Header) -> bool {
        let (sha1, sha256) = (Sha1::digest(&self.der), Sha256::digest(&self.der));
        let is = |text: &Option<String>, digest: &[u8]| {
            text.as_deref().is_some_and(|text| {
                let text = text.trim_end_matches('=');
                text == URL_SAFE_NO_PAD.encode(digest) || text == STANDARD.encode(digest).trim_end_matches('=')
            })
        };
        is(&header.x5t_s256, &sha256) || is(&header.x5t, &sha1)
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::EncodingKey;
    use serde_json::{Value, json};

    use super::*;
    use crate::crypto::{Chain, IssueSpec, KeySpec, PrivateKey};

    const CLIENT: &str = "00000000-0000-4000-8000-0000000000aa";
    const ENDPOINT: &str = "https://login.localhost:8443/t/oauth2/v2.0/token";
    const NOW: i64 = 1_800_000_000;

    fn issued(key: KeySpec) -> Chain {
        let (not_before, not_after) = (NOW, NOW + 86_400);
        let spec = IssueSpec { not_before, not_after, ..IssueSpec::of("CN=client") };
        Chain::issue(PrivateKey::generate(key).unwrap(), &spec).unwrap()
    }

    fn claims() -> Value {
        json!({ "aud": ENDPOINT, "iss": CLIENT, "sub": CLIENT, "nbf": NOW, "exp": NOW + 300 })
    }

    #[test]
    fn only_the_holder_of_the_key_is_believed_and_only_for_itself_here_and_now() {
        let (own, other) = (issued(KeySpec::Rsa { bits: 2_048 }), issued(KeySpec::Rsa { bits: 2_048 }));
        let certificate = ClientCertificate::from_pem(&own.certificates_pem()).unwrap();
        let x5t_s256 = Some(URL_SAFE_NO_PAD.encode(Sha256::digest(own.leaf())));
        let sign = |chain: &Chain, x5t_s256: Option<String>, algorithm, claims: &Value| {
            let der = chain.key.to_pkcs8_der().unwrap();
            let key = EncodingKey::from_rsa_pem(pkcs8_pem(&der).as_bytes()).unwrap();
            jsonwebtoken::encode(&Header { x5t_s256, ..Header::new(algorithm) }, claims, &key).unwrap()
        };
        let number =
            |assertion: &str| certificate.check(assertion, CLIENT, ENDPOINT, NOW).err().map(|refused| refused.number);
        for algorithm in [Algorithm::PS256, Algorithm::RS256] {
            assert_eq!(number(&sign(&own, x5t_s256.clone(), algorithm, &claims())), None);
        }
        let sign_own = |claims: &Value| sign(&own, x5t_s256.clone(), Algorithm::PS256, claims);
        assert_eq!(number(&sign(&other, x5t_s256.clone(), Algorithm::PS256, &claims())), Some(700_027));
        assert_eq!(number(&sign(&own, None, Algorithm::PS256, &claims())), Some(700_027));
        for (field, value, expected) in [
            ("iss", json!("someone"), 700_023),
            ("aud", json!("https://elsewhere"), 700_021),
            ("exp", json!(NOW - 1), 700_024),
            ("nbf", json!(NOW + 301), 700_024),
        ] {
            let mut claims = claims();
            claims[field] = value;
            assert_eq!(number(&sign_own(&claims)), Some(expected), "{field}");
        }
        assert_eq!(number("nonsense"), Some(50_027));
    }

    fn pkcs8_pem(der: &[u8]) -> String {
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der))
    }

    #[test]
    fn only_rsa_certificates_are_taken() {
        let elliptic = issued(KeySpec::Ec { curve: crate::crypto::Curve::P256 });
        assert!(ClientCertificate::from_pem(&elliptic.certificates_pem()).is_err());
        assert!(ClientCertificate::from_pem("nonsense").is_err());
    }
}
