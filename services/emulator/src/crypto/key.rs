//! Private keys of the kinds Key Vault makes, and their public halves as JWKs.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use rsa::{
    BoxedUint,
    pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey, LineEnding},
    rand_core::UnwrapErr,
    traits::PublicKeyParts,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::CryptoError;

/// Sizes of RSA keys that Key Vault takes, in bits.
pub const RSA_SIZES: [usize; 3] = [2_048, 3_072, 4_096];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    P256,
    P384,
    P521,
    P256K,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeySpec {
    Rsa { bits: u32 },
    Ec { curve: Curve },
}

/// A private key. Prints nothing.
#[derive(Clone)]
pub struct PrivateKey(pub(super) Material);

#[derive(Clone)]
pub(super) enum Material {
    Rsa(Box<rsa::PrivateKey>),
    P256(p256::SecretKey),
    P384(p384::SecretKey),
    P521(p521::SecretKey),
    P256K(k256::SecretKey),
}

/// The public half, base64url without padding.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PublicJwk {
    pub n: Option<String>,
    pub e: Option<String>,
    pub crv: Option<&'static str>,
    pub x: Option<String>,
    pub y: Option<String>,
}

/// Runs an expression on whichever key it is.
macro_rules! on_key {
    ($material:expr, $key:ident => $body:expr) => {
        match $material {
            Material::Rsa($key) => $body,
            Material::P256($key) => $body,
            Material::P384($key) => $body,
            Material::P521($key) => $body,
            Material::P256K($key) => $body,
        }
    };
}

impl PrivateKey {
    pub fn generate(spec: KeySpec) -> Result<Self, CryptoError> {
        let material = match spec {
            KeySpec::Rsa { bits } => {
                let key = rsa::PrivateKey::new(&mut UnwrapErr(getrandom::SysRng), bits as usize);
                Material::Rsa(Box::new(key.map_err(|_| CryptoError::Generate)?))
            }
            KeySpec::Ec { curve: Curve::P256 } => Material::P256(scalar(32, p256::SecretKey::from_slice)?),
            KeySpec::Ec { curve: Curve::P384 } => Material::P384(scalar(48, p384::SecretKey::from_slice)?),
            KeySpec::Ec { curve: Curve::P521 } => Material::P521(scalar(66, |bytes| {
                // 521 bits: all but the lowest of the first byte are beyond the order.
                let mut bytes = bytes.to_vec();
                bytes[0] &= 1;
                p521::SecretKey::from_slice(&bytes)
            })?),
            KeySpec::Ec { curve: Curve::P256K } => Material::P256K(scalar(32, k256::SecretKey::from_slice)?),
        };
        Ok(Self(material))
    }

    pub fn spec(&self) -> KeySpec {
        match &self.0 {
            Material::Rsa(key) => KeySpec::Rsa { bits: u32::try_from(key.size() * 8).unwrap_or(u32::MAX) },
            Material::P256(_) => KeySpec::Ec { curve: Curve::P256 },
            Material::P384(_) => KeySpec::Ec { curve: Curve::P384 },
            Material::P521(_) => KeySpec::Ec { curve: Curve::P521 },
            Material::P256K(_) => KeySpec::Ec { curve: Curve::P256K },
        }
    }

    /// Reads PKCS#8.
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, CryptoError> {
        if let Ok(key) = rsa::PrivateKey::from_pkcs8_der(der) {
            return Ok(Self(Material::Rsa(Box::new(key))));
        }
        let material = p256::SecretKey::from_pkcs8_der(der).map(Material::P256);
        let material = material.or_else(|_| p384::SecretKey::from_pkcs8_der(der).map(Material::P384));
        let material = material.or_else(|_| p521::SecretKey::from_pkcs8_der(der).map(Material::P521));
        let material = material.or_else(|_| k256::SecretKey::from_pkcs8_der(der).map(Material::P256K));
        material.map(Self).map_err(|_| CryptoError::Key)
    }

    /// Reads one PEM block of PKCS#8.
    pub fn from_pem(pem: &str) -> Result<Self, CryptoError> {
        let body: String = pem.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect();
        Self::from_pkcs8_der(&STANDARD.decode(body).map_err(|_| CryptoError::Key)?)
    }

