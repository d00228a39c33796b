//! Calls on keys, but for their use.
//!
//! A certificate's own key is read and listed here but written nowhere.

use serde_json::Value;

use crate::{
    crypto::PrivateKey,
    error::ApiError,
    keyspec::{self, KeyShape},
    operation::Operation,
    routes::{
        Reply,
        data_plane::Call,
        key_use,
        page::{Page, take},
        secrets::{issued, merge, start_of},
    },
    state::{
        attributes::AttributesPatch,
        collection::Kind,
        keys::{self, KeyBody, KeyItem, KeyVersion, Unsupported},
        material,
        rotation::RotationBody,
    },
};

/// Makes the change and answers.
#[expect(clippy::wildcard_enum_match_arm, reason = "the operation's category chose this function")]
pub async fn execute(call: &Call<'_>) -> Result<Reply, ApiError> {
    match call.route.operation {
        Operation::KeysCreate => create(call).await,
        Operation::KeysRotate => rotate(call).await,
        Operation::KeysImport => import(call).await,
        Operation::KeysSign | Operation::KeysVerify => key_use::execute(call).await,
        Operation::KeysGet => get(call),
        Operation::KeysUpdate => update(call),
        Operation::KeysList => list(call),
        Operation::KeysListVersions => versions(call),
        Operation::KeysDelete => delete(call),
        Operation::KeysListDeleted => list_deleted(call),
        Operation::KeysGetDeleted => get_deleted(call),
        Operation::KeysRecover => recover(call),
        Operation::KeysPurge => purge(call),
        Operation::KeysBackup => crate::backup::key(call),
        Operation::KeysRestore => crate::backup::restore_key(call),
        Operation::KeysGetRotationPolicy => rotation_policy(call),
        Operation::KeysSetRotationPolicy => set_rotation_policy(call),
        _ => Err(ApiError::internal("not a call on keys")),
    }
}

fn shape(call: &Call<'_>, kty: Option<&str>, size: Option<u32>, curve: Option<&str>) -> Result<KeyShape, ApiError> {
    let kty = kty.ok_or_else(|| ApiError::bad_parameter("Property kty is missing."))?;
    let shape = keyspec::parse(kty, size, curve)?;
    call.vault.takes_keys(shape.hsm)?;
    Ok(shape)
}

async fn create(call: &Call<'_>) -> Result<Reply, ApiError> {
    let body: KeyBody = call.json()?;
    body.check()?;
    call.json::<Unsupported>()?.check()?;
    let shape = shape(call, body.kty.as_deref(), body.key_size, body.crv.as_deref())?;
    // Refused before the arithmetic, and again after it.
    call.vault.state.lock().plain_writable(Kind::Key, call.name(), call.moment().now_ms)?;
    let key = material::blocking(move || keys::generate(shape)).await?;
    add(call, key, shape.hsm, body)
}

async fn import(call: &Call<'_>) -> Result<Reply, ApiError> {
    let mut body: KeyBody = call.json()?;
    body.check()?;
    call.json::<Unsupported>()?.check()?;
    let jwk = body.key.take().ok_or_else(|| ApiError::bad_parameter("Property key is missing."))?;
    let text = |name: &str| jwk.get(name).and_then(Value::as_str).map(str::to_owned);
    let kty = text("kty").ok_or_else(|| ApiError::bad_parameter("Property key.kty is missing."))?;
    let hsm = body.hsm.unwrap_or(false) || kty.to_ascii_uppercase().ends_with("-HSM");
    call.vault.takes_keys(hsm)?;
    if let Some(operations) = jwk.get("key_ops").filter(|_| body.key_ops.is_none()) {
        body.key_ops = serde_json::from_value(operations.clone())
            .map_err(|_| ApiError::bad_parameter("Property key.key_ops is not a list of texts."))?;
        body.check()?;
    }
    let key = material::blocking(move || {
        PrivateKey::from_jwk(&jwk)
            .map_err(|error| ApiError::bad_parameter(format!("The key cannot be imported: {error}.")))
    })
    .await?;
    add(call, key, hsm, body)
}

