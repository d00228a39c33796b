//! Keys: backup on the source, restore on the target. A restore is a create: it never replaces a key, so the target
//! need not be looked at before the first one.

use domain::attempt::{Decision, Look, first_write, later_write, thorough_write};
use proto_msgs::{
    ErrorCode, ItemType,
    record::{Arrival, OutcomeKind},
    vault::{Detail, Side, SideState},
};
use vault::VaultErrorKind;

use super::{
    steps,
    unresolved::{Settled, settle},
    work::{Done, Halt, Read, Work},
};

pub(super) async fn sync(work: &mut Work<'_>) -> Result<Done, Halt> {
    let source = read_source(work).await?;
    let mut seen = Look::Absent;
    let decision = if work.carries_older() || work.command.outcome_unknown {
        seen = look(work, &source).await?;
        // A restore brings the versions' own ids.
        let matches = matches!(seen, Look::Present { same_content: true, .. }) || names(work, &seen);
        match settle(work, &source, &seen, matches).await? {
            Settled::Done(done) => return Ok(done),
            Settled::Own(decision) => decision,
            Settled::GoOn => decide(work, &source, &seen),
        }
    } else {
        if work.command.thorough {
            seen = look(work, &source).await?;
        }
        decide(work, &source, &seen)
    };
    match steps::without_write(work, decision, &source, &seen).await? {
        Some(done) => Ok(done),
        None => restore(work, &source).await,
    }
}

async fn read_source(work: &mut Work<'_>) -> Result<SideState, Halt> {
    let vault = work.open(Side::Source).await?;
    let answer = vault.read_key(&work.name(), work.correlation).await;
    let answer = work.got(answer)?;
    if answer.value.managed {
        let detail = Detail::new("Key Vault keeps this key behind a certificate: add certificates to the item types");
        return Err(Halt::Block { code: ErrorCode::ManagedByCertificate, detail });
    }
    work.source = Some(Read { state: answer.value.state.clone(), date: answer.date });
    Ok(answer.value.state)
}

async fn look(work: &mut Work<'_>, source: &SideState) -> Result<Look, Halt> {
    let vault = work.open(Side::Target).await?;
    let answer = vault.read_key(&work.name(), work.correlation).await;
    match work.got(answer) {
        Ok(answer) if answer.value.managed => Ok(Look::NameTaken),
        Ok(answer) => {
            let state = answer.value.state;
            Ok(Look::Present { same_content: state.version == source.version, state })
        }
        Err(error) if error.kind == VaultErrorKind::NotFound => Ok(Look::Absent),
        Err(error) => Err(error.into()),
    }
}

fn names(work: &Work<'_>, look: &Look) -> bool {
    let Look::Present { state, .. } = look else { return false };
    let named = work.record.unresolved.as_ref().and_then(|unresolved| unresolved.source_version.as_ref());
    named.is_some() && named == state.version.as_ref()
}

fn decide(work: &Work<'_>, source: &SideState, look: &Look) -> Decision {
    match work.baseline() {
        None => first_write(ItemType::Keys, source, look, &work.command.behaviour, work.record.leave.as_ref()),
        Some(baseline) if work.command.thorough => thorough_write(ItemType::Keys, source, look, baseline),
        Some(baseline) => later_write(ItemType::Keys, source, baseline),
    }
}

async fn restore(work: &mut Work<'_>, source: &SideState) -> Result<Done, Halt> {
    let from = work.open(Side::Source).await?;
    let backup = from.backup_key(&work.name(), work.correlation).await;
    let backup = work.got(backup)?.value;
    let into = work.open(Side::Target).await?;
    let (gate, correlation) = (work.gate.clone(), work.correlation);
    let restored = into.restore_key(&backup, &gate, correlation).await;
    match work.wrote(restored) {
        Ok(restored) => Ok(Done { outcome: OutcomeKind::Written, how: Arrival::Written, target: restored.value }),
        Err(error) if error.kind == VaultErrorKind::AlreadyExists => {
            let seen = look(work, source).await?;
            let decision = match seen {
                // Gone again between the two calls: the next attempt restores it.
                Look::Absent => return Err(error.into()),
                Look::Present { .. } | Look::Unreadable | Look::NameTaken => decide(work, source, &seen),
            };
            steps::without_write(work, decision, source, &seen).await?.ok_or(Halt::Vault(error))
        }
        Err(error) => Err(error.into()),
    }
}
