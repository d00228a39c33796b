//! Signing and verifying digests, by the names of JSON Web Algorithms.

use ecdsa_traits::{PrehashSigner, PrehashVerifier};
use p256::ecdsa::signature::hazmat as ecdsa_traits;
use sha2::{Sha256, Sha384, Sha512};

use super::{CryptoError, PrivateKey, key::Material};

/// Signs or verifies on one curve.
macro_rules! ecdsa {
    ($curve:ident, $key:expr) => {
        $curve::ecdsa::SigningKey::from($key)
    };
}

impl PrivateKey {
    /// Signs a digest; EC signatures are `r || s`.
    pub fn sign(&self, algorithm: &str, digest: &[u8]) -> Result<Vec<u8>, CryptoError> {
        check(algorithm, digest)?;
        let failed = || CryptoError::Algorithm(algorithm.to_owned());
        match (&self.0, algorithm) {
            (Material::Rsa(key), _) => sign_rsa(key, algorithm, digest),
            (Material::P256(key), "ES256") => {
                let signature: Result<p256::ecdsa::Signature, _> = ecdsa!(p256, key).sign_prehash(digest);
                signature.map(|signature| signature.to_bytes().to_vec()).map_err(|_| failed())
            }
            (Material::P384(key), "ES384") => {
                let signature: Result<p384::ecdsa::Signature, _> = ecdsa!(p384, key).sign_prehash(digest);
                signature.map(|signature| signature.to_bytes().to_vec()).map_err(|_| failed())
            }
            (Material::P521(key), "ES512") => {
                let signature: Result<p521::ecdsa::Signature, _> = ecdsa!(p521, key).sign_prehash(digest);
                signature.map(|signature| signature.to_bytes().to_vec()).map_err(|_| failed())
            }
            (Material::P256K(key), "ES256K") => {
                let signature: Result<k256::ecdsa::Signature, _> = ecdsa!(k256, key).sign_prehash(digest);
                signature.map(|signature| signature.to_bytes().to_vec()).map_err(|_| failed())
            }
            (_, _) => Err(failed()),
        }
    }

    /// Whether the signature of a digest is this key's.
    pub fn verify(&self, algorithm: &str, digest: &[u8], signature: &[u8]) -> Result<bool, CryptoError> {
        check(algorithm, digest)?;
        Ok(match (&self.0, algorithm) {
            (Material::Rsa(key), _) => verify_rsa(key, algorithm, digest, signature)?,
            (Material::P256(key), "ES256") => p256::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| ecdsa!(p256, key).verifying_key().verify_prehash(digest, &signature).is_ok()),
            (Material::P384(key), "ES384") => p384::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| ecdsa!(p384, key).verifying_key().verify_prehash(digest, &signature).is_ok()),
            (Material::P521(key), "ES512") => p521::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| ecdsa!(p521, key).verifying_key().verify_prehash(digest, &signature).is_ok()),
            (Material::P256K(key), "ES256K") => k256::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| ecdsa!(k256, key).verifying_key().verify_prehash(digest, &signature).is_ok()),
            (_, _) => return Err(CryptoError::Algorithm(algorithm.to_owned())),
        })
    }
}

/// The digest has the length that the algorithm says.
fn check(algorithm: &str, digest: &[u8]) -> Result<(), CryptoError> {
    let wanted = match algorithm {
        "RS256" | "PS256" | "ES256" | "ES256K" => 32,
        "RS384" | "PS384" | "ES384" => 48,
        "RS512" | "PS512" | "ES512" => 64,
        _ => return Err(CryptoError::Algorithm(algorithm.to_owned())),
    };
    let given = digest.len();
    if given == wanted { Ok(()) } else { Err(CryptoError::Digest { given, wanted }) }
}

fn sign_rsa(key: &rsa::PrivateKey, algorithm: &str, digest: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let signed = match algorithm {
        "RS256" => key.pkcs1v15_sign_prehash::<Sha256>(digest),
        "RS384" => key.pkcs1v15_sign_prehash::<Sha384>(digest),
        "RS512" => key.pkcs1v15_sign_prehash::<Sha512>(digest),
        "PS256" => key.pss_sign_prehash::<Sha256>(digest),
        "PS384" => key.pss_sign_prehash::<Sha384>(digest),
        "PS512" => key.pss_sign_prehash::<Sha512>(digest),
        _ => return Err(CryptoError::Algorithm(algorithm.to_owned())),
    };
    signed.map_err(|_| CryptoError::Algorithm(algorithm.to_owned()))
}

fn verify_rsa(key: &rsa::PrivateKey, algorithm: &str, digest: &[u8], signature: &[u8]) -> Result<bool, CryptoError> {
    let key = key.to_public_key();
    let verified = match algorithm {
        "RS256" => key.pkcs1v15_verify_prehash::<Sha256>(digest, signature),
        "RS384" => key.pkcs1v15_verify_prehash::<Sha384>(digest, signature),
        "RS512" => key.pkcs1v15_verify_prehash::<Sha512>(digest, signature),
        "PS256" => key.pss_verify_prehash::<Sha256>(digest, signature),
        "PS384" => key.pss_verify_prehash::<Sha384>(digest, signature),
        "PS512" => key.pss_verify_prehash::<Sha512>(digest, signature),
        _ => return Err(CryptoError::Algorithm(algorithm.to_owned())),
    };
    Ok(verified.is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{Curve, KeySpec};

    #[test]
    fn what_a_key_signs_only_that_key_verifies() {
        let rsa = KeySpec::Rsa { bits: 2_048 };
        let cases: [(KeySpec, &[(&str, usize)]); 5] = [
            (rsa, &[("RS256", 32), ("RS384", 48), ("RS512", 64), ("PS256", 32), ("PS384", 48), ("PS512", 64)]),
            (KeySpec::Ec { curve: Curve::P256 }, &[("ES256", 32)]),
            (KeySpec::Ec { curve: Curve::P384 }, &[("ES384", 48)]),
            (KeySpec::Ec { curve: Curve::P521 }, &[("ES512", 64)]),
            (KeySpec::Ec { curve: Curve::P256K }, &[("ES256K", 32)]),
        ];
        for (spec, algorithms) in cases {
            let (key, other) = (PrivateKey::generate(spec).unwrap(), PrivateKey::generate(spec).unwrap());
            for (algorithm, size) in algorithms {
                let digest = vec![7; *size];
                let signature = key.sign(algorithm, &digest).unwrap();
                assert_eq!(key.verify(algorithm, &digest, &signature), Ok(true), "{algorithm}");
                assert_eq!(other.verify(algorithm, &digest, &signature), Ok(false), "{algorithm}");
                assert_eq!(key.verify(algorithm, &vec![8; *size], &signature), Ok(false), "{algorithm}");
            }
        }
    }

    #[test]
    fn a_digest_of_another_length_or_a_foreign_algorithm_is_refused() {
        let key = PrivateKey::generate(KeySpec::Ec { curve: Curve::P256 }).unwrap();
        assert_eq!(key.sign("ES256", &[0; 31]), Err(CryptoError::Digest { given: 31, wanted: 32 }));
        assert_eq!(key.sign("RS256", &[0; 32]), Err(CryptoError::Algorithm("RS256".to_owned())));
        assert_eq!(key.sign("HS256", &[0; 32]), Err(CryptoError::Algorithm("HS256".to_owned())));
    }
}
