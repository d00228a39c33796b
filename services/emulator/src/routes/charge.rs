//! What a call costs toward Azure's limits.

use super::data_plane::Call;
use crate::{
    keyspec::KeyShape,
    operation::{Load, Operation},
    state::keys::KeyBody,
    throttle::Charge,
};

/// What the call costs.
pub fn of(call: &Call<'_>) -> Charge {
    match call.route.operation.facts().load {
        Load::Creating => Charge::CREATING,
        Load::Other | Load::Management => Charge::OTHER,
        Load::KeyCreate => Charge::key_create(makes_hsm_key(call)),
        Load::KeyUse => Charge::key_use(shape(call)),
    }
}

fn makes_hsm_key(call: &Call<'_>) -> bool {
    if call.route.operation == Operation::KeysRotate {
        return shape(call).is_some_and(|shape| shape.hsm);
    }
    let kty = call.json::<KeyBody>().ok().and_then(|body| body.kty);
    kty.is_some_and(|kty| kty.to_ascii_uppercase().ends_with("-HSM"))
}

/// The kind of the key that the call names, a deleted or a certificate's own included.
fn shape(call: &Call<'_>) -> Option<KeyShape> {
    let (name, now_ms) = (call.name(), call.moment().now_ms);
    let state = call.vault.state.lock();
    if let Some(item) = state.keys.find(name, now_ms) {
        return item.version(call.version()).ok().map(crate::state::keys::KeyVersion::shape);
    }
    if let Some(deleted) = state.keys.find_deleted(name, now_ms) {
        return deleted.item.newest().ok().map(crate::state::keys::KeyVersion::shape);
    }
    state.certificates.find(name, now_ms)?.newest().map(crate::state::certificates::CertificateVersion::shape)
}
