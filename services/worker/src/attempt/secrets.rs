//! Secrets: get on the source, set on the target.

use domain::attempt::{Look, first_write, later_write, may_be_named, thorough_write};
use proto_msgs::{
    ErrorCode,
    record::{Arrival, OutcomeKind},
    vault::{Attributes, Detail, Side, SideState},
};
use vault::{SecretValue, VaultErrorKind};

use super::{
    steps,
    unresolved::{Settled, settle},
    work::{Done, Halt, Read, Work},
};

/// Source versions that are read to find the one an older attempt was about to write.
const CANDIDATES: usize = 3;

/// The target under the record's name, with its value for comparisons.
struct Seen {
    look: Look,
    value: Option<SecretValue>,
}

pub(super) async fn sync(work: &mut Work<'_>) -> Result<Done, Halt> {
    if let Some(source) = switched_off(work) {
        return steps::update(work, &source).await;
    }
    let (source, value) = read_source(work).await?;
    let mut seen = Seen { look: Look::Absent, value: None };
    let decision = if work.carries_older() || work.command.outcome_unknown {
        seen = look(work, &value).await?;
        let matches = matches_attempt(work, &seen, &value).await?;
        match settle(work, &source, &seen.look, matches).await? {
            Settled::Done(done) => return Ok(done),
            Settled::Own(decision) => decision,
            Settled::GoOn => decide(work, &source, &seen.look),
        }
    } else if work.baseline().is_none() || work.command.thorough {
        seen = look(work, &value).await?;
        decide(work, &source, &seen.look)
    } else {
        decide(work, &source, &seen.look)
    };
    match steps::without_write(work, decision, &source, &seen.look).await? {
        Some(done) => Ok(done),
        None => write(work, &source, &value).await,
    }
}

/// A secret that was synced and then disabled at the source: its value cannot be read, and need not be.
fn switched_off(work: &Work<'_>) -> Option<SideState> {
    let (listed, baseline) = (work.command.listed.as_ref()?, work.baseline()?);
    let is_settled = !work.carries_older() && !work.command.outcome_unknown;
    (!listed.attributes.enabled && is_settled).then(|| SideState {
        version: baseline.source.version.clone(),
        updated: listed.updated,
        attributes: Attributes { ..listed.attributes.clone() },
        x5t: None,
    })
}

async fn read_source(work: &mut Work<'_>) -> Result<(SideState, SecretValue), Halt> {
    let vault = work.open(Side::Source).await?;
    let answer = vault.read_secret(&work.name(), None, work.correlation).await;
    let answer = work.got(answer)?;
    let secret = answer.value;
    if secret.managed {
        let detail =
            Detail::new("Key Vault keeps this secret behind a certificate: add certificates to the item types");
        return Err(Halt::Block { code: ErrorCode::ManagedByCertificate, detail });
    }
    work.source = Some(Read { state: secret.state.clone(), date: answer.date });
    Ok((secret.state, secret.value))
}

async fn look(work: &mut Work<'_>, source: &SecretValue) -> Result<Seen, Halt> {
    let vault = work.open(Side::Target).await?;
    let answer = vault.read_secret(&work.name(), None, work.correlation).await;
    match work.got(answer) {
        Ok(answer) if answer.value.managed => Ok(Seen { look: Look::NameTaken, value: None }),
        Ok(answer) => {
            let same_content = answer.value.value == *source;
            Ok(Seen {
                look: Look::Present { state: answer.value.state, same_content },
                value: Some(answer.value.value),
            })
        }
        Err(error) if error.kind == VaultErrorKind::NotFound => Ok(Seen { look: Look::Absent, value: None }),
        Err(error) if error.kind == VaultErrorKind::Disabled => Ok(Seen { look: Look::Unreadable, value: None }),
        // Whoever may not read may still see what is there.
        Err(error) if error.kind == VaultErrorKind::Forbidden => {
            let versions = vault.versions(work.kind(), &work.name(), work.correlation).await;
            let is_absent = work.listed(versions)?.value.is_empty();
            Ok(Seen { look: if is_absent { Look::Absent } else { Look::Unreadable }, value: None })
        }
        Err(error) => Err(error.into()),
    }
}

fn decide(work: &Work<'_>, source: &SideState, look: &Look) -> domain::attempt::Decision {
    match work.baseline() {
        None => first_write(work.kind(), source, look, &work.command.behaviour, work.record.leave.as_ref()),
        Some(baseline) if work.command.thorough => thorough_write(work.kind(), source, look, baseline),
        Some(baseline) => later_write(work.kind(), source, baseline),
    }
}

/// Whether the target holds what the older attempt was about to write: the source's newest value, or an earlier one.
async fn matches_attempt(work: &mut Work<'_>, seen: &Seen, newest: &SecretValue) -> Result<bool, Halt> {
    let (Some(target), Some(unresolved)) = (&seen.value, work.record.unresolved.clone()) else { return Ok(false) };
    if target == newest {
        return Ok(true);
    }
    let vault = work.open(Side::Source).await?;
    let versions = vault.versions(work.kind(), &work.name(), work.correlation).await;
    let versions = work.listed(versions)?.value;
    let named = versions
        .iter()
        .rev()
        .filter(|version| version.enabled && may_be_named(&unresolved, &version.version, version.updated));
    for version in named.take(CANDIDATES) {
        let answer = vault.read_secret(&work.name(), Some(&version.version), work.correlation).await;
        if work.got(answer)?.value.value == *target {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn write(work: &mut Work<'_>, source: &SideState, value: &SecretValue) -> Result<Done, Halt> {
    let vault = work.open(Side::Target).await?;
    let (gate, correlation) = (work.gate.clone(), work.correlation);
    let written = vault.write_secret(&work.name(), value, &source.attributes, &gate, correlation).await;
    let written = work.wrote(written)?;
    Ok(Done { outcome: OutcomeKind::Written, how: Arrival::Written, target: written.value })
}
