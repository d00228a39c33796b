//! A delete at the target, because the item is gone from the source.
//!
//! Reads of metadata confirm it at both ends, never values; the log's leader confirms it last, directly before the
//! delete. Deliberately absent: purging, and a second look at the listing that the delete was planned by.

use domain::{
    attempt::Resolved,
    deletes::{self, AtTarget, Confirmation, PointRead},
};
use proto_msgs::{ErrorCode, config::DeleteTrigger, record::OutcomeKind, vault::Side};
use vault::{Answer, VaultError, VaultErrorKind};

use super::{
    confirm, steps, unresolved,
    work::{End, Halt, Work},
};

/// Deletes the target item, if the source item is as it was `seen`.
pub(super) async fn propagate(work: &mut Work<'_>, seen: DeleteTrigger) -> Result<End, Halt> {
    match at_source(work, seen).await? {
        Confirmation::Confirmed => {}
        Confirmation::CameBack => return Ok(End::CameBack),
        Confirmation::Recoverable => {
            return Err(Halt::block(
                ErrorCode::SourceSoftDeleted,
                "the item is soft-deleted at the source and can be recovered there: nothing was deleted",
            ));
        }
        Confirmation::Unclear => {
            return Err(Halt::block(
                ErrorCode::SourceNotFound,
                "the item is neither live nor soft-deleted at the source, where it was listed as soft-deleted: nothing was deleted",
            ));
        }
    }
    let target = steps::glance(work).await?;
    match deletes::at_target(work.baseline(), target.as_ref()) {
        AtTarget::Delete => delete(work).await,
        AtTarget::Gone => Ok(End::Deleted(gone(work))),
        AtTarget::Drifted => Err(Halt::block(
            ErrorCode::Drift,
            "gone at the source; the target is not as Keyferry left it, so it was not deleted",
        )),
        AtTarget::NotOurs => Err(Halt::block(
            ErrorCode::SourceGone,
            "gone at the source; Keyferry did not write what is at the target, so it was not deleted",
        )),
    }
}

async fn at_source(work: &mut Work<'_>, seen: DeleteTrigger) -> Result<Confirmation, Halt> {
    let (kind, name, correlation) = (work.kind(), work.name(), work.correlation);
    let vault = work.open(Side::Source).await?;
    let deleted = vault.read_deleted(kind, &name, correlation).await;
    let deleted = point_read(work.got(deleted))?;
    let live = vault.read_meta(kind, &name, correlation).await;
    let live = point_read(work.glanced(live))?;
    Ok(deletes::confirm(seen, deleted, live))
}

/// Whatever is neither an answer nor a 404 ends the attempt under its own code.
fn point_read<T>(answer: Result<Answer<T>, VaultError>) -> Result<PointRead, VaultError> {
    match answer {
        Ok(_) => Ok(PointRead::Found),
        Err(error) if error.kind == VaultErrorKind::NotFound => Ok(PointRead::NotFound),
        Err(error) => Err(error),
    }
}

/// The target is as it was left, so that no older attempt did anything.
async fn delete(work: &mut Work<'_>) -> Result<End, Halt> {
    if work.must_settle() {
        work.resolved = Some(Resolved::NotWritten);
    }
    unresolved::put_own_in_place(work).await?;
    confirm::may_destroy(work).await?;
    let vault = work.open(Side::Target).await?;
    let (kind, name, gate, correlation) = (work.kind(), work.name(), work.gate.clone(), work.correlation);
    let deleted = vault.delete(kind, &name, &gate, correlation).await;
    match work.wrote(deleted) {
        Ok(_) => Ok(End::Deleted(OutcomeKind::Deleted)),
        // Gone between the two calls.
        Err(error) if error.kind == VaultErrorKind::NotFound => Ok(End::Deleted(OutcomeKind::Equal)),
        Err(error) => Err(error.into()),
    }
}

/// What a target says where nothing is any more: an older attempt deleted it, or somebody else did.
fn gone(work: &Work<'_>) -> OutcomeKind {
    if work.older().any(|older| older.deletes) { OutcomeKind::Settled } else { OutcomeKind::Equal }
}
