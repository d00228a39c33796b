//! Steps that all item types share: deciding, carrying a decision out, and bringing attributes up to date.

use domain::{
    attempt::{self, Decision, Look, Resolved, first_write, later_write, thorough_write},
    drift,
    mutant::{self, Mutant},
    switched_off,
};
use proto_msgs::{
    ErrorCode, ItemType, Timestamp,
    record::{Arrival, OutcomeKind},
    vault::{Detail, Side, SideState},
};
use vault::VaultErrorKind;

use super::{
    confirm, unresolved,
    work::{Done, Halt, Read, Work},
};

const FOREIGN_CONTENT: &str = "the target's content is not what Keyferry left, and the source is disabled, so that its \
    content cannot be written back: enable it there, then correct the drift, unless the config does that by itself; or \
    accept what is at the target";

const UNKNOWN_CONTENT: &str = "the answer of an earlier write was lost, and while the source is disabled nobody can tell \
    whether the target has what was written: enable the source, and it is compared";

/// Whether the target is compared, content and all, before anything is decided. It need not be before a first restore of
/// a key, which never replaces one. Before a write over what Keyferry left a glance tells whether it is that still: since
/// it was listed, somebody may have been there.
pub(super) async fn must_look(work: &mut Work<'_>, source: &SideState) -> Result<bool, Halt> {
    let kind = work.kind();
    let Some(baseline) = work.baseline() else { return Ok(work.must_compare() || kind != ItemType::Keys) };
    // Without a version the content at the target is not known to be the source's.
    let is_unknown = baseline.source.version.is_none() || !attempt::knows_operations(kind, baseline);
    if work.must_compare() || is_unknown {
        return Ok(true);
    }
    if !is_a_write(&later_write(kind, source, baseline)) {
        return Ok(false);
    }
    let there = glance(work).await?;
    Ok(!there.zip(work.baseline()).is_some_and(|(there, left)| drift::is_as_left(&there, left)))
}

/// Decides by the source and by what was seen of the target, if it was looked at.
pub(super) fn decide(work: &mut Work<'_>, source: &SideState, look: Option<&Look>) -> Decision {
    let kind = work.kind();
    let Some(baseline) = work.baseline() else {
        let look = look.unwrap_or(&Look::Absent);
        let (given, seen) = (work.record.leave.as_ref(), work.record.target_seen.as_ref());
        return first_write(kind, source, look, &work.command.behaviour, given, seen);
    };
    let by_source = later_write(kind, source, baseline);
    let is_changed = !matches!(by_source, Decision::Nothing(_));
    let decision = match look {
        Some(look) => thorough_write(kind, source, look, baseline),
        None => by_source.clone(),
    };
    // Another version of a key at the target is drift first, and in the way of whoever corrects that.
    let is_in_the_way = is_by_key(&decision) && !is_by_key(&by_source);
    if is_a_write(&decision) || is_in_the_way {
        return guard(work, decision, is_changed, look);
    }
    let was_accepted = baseline.source.version.is_none();
    work.is_accepted = match (&decision, look) {
        (Decision::Nothing(_), Some(look @ Look::Present { .. })) => !attempt::is_equal(kind, source, look),
        (Decision::Nothing(_), Some(Look::Disabled { .. } | Look::Unreadable { .. })) => was_accepted,
        (Decision::Nothing(_), Some(Look::Absent | Look::NameTaken) | None)
        | (Decision::Write | Decision::Update | Decision::Block { .. }, _) => false,
    };
    decision
}

/// Gives a decision about an item that is Keyferry's, or what the drift policy puts in its place. What was not compared
/// is as it was left.
fn guard(work: &mut Work<'_>, decision: Decision, is_source_changed: bool, look: Option<&Look>) -> Decision {
    let policy = work.command.behaviour.drift_policy;
    let (Some(look), Some(baseline)) = (look, work.baseline()) else { return decision };
    let record = &work.record;
    // What an older attempt left there is no reason to wait for somebody.
    if !attempt::replaces_foreign(Some(look), Some(baseline)) && unresolved::is_brought(work, look) {
        return decision;
    }
    let (given, seen) = (record.leave.as_ref(), record.target_seen.as_ref());
    if let Some(block) = drift::guard(look, baseline, policy, is_source_changed, given, seen) {
        return block;
    }
    if is_a_write(&decision) && work.seen.as_ref().is_some_and(|seen| !drift::is_as_left(seen, baseline)) {
        let message = "the target was not as Keyferry had left it, and the source's state was written over it";
        work.remark = Some(message.to_owned());
    }
    decision
}

