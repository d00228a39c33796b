//! Steps that all item types share: deciding, carrying a decision out, and bringing attributes up to date.

use domain::{
    attempt::{self, Decision, Look, Resolved, first_write, later_write, thorough_write},
    switched_off,
};
use proto_msgs::{
    ErrorCode, Timestamp,
    record::{Arrival, OutcomeKind},
    vault::{Detail, Side, SideState},
};

use super::{
    confirm, unresolved,
    work::{Done, Halt, Read, Work},
};

/// Decides by the source and by what was seen of the target, if it was looked at. It need not be before a first restore
/// of a key, which never replaces one.
pub(super) fn decide(work: &Work<'_>, source: &SideState, look: Option<&Look>) -> Decision {
    match (work.baseline(), look) {
        (None, look) => {
            let look = look.unwrap_or(&Look::Absent);
            first_write(work.kind(), source, look, &work.command.behaviour, work.record.leave.as_ref())
        }
        (Some(baseline), Some(look)) => thorough_write(work.kind(), source, look, baseline),
        (Some(baseline), None) => later_write(work.kind(), source, baseline),
    }
}

/// Carries out every decision but a write, which is the item type's own business: that gives `None`, and may begin.
pub(super) async fn carry_out(
    work: &mut Work<'_>,
    decision: Decision,
    source: &SideState,
    look: Option<&Look>,
) -> Result<Option<Done>, Halt> {
    if let Decision::Nothing(how) = decision {
        let outcome = match work.resolved {
            Some(Resolved::Written) => OutcomeKind::Settled,
            Some(Resolved::NotWritten | Resolved::Foreign) | None => OutcomeKind::Equal,
        };
        return Ok(Some(Done { outcome, how, target: target_state(work, look, source) }));
    }
    unresolved::put_own_in_place(work).await?;
    match decision {
        Decision::Write => {
            if attempt::replaces_foreign(look, work.baseline()) {
                confirm::may_overwrite(work).await?;
            }
            Ok(None)
        }
        Decision::Update => update(work, source, look).await.map(Some),
        Decision::Block { code, message } => Err(Halt::Block { code, detail: Detail::new(message) }),
        Decision::Nothing(_) => unreachable!("it was dealt with above"),
    }
}

/// Brings the attributes over from a source that is switched off. There is a baseline.
pub(super) async fn carry_attributes(
    work: &mut Work<'_>,
    source: &SideState,
    date: Timestamp,
    look: Option<&Look>,
) -> Result<Done, Halt> {
    let disabled = || {
        Halt::block(ErrorCode::SourceDisabled, "the item is disabled at the source: it is carried once it is enabled")
    };
    let baseline = work.baseline().ok_or_else(disabled)?;
    let carried = switched_off::carried(source, look, baseline);
    let decision = switched_off::decide(work.kind(), &carried, look, baseline);
    work.source = Some(Read { state: carried.clone(), date });
    carry_out(work, decision, &carried, look).await?.ok_or_else(disabled)
}

/// Attributes and tags of the target's newest version, no new version.
async fn update(work: &mut Work<'_>, source: &SideState, look: Option<&Look>) -> Result<Done, Halt> {
    let mut attributes = source.attributes.clone();
    if attributes.content_type.is_none() {
        // Cleared where there is one; where there is none, an empty one would be something else.
        attributes.content_type = target_state(work, look, source).attributes.content_type.map(|_| String::new());
    }
    let target = work.open(Side::Target).await?;
    let (kind, name, gate, correlation) = (work.kind(), work.name(), work.gate.clone(), work.correlation);
    let updated = target.update(kind, &name, &attributes, &gate, correlation).await;
    let updated = work.wrote(updated)?;
    let how = work.baseline().map_or(Arrival::Written, |baseline| baseline.how);
    Ok(Done { outcome: OutcomeKind::Updated, how, target: updated.value })
}

/// The target as it was looked at; where it was not, as it was left.
fn target_state(work: &Work<'_>, look: Option<&Look>, source: &SideState) -> SideState {
    match (look, work.baseline()) {
        (Some(Look::Present { state, .. } | Look::Disabled { state }), _) => state.clone(),
        (Some(Look::Absent | Look::Unreadable | Look::NameTaken) | None, Some(baseline)) => baseline.target.clone(),
        (Some(Look::Absent | Look::Unreadable | Look::NameTaken) | None, None) => {
            SideState { version: None, ..source.clone() }
        }
    }
}
