//! Backup and restore: an item with all its versions in one opaque blob, good only where it was made.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::json;

use crate::{
    crypto::SealError,
    error::ApiError,
    routes::{Reply, data_plane::Call},
    state::{certificates::CertificateItem, collection::Kind, keys::KeyItem, secrets::SecretItem},
};

/// Azure refuses to back up more.
const MAX_VERSIONS: usize = 500;

/// What a blob holds.
#[derive(Serialize, Deserialize)]
struct Blob<T> {
    kind: String,
    item: T,
}

/// The body of a restore.
#[derive(Deserialize)]
struct Restore {
    value: String,
}

fn seal<T: Serialize>(call: &Call<'_>, kind: Kind, versions: usize, item: T) -> Result<Reply, ApiError> {
    if versions > MAX_VERSIONS {
        let message = format!(
            "{} {} has too many versions: backup is not supported for more than {MAX_VERSIONS} versions.",
            kind.word(),
            call.name()
        );
        return Err(ApiError::bad_parameter(message));
    }
    let blob = Blob { kind: kind.path().to_owned(), item };
    let plain = serde_json::to_vec(&blob).map_err(|_| ApiError::internal("an item could not be written"))?;
    let (geography, subscription) = (call.vault.region.geography, &call.vault.subscription_id);
    let value = call.world.sealer.seal(geography, subscription, &plain);
    Ok(Reply::ok(json!({ "value": value.map_err(|error| ApiError::internal(error.to_string()))? })))
}

fn open<T: DeserializeOwned>(call: &Call<'_>, kind: Kind) -> Result<T, ApiError> {
    let body: Restore = call.json()?;
    let (geography, subscription) = (call.vault.region.geography, &call.vault.subscription_id);
    let not_a_backup = || {
        ApiError::bad_parameter(format!("Backup blob is not a valid backup of a {}.", kind.word().to_ascii_lowercase()))
    };
    let plain = call.world.sealer.open(geography, subscription, &body.value).map_err(|error| match error {
        SealError::NotABlob => not_a_backup(),
        SealError::OtherGeography => ApiError::bad_parameter(
            "The backup blob cannot be restored in this vault: it was made in another geography.",
        ),
        SealError::OtherSubscription => ApiError::bad_parameter(
            "The backup blob cannot be restored in this vault: it was made in another subscription.",
        ),
    })?;
    let blob: Blob<T> = serde_json::from_slice(&plain).map_err(|_| not_a_backup())?;
    if blob.kind == kind.path() { Ok(blob.item) } else { Err(not_a_backup()) }
}

pub fn secret(call: &Call<'_>) -> Result<Reply, ApiError> {
    let now_ms = call.moment().now_ms;
    let state = call.vault.state.lock();
    state.not_managed(Kind::Secret, call.name(), now_ms)?;
    let item = state.secrets.find(call.name(), now_ms).ok_or_else(|| Kind::Secret.not_found(call.name()))?.clone();
    drop(state);
    seal(call, Kind::Secret, item.versions.len(), item)
}

pub fn restore_secret(call: &Call<'_>) -> Result<Reply, ApiError> {
    let item: SecretItem = open(call, Kind::Secret)?;
    let now_ms = call.moment().now_ms;
    let mut state = call.vault.state.lock();
    state.plain_writable(Kind::Secret, &item.name, now_ms)?;
    state.secrets.free(Kind::Secret, &item.name, now_ms)?;
    let reply = item.newest()?.properties(&call.vault.place, &item.name);
    state.secrets.insert(&item.name.clone(), item);
    drop(state);
    call.vault.changed();
    Ok(Reply::ok(reply))
}

pub fn key(call: &Call<'_>) -> Result<Reply, ApiError> {
    let now_ms = call.moment().now_ms;
    let state = call.vault.state.lock();
    state.not_managed(Kind::Key, call.name(), now_ms)?;
    let item = state.keys.find(call.name(), now_ms).ok_or_else(|| Kind::Key.not_found(call.name()))?.clone();
    drop(state);
    seal(call, Kind::Key, item.versions.len(), item)
}

pub fn restore_key(call: &Call<'_>) -> Result<Reply, ApiError> {
    let item: KeyItem = open(call, Kind::Key)?;
    call.vault.takes_keys(item.versions.iter().any(|version| version.hsm))?;
    let now_ms = call.moment().now_ms;
    let mut state = call.vault.state.lock();
    state.plain_writable(Kind::Key, &item.name, now_ms)?;
    state.keys.free(Kind::Key, &item.name, now_ms)?;
    let reply = item.newest()?.bundle(&call.vault.place, &item.name);
    state.keys.insert(&item.name.clone(), item);
    drop(state);
    call.vault.changed();
    Ok(Reply::ok(reply))
}

pub fn certificate(call: &Call<'_>) -> Result<Reply, ApiError> {
    let now_ms = call.moment().now_ms;
    let state = call.vault.state.lock();
    let item = state.certificates.find(call.name(), now_ms).filter(|item| item.newest().is_some());
    let item = item.ok_or_else(|| Kind::Certificate.not_found(call.name()))?.clone();
    drop(state);
    seal(call, Kind::Certificate, item.versions.len(), item)
}

pub fn restore_certificate(call: &Call<'_>) -> Result<Reply, ApiError> {
    let item: CertificateItem = open(call, Kind::Certificate)?;
    call.vault.takes_keys(item.versions.iter().any(|version| version.hsm))?;
    let now_ms = call.moment().now_ms;
    let mut state = call.vault.state.lock();
    state.certificate_writable(&item.name, now_ms)?;
    state.certificates.free(Kind::Certificate, &item.name, now_ms)?;
    let reply = item.current(&call.vault.place);
    state.certificates.insert(&item.name.clone(), item);
    drop(state);
    call.vault.changed();
    Ok(Reply::ok(reply))
}
