//! Keys: backup on the source, restore on the target. A restore is a create: it never replaces a key, so the target
//! need not be looked at before the first one.

use std::time::Duration;

use domain::attempt::{Look, may_be_named};
use proto_msgs::{
    ErrorCode, Timestamp,
    record::{Arrival, OutcomeKind},
    vault::{KeyRotation, Side, SideState},
};
use vault::{Key, Vault, VaultError, VaultErrorKind};

use super::{
    steps,
    unresolved::{is_untouched, settle},
    work::{Done, Halt, Read, Work},
};

/// Longest that is waited for a rotation policy: it is only shown, and the write that follows has ten seconds.
const POLICY_LIMIT: Duration = Duration::from_secs(2);

pub(super) async fn sync(work: &mut Work<'_>) -> Result<Done, Halt> {
    let key = read_source(work).await?;
    let source = &key.state;
    let look = if steps::must_look(work, source).await? { Some(compare(work, source).await?) } else { None };
    let decision = steps::decide(work, source, look.as_ref());
    match steps::carry_out(work, decision, source, look.as_ref()).await? {
        Some(done) => Ok(done),
        None if !key.has_known_type() => {
            let named = key.key_type.as_deref().unwrap_or("(none)");
            let message = format!("keys of the type {named} are not known: nothing was restored");
            Err(Halt::block(ErrorCode::UnknownKeyType, &message))
        }
        None => restore(work, source).await,
    }
}

async fn read_source(work: &mut Work<'_>) -> Result<Key, Halt> {
    let vault = work.open(Side::Source).await?;
    let answer = vault.read_key(&work.name(), work.correlation).await;
    let answer = work.got(answer)?;
    if answer.value.managed {
        return Err(Halt::block(
            ErrorCode::ManagedByCertificate,
            "Key Vault keeps this key behind a certificate: add certificates to the item types",
        ));
    }
    work.source = Some(Read { state: answer.value.state.clone(), date: answer.date });
    Ok(answer.value)
}

/// Looks at the target, and settles older attempts by what is there.
async fn compare(work: &mut Work<'_>, source: &SideState) -> Result<Look, Halt> {
    let look = look(work, source).await?;
    if work.must_settle() {
        let written = written(work, &look, source).await?;
        settle(work, &look, written);
    }
    Ok(look)
}

async fn look(work: &mut Work<'_>, source: &SideState) -> Result<Look, Halt> {
    let vault = work.open(Side::Target).await?;
    let answer = vault.read_key(&work.name(), work.correlation).await;
    match work.got(answer) {
        Ok(answer) if answer.value.managed => {
            work.seen = Some(answer.value.state);
            Ok(Look::NameTaken)
        }
        Ok(answer) => {
            let state = answer.value.state;
            work.seen = Some(state.clone());
            let known = work.baseline().and_then(|baseline| baseline.rotation);
            work.rotation = policy(work, vault.as_ref()).await.or(known).or(Some(KeyRotation::Unknown));
            Ok(Look::Present { same_content: state.version == source.version, state })
        }
        Err(error) if error.kind == VaultErrorKind::NotFound => Ok(Look::Absent),
        Err(error) => Err(error.into()),
    }
}

/// What the source was in the version that the target holds, if an older attempt was about to restore that: a restore
/// brings the versions' own ids.
async fn written(work: &mut Work<'_>, look: &Look, source: &SideState) -> Result<Option<SideState>, Halt> {
    let Look::Present { state, same_content } = look else { return Ok(None) };
    if *same_content {
        return Ok(Some(source.clone()));
    }
    if is_untouched(work, look) || work.older().next().is_none() {
        return Ok(None);
    }
    let vault = work.open(Side::Source).await?;
    let versions = vault.versions(work.kind(), &work.name(), work.correlation).await;
    let versions = work.listed(versions)?.value;
    let held = versions.iter().find(|version| state.version.as_ref() == Some(&version.version));
    let named = held.filter(|held| work.older().any(|older| may_be_named(older, &held.version, held.updated)));
    Ok(named.map(|named| SideState { updated: named.updated, ..state.clone() }))
}

async fn restore(work: &mut Work<'_>, source: &SideState) -> Result<Done, Halt> {
    let from = work.open(Side::Source).await?;
    // The backup has the policy in it.
    work.rotation = policy(work, from.as_ref()).await.or(Some(KeyRotation::Unknown));
    let backup = from.backup_key(&work.name(), work.correlation).await;
    let backup = work.got(backup)?.value;
    let into = work.open(Side::Target).await?;
    let (gate, correlation) = (work.gate.clone(), work.correlation);
    let restored = into.restore_key(&backup, &gate, correlation).await;
    match work.wrote(restored) {
        Ok(restored) => {
            note_newer(work, source, &restored.value);
            Ok(Done { outcome: OutcomeKind::Written, how: Arrival::Written, target: restored.value })
        }
        Err(error) if error.kind == VaultErrorKind::AlreadyExists => {
            let seen = look(work, source).await?;
            if seen == Look::Absent {
                return Err(not_live(work, error).await.into());
            }
            let decision = steps::decide(work, source, Some(&seen));
            steps::carry_out(work, decision, source, Some(&seen)).await?.ok_or(Halt::Vault(error))
        }
        Err(error) => Err(error.into()),
    }
}

/// Why a name is refused under which nothing is live: a soft-deleted key, or one on its way to or from that.
async fn not_live(work: &mut Work<'_>, refused: VaultError) -> VaultError {
    steps::see_deleted(work).await;
    let kind = if work.seen.is_some() { VaultErrorKind::SoftDeleted } else { VaultErrorKind::BeingDeleted };
    VaultError { kind, ..refused }
}

/// How the key is rotated; none: that could not be read, which keeps nothing from its work.
async fn policy(work: &mut Work<'_>, vault: &dyn Vault) -> Option<KeyRotation> {
    let name = work.name();
    let reading = tokio::time::timeout(POLICY_LIMIT, vault.read_rotation(&name, work.correlation));
    match reading.await {
        Ok(answer) => match work.got(answer) {
            Ok(answer) => Some(answer.value),
            Err(error) => {
                if error.failure().asks_for_rest() {
                    work.throttled.get_or_insert(error);
                }
                None
            }
        },
        Err(_) => {
            work.calls.get += 1;
            None
        }
    }
}

/// A key that was rotated between the read and the backup: what was restored is what the source was by then.
fn note_newer(work: &mut Work<'_>, source: &SideState, restored: &SideState) {
    if restored.version != source.version {
        let state = SideState { updated: None, ..restored.clone() };
        // Never read as far as the next cycle is concerned: it looks again.
        work.source = Some(Read { state, date: Timestamp::default() });
    }
}
