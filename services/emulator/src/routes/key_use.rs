//! Signing and verifying with a key, a certificate's own included.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::json;

use crate::{
    crypto::PrivateKey,
    error::ApiError,
    operation::Operation,
    routes::{Reply, data_plane::Call},
    state::{attributes::Attributes, collection::Kind, material},
};

#[derive(Deserialize)]
struct Body {
    alg: String,
    /// To sign: the digest. To verify: the signature.
    value: String,
    /// To verify: the digest.
    digest: Option<String>,
}

/// The version that is used.
struct Used {
    id: String,
    key: PrivateKey,
    attributes: Attributes,
    operations: Vec<String>,
}

/// Signs or verifies.
pub async fn execute(call: &Call<'_>) -> Result<Reply, ApiError> {
    let body: Body = call.json()?;
    let Used { id, key, attributes, operations } = used(call)?;
    let verb = if call.route.operation == Operation::KeysSign { "sign" } else { "verify" };
    usable(&attributes, verb, call.moment().now())?;
    if !operations.iter().any(|operation| operation == verb) {
        let message = format!("Operation {verb} is not permitted on this key.");
        return Err(ApiError::forbidden("KeyOperationForbidden", message));
    }
    let value = decode("value", &body.value)?;
    let algorithm = body.alg;
    let refused = |error: crate::crypto::CryptoError| ApiError::bad_parameter(format!("{error}."));
    if verb == "sign" {
        let signature = material::blocking(move || key.sign(&algorithm, &value).map_err(refused)).await?;
        return Ok(Reply::ok(json!({ "kid": id, "value": URL_SAFE_NO_PAD.encode(signature) })));
    }
    let digest = body.digest.ok_or_else(|| ApiError::bad_parameter("Property digest is missing."))?;
    let digest = decode("digest", &digest)?;
    let is_valid = material::blocking(move || key.verify(&algorithm, &digest, &value).map_err(refused)).await?;
    Ok(Reply::ok(json!({ "value": is_valid })))
}

/// Whether the key may be used: never while it is disabled; outside its times only for what undoes, such as verifying.
fn usable(attributes: &Attributes, verb: &str, now: i64) -> Result<(), ApiError> {
    let refused =
        |inner, word| Err(ApiError::forbidden(inner, format!("Operation {verb} is not allowed on {word} key.")));
    match attributes {
        Attributes { enabled: false, .. } => refused("KeyDisabled", "a disabled"),
        Attributes { nbf: Some(nbf), .. } if verb == "sign" && now < *nbf => {
            refused("KeyNotYetValid", "a not yet valid")
        }
        Attributes { exp: Some(exp), .. } if verb == "sign" && now >= *exp => refused("KeyExpired", "an expired"),
        Attributes { .. } => Ok(()),
    }
}

fn decode(property: &str, text: &str) -> Result<Vec<u8>, ApiError> {
    let failed = |_| ApiError::bad_parameter(format!("Property {property} is not base64url."));
    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(failed)
}

fn used(call: &Call<'_>) -> Result<Used, ApiError> {
    let (name, now_ms, place) = (call.name(), call.moment().now_ms, &call.vault.place);
    let state = call.vault.state.lock();
    if let Some(item) = state.keys.find(name, now_ms) {
        let version = item.version(call.version())?;
        return Ok(Used {
            id: place.id(Kind::Key, &item.name, Some(&version.id)),
            key: version.key.clone(),
            attributes: version.attributes.clone(),
            operations: version.operations.clone(),
        });
    }
    let item = state.certificates.find(name, now_ms).ok_or_else(|| Kind::Key.not_found(name))?;
    let version = item.version(Kind::Key, call.version())?;
    Ok(Used {
        id: place.id(Kind::Key, &item.name, Some(&version.id)),
        key: version.chain.key.clone(),

        attributes: version.attributes.clone(),
        operations: version.shape().default_operations(),
    })
}
