//! Certificates: policy and backing secret from the source, import on the target. Compared by thumbprint.

use domain::attempt::{Decision, Look, first_write, later_write, thorough_write};
use proto_msgs::{
    ErrorCode, ItemType,
    record::{Arrival, OutcomeKind},
    vault::{Detail, Side, SideState},
};
use vault::{CertificateImport, CertificatePolicy, VaultErrorKind};

use super::{
    steps,
    unresolved::{Settled, settle},
    work::{Done, Halt, Read, Work},
};

pub(super) async fn sync(work: &mut Work<'_>) -> Result<Done, Halt> {
    let (source, policy) = read_source(work).await?;
    let mut seen = Look::Absent;
    let decision = if work.carries_older() || work.command.outcome_unknown {
        seen = look(work, &source).await?;
        let matches = matches_attempt(work, &seen);
        match settle(work, &source, &seen, matches).await? {
            Settled::Done(done) => return Ok(done),
            Settled::Own(decision) => decision,
            Settled::GoOn => decide(work, &source, &seen),
        }
    } else {
        if work.baseline().is_none() || work.command.thorough {
            seen = look(work, &source).await?;
        }
        decide(work, &source, &seen)
    };
    match steps::without_write(work, decision, &source, &seen).await? {
        Some(done) => Ok(done),
        None => import(work, &source, policy).await,
    }
}

async fn read_source(work: &mut Work<'_>) -> Result<(SideState, CertificatePolicy), Halt> {
    let vault = work.open(Side::Source).await?;
    let answer = vault.read_certificate(&work.name(), work.correlation).await;
    let answer = work.got(answer)?;
    let state = answer.value.state;
    if state.x5t.is_none() {
        return Err(block(ErrorCode::CertificatePending, "no version of the certificate was issued yet"));
    }
    work.source = Some(Read { state: state.clone(), date: answer.date });
    Ok((state, answer.value.policy))
}

async fn look(work: &mut Work<'_>, source: &SideState) -> Result<Look, Halt> {
    let vault = work.open(Side::Target).await?;
    let answer = vault.read_certificate(&work.name(), work.correlation).await;
    match work.got(answer) {
        Ok(answer) => {
            let state = answer.value.state;
            Ok(Look::Present { same_content: state.x5t == source.x5t, state })
        }
        Err(error) if error.kind == VaultErrorKind::NotFound => Ok(Look::Absent),
        Err(error) => Err(error.into()),
    }
}

fn decide(work: &Work<'_>, source: &SideState, look: &Look) -> Decision {
    match work.baseline() {
        None => first_write(ItemType::Certificates, source, look, &work.command.behaviour, work.record.leave.as_ref()),
        Some(baseline) if work.command.thorough => thorough_write(ItemType::Certificates, source, look, baseline),
        Some(baseline) => later_write(ItemType::Certificates, source, baseline),
    }
}

fn matches_attempt(work: &Work<'_>, look: &Look) -> bool {
    let Look::Present { state, same_content } = look else { return false };
    let named = work.record.unresolved.as_ref().and_then(|unresolved| unresolved.x5t.as_ref());
    *same_content || (named.is_some() && named == state.x5t.as_ref())
}

async fn import(work: &mut Work<'_>, source: &SideState, policy: CertificatePolicy) -> Result<Done, Halt> {
    if !policy.exportable {
        return Err(block(
            ErrorCode::CertificateNotExportable,
            "the certificate's private key cannot leave the source",
        ));
    }
    if !source.attributes.enabled {
        return Err(block(
            ErrorCode::SourceDisabled,
            "a disabled certificate cannot be exported: it is carried once it is enabled",
        ));
    }
    let from = work.open(Side::Source).await?;
    let material = from.export_certificate(&work.name(), source.version.as_ref(), work.correlation).await;
    let material = work.got(material)?.value;
    let import = CertificateImport { material, policy, attributes: source.attributes.clone() };
    let into = work.open(Side::Target).await?;
    let (gate, correlation) = (work.gate.clone(), work.correlation);
    let imported = into.import_certificate(&work.name(), &import, &gate, correlation).await;
    let imported = work.wrote(imported)?;
    Ok(Done { outcome: OutcomeKind::Written, how: Arrival::Written, target: imported.value })
}

fn block(code: ErrorCode, message: &str) -> Halt {
    Halt::Block { code, detail: Detail::new(message) }
}
