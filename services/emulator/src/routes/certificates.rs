//! Calls that read, delete and recover certificates.

use serde_json::Value;

use crate::{
    error::ApiError,
    operation::Operation,
    routes::{
        Reply,
        data_plane::Call,
        page::{Page, take},
        secrets::start_of,
    },
    state::collection::Kind,
};

/// Makes the change and answers.
#[expect(clippy::wildcard_enum_match_arm, reason = "the operation's category chose this function")]
pub fn execute(call: &Call<'_>) -> Result<Reply, ApiError> {
    match call.route.operation {
        Operation::CertificatesGet => get(call),
        Operation::CertificatesGetPolicy => policy(call),
        Operation::CertificatesList => list(call),
        Operation::CertificatesListVersions => versions(call),
        Operation::CertificatesGetPending => pending(call),
        Operation::CertificatesDeletePending => delete_pending(call),
        Operation::CertificatesDelete => delete(call),
        Operation::CertificatesListDeleted => list_deleted(call),
        Operation::CertificatesGetDeleted => get_deleted(call),
        Operation::CertificatesRecover => recover(call),
        Operation::CertificatesPurge => purge(call),
        _ => Err(ApiError::internal("not a call on certificates")),
    }
}

fn get(call: &Call<'_>) -> Result<Reply, ApiError> {
    let (name, now_ms, place) = (call.name(), call.moment().now_ms, &call.vault.place);
    let state = call.vault.state.lock();
    let item = state.certificates.find(name, now_ms).ok_or_else(|| Kind::Certificate.not_found(name))?;
    if call.version().is_none() {
        return Ok(Reply::ok(item.current(place)));
    }
    let version = item.version(Kind::Certificate, call.version())?;
    Ok(Reply::ok(item.bundle(place, version)))
}

fn policy(call: &Call<'_>) -> Result<Reply, ApiError> {
    let (name, now_ms) = (call.name(), call.moment().now_ms);
    let state = call.vault.state.lock();
    let item = state.certificates.find(name, now_ms).ok_or_else(|| Kind::Certificate.not_found(name))?;
    Ok(Reply::ok(item.policy_json(&call.vault.place)))
}

fn list(call: &Call<'_>) -> Result<Reply, ApiError> {
    let page = Page::of(&call.query)?;
    let place = &call.vault.place;
    if page.is_empty_on_demand(call.world) {
        return Ok(Reply::ok(page.answer(&place.base, "certificates", &call.query, Vec::new(), Some(""))));
    }
    let with_pending = call.query.get("includepending").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let state = call.vault.state.lock();
    let listed = state.certificates.after(page.cursor.as_deref(), call.moment().now_ms);
    let listed = listed.filter(|(_, item)| with_pending || item.newest().is_some());
    let (entries, next) = take(listed.map(|(name, item)| (name.to_owned(), item.entry(place))), page.size);
    Ok(Reply::ok(page.answer(&place.base, "certificates", &call.query, entries, next.as_deref())))
}

fn versions(call: &Call<'_>) -> Result<Reply, ApiError> {
    let page = Page::of(&call.query)?;
    let (name, place) = (call.name(), &call.vault.place);
    let start = page.cursor.as_deref().map_or(Ok(0), start_of)?;
    let path = format!("certificates/{name}/versions");
    if page.is_empty_on_demand(call.world) {
        return Ok(Reply::ok(page.answer(&place.base, &path, &call.query, Vec::new(), Some("0"))));
    }
    let state = call.vault.state.lock();
    let item = state.certificates.find(name, call.moment().now_ms).ok_or_else(|| Kind::Certificate.not_found(name))?;
    let entries = item.versions.iter().enumerate().skip(start);
    let entries =
        entries.map(|(n, version)| ((n + 1).to_string(), version.entry(place, &item.name, Some(&version.id))));
    let (entries, next) = take(entries, page.size);
    Ok(Reply::ok(page.answer(&place.base, &path, &call.query, entries, next.as_deref())))
}