    pub fn to_pkcs8_der(&self) -> Result<Vec<u8>, CryptoError> {
        let der = on_key!(&self.0, key => key.to_pkcs8_der());
        der.map(|der| der.as_bytes().to_vec()).map_err(|_| CryptoError::Key)
    }

    pub fn to_pem(&self) -> Result<String, CryptoError> {
        let pem = on_key!(&self.0, key => key.to_pkcs8_pem(LineEnding::LF));
        pem.map(|pem| pem.as_str().to_owned()).map_err(|_| CryptoError::Key)
    }

    /// The public half as SubjectPublicKeyInfo.
    pub fn public_spki_der(&self) -> Result<Vec<u8>, CryptoError> {
        let der = match &self.0 {
            Material::Rsa(key) => key.to_public_key().to_public_key_der(),
            Material::P256(key) => key.public_key().to_public_key_der(),
            Material::P384(key) => key.public_key().to_public_key_der(),
            Material::P521(key) => key.public_key().to_public_key_der(),
            Material::P256K(key) => key.public_key().to_public_key_der(),
        };
        der.map(|der| der.as_bytes().to_vec()).map_err(|_| CryptoError::Key)
    }

    pub fn public_jwk(&self) -> PublicJwk {
        match &self.0 {
            Material::Rsa(key) => PublicJwk {
                n: Some(URL_SAFE_NO_PAD.encode(key.n().to_be_bytes_trimmed_vartime())),
                e: Some(URL_SAFE_NO_PAD.encode(key.e().to_be_bytes_trimmed_vartime())),
                ..PublicJwk::default()
            },
            Material::P256(key) => point("P-256", key.public_key().to_sec1_bytes()),
            Material::P384(key) => point("P-384", key.public_key().to_sec1_bytes()),
            Material::P521(key) => point("P-521", key.public_key().to_sec1_bytes()),
            Material::P256K(key) => point("P-256K", {
                use k256::elliptic_curve::sec1::ToSec1Point;
                key.public_key().to_sec1_point(false).to_bytes()
            }),
        }
    }

    /// Reads a private JWK as a key import sends it.
    pub fn from_jwk(jwk: &Value) -> Result<Self, CryptoError> {
        let part = |name: &'static str| {
            let bytes = jwk
                .get(name)
                .and_then(Value::as_str)
                .and_then(|text| URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok());
            bytes.ok_or(CryptoError::Jwk(name))
        };
        let kty = jwk.get("kty").and_then(Value::as_str).ok_or(CryptoError::Jwk("kty"))?;
        match kty.to_ascii_uppercase().as_str() {
            "RSA" | "RSA-HSM" => {
                let number = |name| part(name).map(|bytes| BoxedUint::from_be_slice_vartime(&bytes));
                let primes = vec![number("p")?, number("q")?];
                let key = rsa::PrivateKey::from_components(number("n")?, number("e")?, number("d")?, primes);
                let key = key.map_err(|_| CryptoError::Key)?;
                let bits = key.size() * 8;
                if !RSA_SIZES.contains(&bits) {
                    return Err(CryptoError::Size(bits));
                }
                Ok(Self(Material::Rsa(Box::new(key))))
            }
            "EC" | "EC-HSM" => {
                let d = part("d")?;
                let key = match jwk.get("crv").and_then(Value::as_str).ok_or(CryptoError::Jwk("crv"))? {
                    "P-256" => p256::SecretKey::from_slice(&d).map(Material::P256),
                    "P-384" => p384::SecretKey::from_slice(&d).map(Material::P384),
                    "P-521" => p521::SecretKey::from_slice(&d).map(Material::P521),
                    "P-256K" | "SECP256K1" => k256::SecretKey::from_slice(&d).map(Material::P256K),
                    _ => return Err(CryptoError::Jwk("crv")),
                };
                let key = key.map(Self).map_err(|_| CryptoError::Key)?;
                let public = key.public_jwk();
                for (name, own) in [("x", public.x), ("y", public.y)] {
                    let own = own.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok()).unwrap_or_default();
                    let is_given = jwk.get(name).is_some_and(|half| !half.is_null());
                    if is_given && without_zeros(&part(name)?) != without_zeros(&own) {
                        return Err(CryptoError::Key);
                    }
                }
                Ok(key)
            }
            _ => Err(CryptoError::Jwk("kty")),
        }
    }
}

