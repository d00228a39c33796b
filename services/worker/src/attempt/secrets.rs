//! Secrets: get on the source, set on the target.

use domain::{
    attempt::{Look, may_be_named},
    mutant::{self, Mutant},
};
use proto_msgs::{
    ErrorCode, Timestamp,
    record::{Arrival, OutcomeKind},
    vault::{Side, SideState},
};
use vault::{SecretValue, Vault, VaultError, VaultErrorKind};

use super::{
    steps,
    unresolved::{is_untouched, settle},
    work::{Done, Halt, Read, Work},
};

/// Source versions that are read to find the one an older attempt was about to write: a record names five at most.
const CANDIDATES: usize = 5;

/// The source under the record's name.
enum Source {
    On(SideState, SecretValue),
    /// It was synced and then disabled: its value cannot be read, and need not be.
    Off(SideState, Timestamp),
}

/// The target under the record's name, with its value for comparisons.
struct Seen {
    look: Look,
    value: Option<SecretValue>,
}

pub(super) async fn sync(work: &mut Work<'_>) -> Result<Done, Halt> {
    match source(work).await? {
        Source::On(source, value) => sync_value(work, &source, &value).await,
        Source::Off(source, date) => {
            let look = if steps::must_look(work, &source).await? { Some(compare(work, None).await?) } else { None };
            steps::carry_attributes(work, &source, date, look.as_ref()).await
        }
    }
}

async fn sync_value(work: &mut Work<'_>, source: &SideState, value: &SecretValue) -> Result<Done, Halt> {
    if mutant::is(Mutant::TellValue) {
        return Err(Halt::block(ErrorCode::Unknown, value.expose_text().unwrap_or_default()));
    }
    let must_look = steps::must_look(work, source).await?;
    let look = if must_look { Some(compare(work, Some((source, value))).await?) } else { None };
    let decision = steps::decide(work, source, look.as_ref());
    match steps::carry_out(work, decision, source, look.as_ref()).await? {
        Some(done) => Ok(done),
        None => write(work, source, value).await,
    }
}

/// What is listed is only a hint, and retries have none: where it is wrong, the read tells.
async fn source(work: &mut Work<'_>) -> Result<Source, Halt> {
    let was_synced = work.baseline().is_some();
    if let Some(listed) = work.command.listed.as_ref().filter(|listed| was_synced && !listed.attributes.enabled) {
        let state =
            SideState { version: None, updated: listed.updated, attributes: listed.attributes.clone(), x5t: None };
        return Ok(Source::Off(state, work.command.listed_at.unwrap_or_default()));
    }
    let vault = work.open(Side::Source).await?;
    let answer = vault.read_secret(&work.name(), None, work.correlation).await;
    match work.got(answer) {
        Ok(answer) if answer.value.managed => Err(Halt::block(
            ErrorCode::ManagedByCertificate,
            "Key Vault keeps this secret behind a certificate: add certificates to the item types",
        )),
        Ok(answer) => {
            let (state, value) = (answer.value.state, answer.value.value);
            work.source = Some(Read { state: state.clone(), date: answer.date });
            Ok(Source::On(state, value))
        }
        Err(error) if error.kind == VaultErrorKind::Disabled && was_synced => switched_off(work, &*vault, error).await,
        Err(error) => Err(error.into()),
    }
}

async fn switched_off(work: &mut Work<'_>, vault: &dyn Vault, refused: VaultError) -> Result<Source, Halt> {
    let meta = vault.read_meta(work.kind(), &work.name(), work.correlation).await;
    let meta = work.listed(meta)?;
    if meta.value.attributes.enabled {
        // Switched on between the two calls: the next cycle reads it.
        return Err(refused.into());
    }
    Ok(Source::Off(meta.value, meta.date))
}

/// Looks at the target, and settles older attempts by what is there.
async fn compare(work: &mut Work<'_>, newest: Option<(&SideState, &SecretValue)>) -> Result<Look, Halt> {
    let seen = look(work, newest.map(|(_, value)| value)).await?;
    if work.must_settle() {
        let written = written(work, &seen, newest).await?;
        settle(work, &seen.look, written);
    }
    Ok(seen.look)
}

async fn look(work: &mut Work<'_>, source: Option<&SecretValue>) -> Result<Seen, Halt> {
    let vault = work.open(Side::Target).await?;
    let answer = vault.read_secret(&work.name(), None, work.correlation).await;
    let look = match work.got(answer) {
        Ok(answer) if answer.value.managed => {
            work.seen = Some(answer.value.state);
            Look::NameTaken
        }
        Ok(answer) => {
            let (state, value) = (answer.value.state, answer.value.value);
            work.seen = Some(state.clone());
            let look = Look::Present { state, same_content: source.is_some_and(|source| *source == value) };
            return Ok(Seen { look, value: Some(value) });
        }
        Err(error) if error.kind == VaultErrorKind::NotFound => Look::Absent,
        // Whoever may not read the value may still see what is there.
        Err(error) if error.kind == VaultErrorKind::Disabled => {
            steps::glance(work).await?.map_or(Look::Absent, |state| Look::Disabled { state })
        }
        Err(error) if error.kind == VaultErrorKind::Forbidden => {
            steps::glance(work).await?.map_or(Look::Absent, |state| Look::Unreadable { state })
        }
        Err(error) => return Err(error.into()),
    };
    Ok(Seen { look, value: None })
}

/// What the source was in the version that the target holds, if an older attempt was about to write that: the newest
/// one, or one before.
async fn written(
    work: &mut Work<'_>,
    seen: &Seen,
    newest: Option<(&SideState, &SecretValue)>,
) -> Result<Option<SideState>, Halt> {
    let Some(target) = &seen.value else { return Ok(None) };
    if is_untouched(work, &seen.look) {
        return Ok(None);
    }
    if let Some((source, _)) = newest.filter(|(_, value)| *value == target) {
        return Ok(Some(source.clone()));
    }
    if work.older().next().is_none() {
        return Ok(None);
    }
    let vault = work.open(Side::Source).await?;
    let versions = vault.versions(work.kind(), &work.name(), work.correlation).await;
    let mut versions = work.listed(versions)?.value;
    versions.retain(|version| {
        version.enabled && work.older().any(|older| may_be_named(older, &version.version, version.updated))
    });
    for version in versions.iter().rev().take(CANDIDATES) {
        let answer = vault.read_secret(&work.name(), Some(&version.version), work.correlation).await;
        let secret = work.got(answer)?.value;
        if secret.value == *target {
            return Ok(Some(secret.state));
        }
    }
    Ok(None)
}

async fn write(work: &mut Work<'_>, source: &SideState, value: &SecretValue) -> Result<Done, Halt> {
    let vault = work.open(Side::Target).await?;
    let (gate, correlation) = (work.gate.clone(), work.correlation);
    let written = vault.write_secret(&work.name(), value, &source.attributes, &gate, correlation).await;
    let written = work.wrote(written)?;
    Ok(Done { outcome: OutcomeKind::Written, how: Arrival::Written, target: written.value })
}