/// Looks at the target's metadata alone; none: nothing is there.
pub(super) async fn glance(work: &mut Work<'_>) -> Result<Option<SideState>, Halt> {
    let vault = work.open(Side::Target).await?;
    let meta = vault.read_meta(work.kind(), &work.name(), work.correlation).await;
    match work.glanced(meta) {
        Ok(meta) => {
            work.seen = Some(meta.value.clone());
            Ok(Some(meta.value))
        }
        Err(error) if error.kind == VaultErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Looks at what is soft-deleted at the target, for whoever has to deal with it; that it is there is known.
pub(super) async fn see_deleted(work: &mut Work<'_>) {
    let Ok(vault) = work.open(Side::Target).await else { return };
    let deleted = vault.read_deleted(work.kind(), &work.name(), work.correlation).await;
    work.seen = work.got(deleted).ok().map(|deleted| {
        let item = deleted.value.item;
        SideState { version: None, updated: item.updated, attributes: item.attributes, x5t: item.x5t }
    });
}

fn is_a_write(decision: &Decision) -> bool {
    match decision {
        Decision::Write | Decision::Update => true,
        Decision::Nothing(_) | Decision::Block { .. } => false,
    }
}

fn is_by_key(decision: &Decision) -> bool {
    matches!(decision, Decision::Block { code: ErrorCode::TargetKeyExists, .. })
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
        let how = arrival(work, look, how);
        return Ok(Some(Done { outcome, how, target: target_state(work, look, source) }));
    }
    unresolved::put_own_in_place(work).await?;
    match decision {
        Decision::Write => {
            if attempt::replaces_foreign(look, work.baseline()) {
                confirm::may_destroy(work).await?;
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
    let baseline = work.baseline().filter(|_| !mutant::is(Mutant::SwitchedOffIsBlocked)).ok_or_else(disabled)?;
    let carried = switched_off::carried(source, look, baseline);
    let unseen = switched_off::carried(source, None, baseline);
    let by_source = switched_off::decide(work.kind(), &unseen, None, baseline);
    let is_changed = is_a_write(&by_source);
    let mut decision = match look {
        // Neither end is another than was left: somebody accepted how they differ.
        Some(look) if !is_changed && attempt::is_left(look, baseline) => by_source,
        Some(_) | None => switched_off::decide(work.kind(), &carried, look, baseline),
    };
    let is_foreign = look.is_some_and(|look| switched_off::is_foreign(look, baseline));
    let older: Vec<_> = work.older().filter(|older| !older.deletes).cloned().collect();
    // A certificate is told by its thumbprint.
    let may_be_ours = is_foreign && work.kind() == ItemType::Secrets && !older.is_empty();
    work.source = Some(Read { state: carried.clone(), date });
    let content = match carried.version {
        Some(_) => "its attributes are carried, and content that is newer once it is enabled",
        None => "the target may differ from it, and is written whole once it is enabled",
    };
    work.remark = Some(format!("the item is disabled at the source: {content}"));
    if is_a_write(&decision) {
        decision = guard(work, decision, is_changed, look);
    }
    if may_be_ours && !is_a_write(&decision) {
        return Err(Halt::block(ErrorCode::SourceDisabled, UNKNOWN_CONTENT));
    }
    let done = carry_out(work, decision, &carried, look).await?.ok_or_else(disabled)?;
    match (is_foreign, may_be_ours) {
        (false, _) => Ok(done),
        (true, true) => {
            // It was not settled: nothing was compared.
            work.record.late = older;
            Err(Halt::block(ErrorCode::SourceDisabled, UNKNOWN_CONTENT))
        }
        (true, false) => {
            work.seen = Some(done.target);
            // What was carried is no change of the source any more; enabling it is the next.
            if let Some(left) = &mut work.record.baseline {
                (left.source, left.read_at) = (carried, date);
            }
            Err(Halt::block(ErrorCode::Drift, FOREIGN_CONTENT))
        }
    }
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
    let updated = work.wrote(updated)?.value;
    let how = work.baseline().map_or(Arrival::Written, |baseline| baseline.how);
    let how = arrival(work, look, how);
    let before = known_target(work, look).cloned();
    let target = match before.filter(|before| before.version.is_some() && before.version != updated.version) {
        // Somebody put another version there, unseen: it must not pass for what was left.
        Some(before) => {
            let message = "somebody put another version at the target in the meantime: the next run shows it as drift";
            work.remark = Some(message.to_owned());
            before
        }
        None => updated,
    };
    Ok(Done { outcome: OutcomeKind::Updated, how, target })
}

/// Content that somebody else put there is not written by Keyferry, however equal it is.
fn arrival(work: &Work<'_>, look: Option<&Look>, how: Arrival) -> Arrival {
    if attempt::replaces_foreign(look, work.baseline()) { Arrival::Adopted } else { how }
}

/// The target as it was looked at; where it was not, as it was left.
fn known_target<'a>(work: &'a Work<'_>, look: Option<&'a Look>) -> Option<&'a SideState> {
    look.and_then(Look::state).or(work.baseline().map(|baseline| &baseline.target))
}

/// The same; where neither is known, as the source is.
fn target_state(work: &Work<'_>, look: Option<&Look>, source: &SideState) -> SideState {
    known_target(work, look).cloned().unwrap_or_else(|| SideState { version: None, ..source.clone() })
}
