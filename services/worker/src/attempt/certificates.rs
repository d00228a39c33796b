//! Certificates: policy and backing secret from the source, import on the target. Compared by thumbprint.

use domain::attempt::Look;
use proto_msgs::{
    ErrorCode, Timestamp,
    record::{Arrival, OutcomeKind},
    vault::{Side, SideState},
};
use vault::{CertificateImport, CertificatePolicy, VaultError, VaultErrorKind};

use super::{
    steps,
    unresolved::settle,
    work::{Done, Halt, Read, Work},
};

/// The source under the record's name.
struct Source {
    state: SideState,
    policy: CertificatePolicy,
    date: Timestamp,
}

pub(super) async fn sync(work: &mut Work<'_>) -> Result<Done, Halt> {
    let source = read_source(work).await?;
    let must_look = steps::must_look(work, &source.state).await?;
    let look = if must_look { Some(compare(work, &source.state).await?) } else { None };
    // A renewal that came before it was disabled cannot be exported: it follows once the certificate is enabled.
    if !source.state.attributes.enabled && work.baseline().is_some() {
        return steps::carry_attributes(work, &source.state, source.date, look.as_ref()).await;
    }
    let decision = steps::decide(work, &source.state, look.as_ref());
    match steps::carry_out(work, decision, &source.state, look.as_ref()).await? {
        Some(done) => Ok(done),
        None => import(work, source).await,
    }
}

async fn read_source(work: &mut Work<'_>) -> Result<Source, Halt> {
    let vault = work.open(Side::Source).await?;
    let answer = vault.read_certificate(&work.name(), work.correlation).await;
    let answer = work.got(answer)?;
    let (state, policy, date) = (answer.value.state, answer.value.policy, answer.date);
    if state.x5t.is_none() {
        return Err(Halt::block(ErrorCode::CertificatePending, "no version of the certificate was issued yet"));
    }
    work.source = Some(Read { state: state.clone(), date });
    Ok(Source { state, policy, date })
}

/// Looks at the target, and settles older attempts by what is there.
async fn compare(work: &mut Work<'_>, source: &SideState) -> Result<Look, Halt> {
    let vault = work.open(Side::Target).await?;
    let answer = vault.read_certificate(&work.name(), work.correlation).await;
    let look = match work.got(answer) {
        Ok(answer) => {
            let state = answer.value.state;
            work.seen = Some(state.clone());
            Look::Present { same_content: state.x5t == source.x5t, state }
        }
        Err(error) if error.kind == VaultErrorKind::NotFound => Look::Absent,
        Err(error) => return Err(error.into()),
    };
    if work.must_settle() {
        let written = written(work, &look, source);
        settle(work, &look, written);
    }
    Ok(look)
}

/// What the source was in the version that the target holds, if an older attempt was about to write that.
fn written(work: &Work<'_>, look: &Look, source: &SideState) -> Option<SideState> {
    let Look::Present { state, same_content } = look else { return None };
    if *same_content {
        return Some(source.clone());
    }
    let is_named = state.x5t.is_some() && work.older().any(|older| older.x5t == state.x5t);
    is_named.then(|| SideState { version: None, updated: None, ..state.clone() })
}

async fn import(work: &mut Work<'_>, source: Source) -> Result<Done, Halt> {
    let Source { state, policy, date } = source;
    if !policy.exportable {
        return Err(Halt::block(
            ErrorCode::CertificateNotExportable,
            "the certificate's private key cannot leave the source",
        ));
    }
    if !state.attributes.enabled {
        return Err(Halt::block(
            ErrorCode::SourceDisabled,
            "a disabled certificate cannot be exported: it is carried once it is enabled",
        ));
    }
    if state.attributes.expires.is_some_and(|expires| expires <= date) {
        return Err(Halt::block(
            ErrorCode::CertificateExpired,
            "the certificate is expired, and Azure imports none that is: renew it at the source",
        ));
    }
    let from = work.open(Side::Source).await?;
    let material = from.export_certificate(&work.name(), state.version.as_ref(), work.correlation).await;
    let material = work.got(material)?.value;
    let import = CertificateImport { material, policy, attributes: state.attributes };
    let into = work.open(Side::Target).await?;
    let (gate, correlation) = (work.gate.clone(), work.correlation);
    let imported = into.import_certificate(&work.name(), &import, &gate, correlation).await;
    match work.wrote(imported) {
        Ok(imported) => Ok(Done { outcome: OutcomeKind::Written, how: Arrival::Written, target: imported.value }),
        Err(error) if error.kind == VaultErrorKind::NameTaken => Err(told_apart(work, error).await?.into()),
        Err(error) => Err(error.into()),
    }
}

/// What keeps a certificate of that name from being imported: Azure says the same of a plain secret or key there and of
/// a request under way, and only the second has a certificate.
async fn told_apart(work: &mut Work<'_>, refused: VaultError) -> Result<VaultError, Halt> {
    let is_there = work.seen.is_some() || steps::glance(work).await?.is_some();
    let kind = if is_there { VaultErrorKind::Unknown } else { VaultErrorKind::NameTaken };
    Ok(VaultError { kind, ..refused })
}
