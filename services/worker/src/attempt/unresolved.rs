//! Settling older attempts of unknown outcome, once the target was looked at.

use domain::{
    attempt::{Look, Resolved, resolve},
    compare::print_of_carried,
    lifecycle,
    mutant::{self, Mutant},
    timing::SAME_SECOND_MARGIN,
};
use proto_msgs::{
    ItemType, Timestamp,
    record::{Arrival, Baseline, UnresolvedAttempt},
    vault::SideState,
};

use super::{
    append::append,
    work::{Halt, Read, Work},
};

/// Whether the target is as the last success left it: then no older attempt has written, whatever it holds.
pub(super) fn is_untouched(work: &Work<'_>, look: &Look) -> bool {
    resolve(look, work.baseline(), false) == Resolved::NotWritten
}

/// Whether the target has attributes that an older attempt was about to bring: whatever else is there, nobody else did
/// that.
pub(super) fn is_brought(work: &Work<'_>, look: &Look) -> bool {
    let print = |state: &SideState| print_of_carried(work.kind(), &state.attributes);
    let (Some(held), source) = (look.state().map(print), work.source.as_ref().map(|read| print(&read.state))) else {
        return false;
    };
    // What named no attributes was about to bring the source's: those of today, as far as anybody knows.
    let brings = |older: &UnresolvedAttempt| older.brings.or(source).filter(|_| !older.deletes);
    work.older().any(|older| brings(older) == Some(held)) || mutant::is(Mutant::AttributesPassForOwn)
}

/// Settles the older attempts. `written`: what the source was in the version that the target holds, if one of them was
/// about to write that.
pub(super) fn settle(work: &mut Work<'_>, look: &Look, written: Option<SideState>) {
    let (deleted, only_deletes) = (work.older().any(|older| older.deletes), work.older().all(|older| older.deletes));
    // Whoever was about to delete wrote nothing, however equal both ends are.
    let written = written.filter(|_| !(deleted && only_deletes));
    let is_brought = is_brought(work, look);
    // Content that equals what was to be written, with attributes that nobody was to bring, under a name where nothing
    // of Keyferry's is: somebody's own, unless it is a key, whose versions only a restore brings.
    let is_told = is_brought || work.baseline().is_some() || work.kind() == ItemType::Keys;
    let written = written.filter(|_| is_told);
    if deleted && *look == Look::Absent {
        // One of them did, which counts as a delete: what comes now is a first write.
        work.record.baseline = None;
        work.record.deleted_at = Some(work.parts.origin.now());
    }
    let resolved = resolve(look, work.baseline(), written.is_some());
    tracing::info!(record_id = %work.record.id, correlation_id = %work.correlation, resolved = ?resolved, "unknown outcome was settled");
    if let (Resolved::Written, Some(source), Look::Present { state, .. }) = (resolved, written, look) {
        // The target is ours from here on, whatever becomes of the next write.
        work.record.baseline = Some(as_written(work, source, state, is_brought));
    }
    work.resolved = Some(resolved);
}

/// Appends this attempt's own intent before it writes, where the log has another: the older ones that it settled, or
/// its own with a source that was listed and is no longer what was read.
pub(super) async fn put_own_in_place(work: &mut Work<'_>) -> Result<(), Halt> {
    if work.resolved.take().is_none() && !names_another(work) {
        return Ok(());
    }
    let record = lifecycle::settled(work.record.clone(), work.named());
    Ok(append(work, record, None).await?)
}

/// Whether this attempt's intent in the log would not be known by what is written now.
fn names_another(work: &Work<'_>) -> bool {
    let Some(read) = work.source.as_ref().map(|read| &read.state) else { return false };
    let brings = Some(print_of_carried(work.kind(), &read.attributes));
    let own = &work.own;
    let is_listed = own.source_updated == read.updated && own.x5t == read.x5t && own.brings == brings;
    !is_listed && !work.own.deletes && work.older().next().is_none()
}

/// The baseline that the older attempt would have left. Attributes that none was about to bring came after it: then the
/// target is not as it was left.
fn as_written(work: &Work<'_>, source: SideState, target: &SideState, is_brought: bool) -> Baseline {
    let (source, target) = match is_brought {
        true => (SideState { attributes: target.attributes.clone(), ..source }, target.clone()),
        false => {
            let left = SideState { attributes: source.attributes.clone(), updated: None, ..target.clone() };
            (source, left)
        }
    };
    let how = by(work, &target);
    // Never read as far as the next cycle is concerned: it looks again.
    work.left(Read { state: source, date: Timestamp::default() }, target, how)
}

/// Who put it there, equal as it is: what is older than every attempt is none of their work. A restored key has its
/// source's times, and nobody but a restore makes an equal one.
fn by(work: &Work<'_>, target: &SideState) -> Arrival {
    let first = work.older().map(|older| older.started).min();
    let is_older = target.updated.zip(first).is_some_and(|(updated, first)| updated.plus(SAME_SECOND_MARGIN) < first);
    if is_older && work.kind() != ItemType::Keys { Arrival::Adopted } else { Arrival::Written }
}