/// Adds a version, and the key if it is the first.
fn add(call: &Call<'_>, key: PrivateKey, hsm: bool, body: KeyBody) -> Result<Reply, ApiError> {
    let (name, at) = (call.name(), call.moment());
    let mut state = call.vault.state.lock();
    state.plain_writable(Kind::Key, name, at.now_ms)?;
    let version = KeyVersion::new(key, hsm, body, at.now());
    let make = || KeyItem { name: name.to_owned(), versions: Vec::new(), rotation: None };
    let item = state.keys.find_or_insert(name, make);
    let reply = version.bundle(&call.vault.place, &item.name);
    item.versions.push(version);
    drop(state);
    call.vault.changed();
    Ok(Reply::ok(reply))
}

async fn rotate(call: &Call<'_>) -> Result<Reply, ApiError> {
    let (shape, operations, tags, expires) = {
        let state = call.vault.state.lock();
        let at = call.moment();
        state.not_managed(Kind::Key, call.name(), at.now_ms)?;
        let item = state.keys.find(call.name(), at.now_ms).ok_or_else(|| Kind::Key.not_found(call.name()))?;
        let newest = item.newest()?;
        let expires = item.rotation.as_ref().map(|policy| policy.expires(at.now())).transpose()?.flatten();
        (newest.shape(), newest.operations.clone(), newest.tags.clone(), expires)
    };
    let key = material::blocking(move || keys::generate(shape)).await?;
    let body = KeyBody {
        kty: None,
        key_size: None,
        crv: None,
        key_ops: Some(operations),
        key: None,
        hsm: None,
        attributes: Some(AttributesPatch { exp: expires, ..AttributesPatch::default() }),
        tags,
    };
    add(call, key, shape.hsm, body)
}

fn get(call: &Call<'_>) -> Result<Reply, ApiError> {
    let (name, now_ms, place) = (call.name(), call.moment().now_ms, &call.vault.place);
    let state = call.vault.state.lock();
    if let Some(item) = state.keys.find(name, now_ms) {
        return Ok(Reply::ok(item.version(call.version())?.bundle(place, &item.name)));
    }
    let item = state.certificates.find(name, now_ms).ok_or_else(|| Kind::Key.not_found(name))?;
    Ok(Reply::ok(item.version(Kind::Key, call.version())?.key_bundle(place, &item.name)))
}

fn update(call: &Call<'_>) -> Result<Reply, ApiError> {
    let body: KeyBody = call.json()?;
    body.check()?;
    let (name, at) = (call.name(), call.moment());
    let mut state = call.vault.state.lock();
    state.not_managed(Kind::Key, name, at.now_ms)?;
    let item = state.keys.find_mut(name, at.now_ms).ok_or_else(|| Kind::Key.not_found(name))?;
    let spelling = item.name.clone();
    let version = item.version_mut(call.version())?;
    version.update(body, at.now());
    let reply = version.bundle(&call.vault.place, &spelling);
    drop(state);
    call.vault.changed();
    Ok(Reply::ok(reply))
}

fn list(call: &Call<'_>) -> Result<Reply, ApiError> {
    let page = Page::of(&call.query)?;
    let place = &call.vault.place;
    if page.is_empty_on_demand(call.world) {
        return Ok(Reply::ok(page.answer(&place.base, "keys", &call.query, Vec::new(), Some(""))));
    }
    let now_ms = call.moment().now_ms;
    let state = call.vault.state.lock();
    let plain = state
        .keys
        .after(page.cursor.as_deref(), now_ms)
        .map(|(name, item)| (name.to_owned(), item.newest().map(|version| version.entry(place, &item.name, None))));
    let managed = issued(&state, page.cursor.as_deref(), now_ms)
        .map(|(name, entry)| (name, entry.map(|(item, version)| version.key_entry(place, &item.name, None))));
    let (entries, next) = take(merge(plain, managed), page.size);
    let entries = entries.into_iter().collect::<Result<Vec<Value>, _>>()?;
    Ok(Reply::ok(page.answer(&place.base, "keys", &call.query, entries, next.as_deref())))
}

fn versions(call: &Call<'_>) -> Result<Reply, ApiError> {
    let page = Page::of(&call.query)?;
    let (name, now_ms, place) = (call.name(), call.moment().now_ms, &call.vault.place);
    let start = page.cursor.as_deref().map_or(Ok(0), start_of)?;
    let path = format!("keys/{name}/versions");
    if page.is_empty_on_demand(call.world) {
        return Ok(Reply::ok(page.answer(&place.base, &path, &call.query, Vec::new(), Some("0"))));
    }
    let state = call.vault.state.lock();
    let (entries, next) = match state.keys.find(name, now_ms) {
        Some(item) => {
            let entries = item.versions.iter().enumerate().skip(start);
            take(
                entries.map(|(n, version)| ((n + 1).to_string(), version.entry(place, &item.name, Some(&version.id)))),
                page.size,
            )
        }
        None => {
            let item = state.certificates.find(name, now_ms).filter(|item| item.newest().is_some());
            let item = item.ok_or_else(|| Kind::Key.not_found(name))?;
            let entries = item.versions.iter().enumerate().skip(start);
            take(
                entries
                    .map(|(n, version)| ((n + 1).to_string(), version.key_entry(place, &item.name, Some(&version.id)))),
                page.size,
            )
        }
    };
    Ok(Reply::ok(page.answer(&place.base, &path, &call.query, entries, next.as_deref())))
}

