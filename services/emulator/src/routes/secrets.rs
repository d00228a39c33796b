//! Calls on secrets.
//!
//! A certificate's own secret is read and listed here but written nowhere: it is made from the certificate on each
//! read.

use serde_json::Value;

use crate::{
    error::ApiError,
    operation::Operation,
    routes::{
        Reply,
        data_plane::Call,
        page::{Page, take},
    },
    state::{
        VaultState,
        collection::Kind,
        material,
        secrets::{SecretItem, SecretVersion, SetSecret, UpdateSecret},
    },
};

/// Makes the change and answers.
#[expect(clippy::wildcard_enum_match_arm, reason = "the operation's category chose this function")]
pub async fn execute(call: &Call<'_>) -> Result<Reply, ApiError> {
    match call.route.operation {
        Operation::SecretsSet => set_secret(call),
        Operation::SecretsGet => get(call).await,
        Operation::SecretsUpdate => update(call),
        Operation::SecretsList => list(call),
        Operation::SecretsListVersions => versions(call),
        Operation::SecretsDelete => delete(call),
        Operation::SecretsListDeleted => list_deleted(call),
        Operation::SecretsGetDeleted => get_deleted(call),
        Operation::SecretsRecover => recover(call),
        Operation::SecretsPurge => purge(call),
        Operation::SecretsBackup => crate::backup::secret(call),
        Operation::SecretsRestore => crate::backup::restore_secret(call),
        _ => Err(ApiError::internal("not a call on secrets")),
    }
}

fn set_secret(call: &Call<'_>) -> Result<Reply, ApiError> {
    let body: SetSecret = call.json()?;
    body.check()?;
    let (name, at) = (call.name(), call.moment());
    let mut state = call.vault.state.lock();
    state.plain_writable(Kind::Secret, name, at.now_ms)?;
    let version = SecretVersion::new(body, at.now());
    let item = state.secrets.find_or_insert(name, || SecretItem { name: name.to_owned(), versions: Vec::new() });
    let reply = version.bundle(&call.vault.place, &item.name);
    item.versions.push(version);
    drop(state);
    call.vault.changed();
    Ok(Reply::ok(reply))
}

async fn get(call: &Call<'_>) -> Result<Reply, ApiError> {
    let (name, at) = (call.name(), call.moment());
    let managed = {
        let state = call.vault.state.lock();
        match state.secrets.find(name, at.now_ms) {
            Some(item) => {
                let version = item.version(call.version())?;
                enabled(version.attributes.enabled)?;
                return Ok(Reply::ok(version.bundle(&call.vault.place, &item.name)));
            }
            None => {
                let item = state.certificates.find(name, at.now_ms).filter(|item| item.newest().is_some());
                let item = item.ok_or_else(|| Kind::Secret.not_found(name))?;
                let version = item.version(Kind::Secret, call.version())?;
                enabled(version.attributes.enabled)?;
                (item.name.clone(), version.clone())
            }
        }
    };
    let (name, version) = managed;
    let place = call.vault.place.clone();
    let bundle = material::blocking(move || version.secret_bundle(&place, &name)).await?;
    Ok(Reply::ok(bundle))
}

fn enabled(is_enabled: bool) -> Result<(), ApiError> {
    if is_enabled {
        return Ok(());
    }
    Err(ApiError::forbidden("SecretDisabled", "Operation get is not allowed on a disabled secret."))
}

fn update(call: &Call<'_>) -> Result<Reply, ApiError> {
    let body: UpdateSecret = call.json()?;
    body.check()?;
    let (name, at) = (call.name(), call.moment());
    let mut state = call.vault.state.lock();
    state.not_managed(Kind::Secret, name, at.now_ms)?;
    let item = state.secrets.find_mut(name, at.now_ms).ok_or_else(|| Kind::Secret.not_found(name))?;
    let spelling = item.name.clone();
    let version = item.version_mut(call.version())?;
    version.update(body, at.now());
    let reply = version.properties(&call.vault.place, &spelling);
    drop(state);
    call.vault.changed();
    Ok(Reply::ok(reply))
}

fn list(call: &Call<'_>) -> Result<Reply, ApiError> {
    let page = Page::of(&call.query)?;
    let (base, place) = (&call.vault.place.base, &call.vault.place);
    if page.is_empty_on_demand(call.world) {
        return Ok(Reply::ok(page.answer(base, "secrets", &call.query, Vec::new(), Some(""))));
    }
    let now_ms = call.moment().now_ms;
    let state = call.vault.state.lock();
    let plain = state.secrets.after(page.cursor.as_deref(), now_ms);
    let plain = plain.map(|(name, item)| (name.to_owned(), item.entry(place)));
    let managed = issued(&state, page.cursor.as_deref(), now_ms);
    let managed =
        managed.map(|(name, entry)| (name, entry.map(|(item, version)| version.secret_entry(place, &item.name))));
    let (entries, next) = take(merge(plain, managed), page.size);
    let entries = entries.into_iter().collect::<Result<Vec<Value>, _>>()?;
    Ok(Reply::ok(page.answer(base, "secrets", &call.query, entries, next.as_deref())))
}

/// A certificate's item and its newest version.
type Issued<'a> = (&'a crate::state::certificates::CertificateItem, &'a crate::state::certificates::CertificateVersion);

