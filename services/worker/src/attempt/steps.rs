//! Steps that all item types share: carrying a decision out, and bringing attributes up to date.

use domain::attempt::{Decision, Look};
use proto_msgs::{
    record::{Arrival, OutcomeKind},
    vault::{Detail, Side, SideState},
};

use super::work::{Done, Halt, Work};

/// Carries out every decision but a write, which is the item type's own business: that gives `None`.
pub(super) async fn without_write(
    work: &mut Work<'_>,
    decision: Decision,
    source: &SideState,
    look: &Look,
) -> Result<Option<Done>, Halt> {
    match decision {
        Decision::Write => Ok(None),
        Decision::Block { code, message } => Err(Halt::Block { code, detail: Detail::new(message) }),
        Decision::Nothing(how) => {
            Ok(Some(Done { outcome: OutcomeKind::Equal, how, target: target_state(work, look, source) }))
        }
        Decision::Update => update(work, source).await.map(Some),
    }
}

/// Attributes and tags of the target's newest version, no new version.
pub(super) async fn update(work: &mut Work<'_>, source: &SideState) -> Result<Done, Halt> {
    let target = work.open(Side::Target).await?;
    let (kind, name, gate, correlation) = (work.kind(), work.name(), work.gate.clone(), work.correlation);
    let updated = target.update(kind, &name, &source.attributes, &gate, correlation).await;
    let updated = work.wrote(updated)?;
    let how = work.baseline().map_or(Arrival::Written, |baseline| baseline.how);
    Ok(Done { outcome: OutcomeKind::Updated, how, target: updated.value })
}

/// The target as it was looked at; where it was not, as it was left.
fn target_state(work: &Work<'_>, look: &Look, source: &SideState) -> SideState {
    match (look, work.baseline()) {
        (Look::Present { state, .. }, _) => state.clone(),
        (Look::Absent | Look::Unreadable | Look::NameTaken, Some(baseline)) => baseline.target.clone(),
        (Look::Absent | Look::Unreadable | Look::NameTaken, None) => SideState { version: None, ..source.clone() },
    }
}