fn delete(call: &Call<'_>) -> Result<Reply, ApiError> {
    let (name, at) = (call.name(), call.moment());
    let mut state = call.vault.state.lock();
    state.not_managed(Kind::Key, name, at.now_ms)?;
    let deleted = state.keys.delete(Kind::Key, name, at)?;
    let reply = deleted.item.deleted(&call.vault.place, deleted)?;
    drop(state);
    call.vault.changed();
    Ok(Reply::ok(reply))
}

fn list_deleted(call: &Call<'_>) -> Result<Reply, ApiError> {
    let page = Page::of(&call.query)?;
    let place = &call.vault.place;
    if page.is_empty_on_demand(call.world) {
        return Ok(Reply::ok(page.answer(&place.base, "deletedkeys", &call.query, Vec::new(), Some(""))));
    }
    let state = call.vault.state.lock();
    let deleted = state.keys.deleted_after(page.cursor.as_deref(), call.moment().now_ms);
    let (entries, next) = take(deleted.map(|(name, deleted)| (name.to_owned(), deleted)), page.size);
    let entries = entries.into_iter().map(|deleted| {
        let mut entry = deleted.item.newest()?.entry(place, &deleted.item.name, None);
        place.add_deleted(&mut entry, Kind::Key, &deleted.item.name, deleted);
        Ok(entry)
    });
    let entries = entries.collect::<Result<Vec<_>, ApiError>>()?;
    Ok(Reply::ok(page.answer(&place.base, "deletedkeys", &call.query, entries, next.as_deref())))
}

fn get_deleted(call: &Call<'_>) -> Result<Reply, ApiError> {
    let (name, now_ms) = (call.name(), call.moment().now_ms);
    let state = call.vault.state.lock();
    let deleted = state.keys.find_deleted(name, now_ms).ok_or_else(|| Kind::Key.deleted_not_found(name))?;
    Ok(Reply::ok(deleted.item.deleted(&call.vault.place, deleted)?))
}

fn recover(call: &Call<'_>) -> Result<Reply, ApiError> {
    let mut state = call.vault.state.lock();
    let item = state.keys.recover(Kind::Key, call.name(), call.moment())?;
    let reply = item.newest()?.bundle(&call.vault.place, &item.name);
    drop(state);
    call.vault.changed();
    Ok(Reply::ok(reply))
}

fn purge(call: &Call<'_>) -> Result<Reply, ApiError> {
    call.vault.state.lock().keys.purge(Kind::Key, call.name(), call.moment())?;
    call.vault.changed();
    Ok(Reply::empty(204))
}

fn rotation_policy(call: &Call<'_>) -> Result<Reply, ApiError> {
    let (name, now_ms) = (call.name(), call.moment().now_ms);
    let state = call.vault.state.lock();
    state.not_managed(Kind::Key, name, now_ms)?;
    let item = state.keys.find(name, now_ms).ok_or_else(|| Kind::Key.not_found(name))?;
    Ok(Reply::ok(item.rotation_policy(&call.vault.place)))
}

fn set_rotation_policy(call: &Call<'_>) -> Result<Reply, ApiError> {
    let body: RotationBody = call.json()?;
    let (name, at) = (call.name(), call.moment());
    let mut state = call.vault.state.lock();
    state.not_managed(Kind::Key, name, at.now_ms)?;
    let item = state.keys.find_mut(name, at.now_ms).ok_or_else(|| Kind::Key.not_found(name))?;
    let created = item.rotation.as_ref().map_or(at.now(), |rotation| rotation.created);
    item.rotation = Some(body.checked(created, at.now())?);
    let reply = item.rotation_policy(&call.vault.place);
    drop(state);
    call.vault.changed();
    Ok(Reply::ok(reply))
}