/// Certificates that have a version, and so a secret and a key.
pub fn issued<'a>(
    state: &'a VaultState,
    cursor: Option<&str>,
    now_ms: i64,
) -> impl Iterator<Item = (String, Result<Issued<'a>, ApiError>)> + use<'a> {
    let certificates = state.certificates.after(cursor, now_ms);
    certificates.filter_map(|(name, item)| item.newest().map(|version| (name.to_owned(), Ok((item, version)))))
}

/// Two ordered sequences as one; a name is in only one of them.
pub fn merge<T>(
    left: impl Iterator<Item = (String, T)>,
    right: impl Iterator<Item = (String, T)>,
) -> impl Iterator<Item = (String, T)> {
    let (mut left, mut right) = (left.peekable(), right.peekable());
    std::iter::from_fn(move || match (left.peek(), right.peek()) {
        (Some((first, _)), Some((second, _))) if second < first => right.next(),
        (None, _) => right.next(),
        (Some(_), _) => left.next(),
    })
}

fn versions(call: &Call<'_>) -> Result<Reply, ApiError> {
    let page = Page::of(&call.query)?;
    let (name, now_ms, place) = (call.name(), call.moment().now_ms, &call.vault.place);
    let start = page.cursor.as_deref().map_or(Ok(0), start_of)?;
    let path = format!("secrets/{name}/versions");
    if page.is_empty_on_demand(call.world) {
        return Ok(Reply::ok(page.answer(&place.base, &path, &call.query, Vec::new(), Some("0"))));
    }
    let state = call.vault.state.lock();
    // Versions are only ever added at the end, so a place among them is a cursor that stays.
    let (entries, next) = match state.secrets.find(name, now_ms) {
        Some(item) => {
            let entries = item.versions.iter().enumerate().skip(start);
            take(entries.map(|(n, version)| ((n + 1).to_string(), version.properties(place, &item.name))), page.size)
        }
        None => {
            let item = state.certificates.find(name, now_ms).filter(|item| item.newest().is_some());
            let item = item.ok_or_else(|| Kind::Secret.not_found(name))?;
            let entries = item.versions.iter().enumerate().skip(start);
            take(
                entries.map(|(n, version)| ((n + 1).to_string(), version.secret_version(place, &item.name))),
                page.size,
            )
        }
    };
    Ok(Reply::ok(page.answer(&place.base, &path, &call.query, entries, next.as_deref())))
}

/// Where a page of versions begins.
pub fn start_of(cursor: &str) -> Result<usize, ApiError> {
    cursor.parse().map_err(|_| ApiError::bad_parameter("The $skiptoken is not valid."))
}

fn delete(call: &Call<'_>) -> Result<Reply, ApiError> {
    let (name, at, place) = (call.name(), call.moment(), &call.vault.place);
    let mut state = call.vault.state.lock();
    state.not_managed(Kind::Secret, name, at.now_ms)?;
    let deleted = state.secrets.delete(Kind::Secret, name, at)?;
    let reply = deleted.item.deleted(place, deleted)?;
    drop(state);
    call.vault.changed();
    Ok(Reply::ok(reply))
}

fn list_deleted(call: &Call<'_>) -> Result<Reply, ApiError> {
    let page = Page::of(&call.query)?;
    let (base, place) = (&call.vault.place.base, &call.vault.place);
    if page.is_empty_on_demand(call.world) {
        return Ok(Reply::ok(page.answer(base, "deletedsecrets", &call.query, Vec::new(), Some(""))));
    }
    let state = call.vault.state.lock();
    let deleted = state.secrets.deleted_after(page.cursor.as_deref(), call.moment().now_ms);
    let (entries, next) = take(deleted.map(|(name, deleted)| (name.to_owned(), deleted)), page.size);
    let entries = entries.into_iter().map(|deleted| {
        let mut entry = deleted.item.entry(place)?;
        place.add_deleted(&mut entry, Kind::Secret, &deleted.item.name, deleted);
        Ok(entry)
    });
    let entries = entries.collect::<Result<Vec<_>, ApiError>>()?;
    Ok(Reply::ok(page.answer(base, "deletedsecrets", &call.query, entries, next.as_deref())))
}

fn get_deleted(call: &Call<'_>) -> Result<Reply, ApiError> {
    let (name, now_ms) = (call.name(), call.moment().now_ms);
    let state = call.vault.state.lock();
    let deleted = state.secrets.find_deleted(name, now_ms).ok_or_else(|| Kind::Secret.deleted_not_found(name))?;
    Ok(Reply::ok(deleted.item.deleted(&call.vault.place, deleted)?))
}

fn recover(call: &Call<'_>) -> Result<Reply, ApiError> {
    let (name, at) = (call.name(), call.moment());
    let mut state = call.vault.state.lock();
    let item = state.secrets.recover(Kind::Secret, name, at)?;
    let reply = item.newest()?.properties(&call.vault.place, &item.name);
    drop(state);
    call.vault.changed();
    Ok(Reply::ok(reply))
}

fn purge(call: &Call<'_>) -> Result<Reply, ApiError> {
    call.vault.state.lock().secrets.purge(Kind::Secret, call.name(), call.moment())?;
    call.vault.changed();
    Ok(Reply::empty(204))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_ordered_listings_merge_in_order() {
        let pairs = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), ())).collect::<Vec<_>>().into_iter();
        let merged: Vec<_> = merge(pairs(&["a", "d"]), pairs(&["b", "c", "e"])).map(|(name, ())| name).collect();
        assert_eq!(merged, ["a", "b", "c", "d", "e"]);
        assert_eq!(merge(pairs(&[]), pairs(&["x"])).count(), 1);
    }
}