/// A number's bytes, however wide its sender writes it.
fn without_zeros(bytes: &[u8]) -> &[u8] {
    &bytes[bytes.iter().take_while(|&&byte| byte == 0).count()..]
}

/// Draws until the bytes are a scalar of the curve, which is nearly always the first time.
fn scalar<K, E>(size: usize, read: impl Fn(&[u8]) -> Result<K, E>) -> Result<K, CryptoError> {
    const DRAWS: usize = 64;
    for _ in 0..DRAWS {
        let mut bytes = vec![0; size];
        getrandom::fill(&mut bytes).map_err(|_| CryptoError::Generate)?;
        if let Ok(key) = read(&bytes) {
            return Ok(key);
        }
    }
    Err(CryptoError::Generate)
}

/// An uncompressed point: a leading 4, then both halves.
fn point(crv: &'static str, bytes: impl AsRef<[u8]>) -> PublicJwk {
    let halves = &bytes.as_ref()[1..];
    let (x, y) = halves.split_at(halves.len() / 2);
    let text = |half: &[u8]| Some(URL_SAFE_NO_PAD.encode(half));
    PublicJwk { crv: Some(crv), x: text(x), y: text(y), ..PublicJwk::default() }
}

impl Serialize for PrivateKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let der = self.to_pkcs8_der().map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(&STANDARD.encode(der))
    }
}

impl<'de> Deserialize<'de> for PrivateKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let der = STANDARD.decode(text).map_err(|_| serde::de::Error::custom("a key is not base64"))?;
        Self::from_pkcs8_der(&der).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPECS: [KeySpec; 5] = [
        KeySpec::Rsa { bits: 2_048 },
        KeySpec::Ec { curve: Curve::P256 },
        KeySpec::Ec { curve: Curve::P384 },
        KeySpec::Ec { curve: Curve::P521 },
        KeySpec::Ec { curve: Curve::P256K },
    ];

    #[test]
    fn every_kind_of_key_survives_being_kept() {
        for spec in SPECS {
            let key = PrivateKey::generate(spec).unwrap();
            assert_eq!(key.spec(), spec);
            let kept: PrivateKey = serde_json::from_str(&serde_json::to_string(&key).unwrap()).unwrap();
            assert_eq!(kept.public_jwk(), key.public_jwk());
            assert_eq!(PrivateKey::from_pem(&key.to_pem().unwrap()).unwrap().public_jwk(), key.public_jwk());
        }
    }

    #[test]
    fn a_point_has_both_halves_whole() {
        for (curve, size) in [(Curve::P256, 32), (Curve::P384, 48), (Curve::P521, 66), (Curve::P256K, 32)] {
            let jwk = PrivateKey::generate(KeySpec::Ec { curve }).unwrap().public_jwk();
            for half in [jwk.x.unwrap(), jwk.y.unwrap()] {
                assert_eq!(URL_SAFE_NO_PAD.decode(half).unwrap().len(), size);
            }
        }
    }

    #[test]
    fn a_jwk_without_its_parts_is_refused_by_name() {
        assert_eq!(PrivateKey::from_jwk(&serde_json::json!({})).err(), Some(CryptoError::Jwk("kty")));
        let jwk = serde_json::json!({ "kty": "EC", "crv": "P-256" });
        assert_eq!(PrivateKey::from_jwk(&jwk).err(), Some(CryptoError::Jwk("d")));
    }

    #[test]
    fn an_imported_curve_key_whose_halves_do_not_belong_together_is_refused() {
        let whole = serde_json::json!({ "kty": "EC", "crv": "P-256", "d": URL_SAFE_NO_PAD.encode([3; 32]) });
        let key = PrivateKey::from_jwk(&whole).unwrap();
        let public = key.public_jwk();
        let given = |x: Option<&str>| {
            let mut jwk = whole.clone();
            (jwk["x"], jwk["y"]) = (x.into(), public.y.clone().into());
            PrivateKey::from_jwk(&jwk).map(|key| key.public_jwk())
        };
        assert_eq!(given(public.x.as_deref()), Ok(public.clone()));
        assert_eq!(given(Some(&URL_SAFE_NO_PAD.encode([1; 32]))), Err(CryptoError::Key));
    }
}