fn no_pending(name: &str) -> ApiError {
    ApiError::new(404, "PendingCertificateNotFound", format!("Pending certificate not found: {name}"))
}

fn pending(call: &Call<'_>) -> Result<Reply, ApiError> {
    let (name, now_ms) = (call.name(), call.moment().now_ms);
    let state = call.vault.state.lock();
    let item = state.certificates.find(name, now_ms).ok_or_else(|| no_pending(name))?;
    let asked = call.query.get("request_id");
    let pending = item.pending.as_ref().filter(|pending| asked.is_none_or(|id| *id == pending.request_id));
    let pending = pending.ok_or_else(|| no_pending(name))?;
    Ok(Reply::ok(item.pending_json(&call.vault.place, pending)))
}

fn delete_pending(call: &Call<'_>) -> Result<Reply, ApiError> {
    let (name, now_ms) = (call.name(), call.moment().now_ms);
    let mut state = call.vault.state.lock();
    let item = state.certificates.find_mut(name, now_ms).ok_or_else(|| no_pending(name))?;
    let pending = item.pending.take().ok_or_else(|| no_pending(name))?;
    let reply = item.pending_json(&call.vault.place, &pending);
    // What was never issued does not stay without its request.
    if item.newest().is_none() {
        state.certificates.remove(name);
    }
    drop(state);
    call.vault.changed();
    Ok(Reply::ok(reply))
}

fn delete(call: &Call<'_>) -> Result<Reply, ApiError> {
    let mut state = call.vault.state.lock();
    let deleted = state.certificates.delete(Kind::Certificate, call.name(), call.moment())?;
    let reply = deleted.item.deleted(&call.vault.place, deleted);
    drop(state);
    call.vault.changed();
    Ok(Reply::ok(reply))
}

fn list_deleted(call: &Call<'_>) -> Result<Reply, ApiError> {
    let page = Page::of(&call.query)?;
    let place = &call.vault.place;
    if page.is_empty_on_demand(call.world) {
        return Ok(Reply::ok(page.answer(&place.base, "deletedcertificates", &call.query, Vec::new(), Some(""))));
    }
    let state = call.vault.state.lock();
    let deleted = state.certificates.deleted_after(page.cursor.as_deref(), call.moment().now_ms);
    let (entries, next) = take(deleted.map(|(name, deleted)| (name.to_owned(), deleted)), page.size);
    let entries: Vec<Value> = entries
        .into_iter()
        .map(|deleted| {
            let mut entry = deleted.item.entry(place);
            place.add_deleted(&mut entry, Kind::Certificate, &deleted.item.name, deleted);
            entry
        })
        .collect();
    Ok(Reply::ok(page.answer(&place.base, "deletedcertificates", &call.query, entries, next.as_deref())))
}

fn get_deleted(call: &Call<'_>) -> Result<Reply, ApiError> {
    let (name, now_ms) = (call.name(), call.moment().now_ms);
    let state = call.vault.state.lock();
    let deleted =
        state.certificates.find_deleted(name, now_ms).ok_or_else(|| Kind::Certificate.deleted_not_found(name))?;
    Ok(Reply::ok(deleted.item.deleted(&call.vault.place, deleted)))
}

fn recover(call: &Call<'_>) -> Result<Reply, ApiError> {
    let mut state = call.vault.state.lock();
    let item = state.certificates.recover(Kind::Certificate, call.name(), call.moment())?;
    let reply = item.current(&call.vault.place);
    drop(state);
    call.vault.changed();
    Ok(Reply::ok(reply))
}

fn purge(call: &Call<'_>) -> Result<Reply, ApiError> {
    call.vault.state.lock().certificates.purge(Kind::Certificate, call.name(), call.moment())?;
    call.vault.changed();
    Ok(Reply::empty(204))
}
