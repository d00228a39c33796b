//! What kind of key is meant by `kty`, `key_size` and `crv`, as Azure writes them.

use crate::{
    crypto::{Curve, KeySpec, RSA_SIZES},
    error::ApiError,
};

/// Azure's default.
const DEFAULT_RSA: u32 = 2_048;

/// A kind of key, with whether it is to live in an HSM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyShape {
    pub spec: KeySpec,
    pub hsm: bool,
}

/// What the cost of a call on a key goes by, besides the HSM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strength {
    /// RSA-2048 and every curve.
    Ordinary,
    Rsa3072,
    Rsa4096,
}

impl KeyShape {
    /// As a JWK's `kty`.
    pub const fn kty(self) -> &'static str {
        match (self.spec, self.hsm) {
            (KeySpec::Rsa { .. }, false) => "RSA",
            (KeySpec::Rsa { .. }, true) => "RSA-HSM",
            (KeySpec::Ec { .. }, false) => "EC",
            (KeySpec::Ec { .. }, true) => "EC-HSM",
        }
    }

    /// What a new key of this kind may be used for.
    pub fn default_operations(self) -> Vec<String> {
        let names: &[&str] = match self.spec {
            KeySpec::Rsa { .. } => &["encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey"],
            KeySpec::Ec { .. } => &["sign", "verify"],
        };
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    pub const fn strength(self) -> Strength {
        match self.spec {
            KeySpec::Rsa { bits: 4_096.. } => Strength::Rsa4096,
            KeySpec::Rsa { bits: 3_072.. } => Strength::Rsa3072,
            KeySpec::Rsa { .. } | KeySpec::Ec { .. } => Strength::Ordinary,
        }
    }
}

/// Reads `kty`, `key_size` and `crv`.
pub fn parse(kty: &str, size: Option<u32>, curve: Option<&str>) -> Result<KeyShape, ApiError> {
    let (family, hsm) = match kty.to_ascii_uppercase().as_str() {
        "RSA" => ("RSA", false),
        "RSA-HSM" => ("RSA", true),
        "EC" => ("EC", false),
        "EC-HSM" => ("EC", true),
        _ => return Err(ApiError::bad_parameter(format!("The key type {kty} is not supported: use RSA or EC."))),
    };
    if family == "EC" {
        let name = curve.unwrap_or("P-256");
        let curve = curve_of(name).ok_or_else(|| {
            ApiError::bad_parameter(format!("The curve {name} is not supported: use P-256, P-384, P-521, P-256K."))
        })?;
        return Ok(KeyShape { spec: KeySpec::Ec { curve }, hsm });
    }
    let bits = size.unwrap_or(DEFAULT_RSA);
    if !RSA_SIZES.contains(&(bits as usize)) {
        return Err(ApiError::bad_parameter(format!("The key size {bits} is not supported: use 2048, 3072 or 4096.")));
    }
    Ok(KeyShape { spec: KeySpec::Rsa { bits }, hsm })
}

/// One word for a kind of key: `RSA-2048`, `P-256`.
pub fn name(spec: KeySpec) -> String {
    match spec {
        KeySpec::Rsa { bits } => format!("RSA-{bits}"),
        KeySpec::Ec { curve } => curve_name(curve).to_owned(),
    }
}

/// As a JWK's `crv`.
pub const fn curve_name(curve: Curve) -> &'static str {
    match curve {
        Curve::P256 => "P-256",
        Curve::P384 => "P-384",
        Curve::P521 => "P-521",
        Curve::P256K => "P-256K",
    }
}

fn curve_of(name: &str) -> Option<Curve> {
    match name {
        "P-256" => Some(Curve::P256),
        "P-384" => Some(Curve::P384),
        "P-521" => Some(Curve::P521),
        "P-256K" | "SECP256K1" => Some(Curve::P256K),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_that_key_vault_does_not_make_are_refused() {
        assert!(parse("oct", None, None).is_err());
        assert!(parse("RSA", Some(1_024), None).is_err());
        assert!(parse("EC", None, Some("P-192")).is_err());
        assert_eq!(parse("EC-HSM", None, None).unwrap().kty(), "EC-HSM");
    }
}
