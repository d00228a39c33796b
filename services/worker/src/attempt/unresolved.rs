//! Settling an older intent of unknown outcome, once the target was looked at.

use domain::{
    attempt::{Decision, Look, Resolved, resolve, thorough_write},
    lifecycle,
};
use proto_msgs::{
    Envelope,
    record::{Arrival, Baseline, OutcomeKind},
    vault::SideState,
};

use super::work::{Done, Halt, Work};

/// What an attempt that carried an older intent goes on with.
pub(super) enum Settled {
    /// The older attempt had written what the source still is.
    Done(Done),
    /// The older attempt had written, and the source has moved on since.
    Own(Decision),
    /// It had not written, or somebody else did since: decide as if there had been no such attempt.
    GoOn,
}

/// Settles the older intent. `matches_attempt`: the target holds what that attempt was about to write.
pub(super) async fn settle(
    work: &mut Work<'_>,
    source: &SideState,
    look: &Look,
    matches_attempt: bool,
) -> Result<Settled, Halt> {
    let resolved = resolve(look, work.baseline(), matches_attempt);
    tracing::info!(record_id = %work.record.id, correlation_id = %work.correlation, resolved = ?resolved, "unknown outcome was settled");
    let (Resolved::Written, Look::Present { state, .. }) = (resolved, look) else {
        own_intent(work).await?;
        return Ok(Settled::GoOn);
    };
    let written = as_written(work, source, state);
    match thorough_write(work.kind(), source, look, &written) {
        Decision::Nothing(_) => {
            Ok(Settled::Done(Done { outcome: OutcomeKind::Settled, how: Arrival::Written, target: state.clone() }))
        }
        decision @ (Decision::Write | Decision::Update | Decision::Block { .. }) => {
            // The target is ours from here on, whatever becomes of the next write.
            work.record.baseline = Some(written);
            own_intent(work).await?;
            Ok(Settled::Own(decision))
        }
    }
}

/// Appends this attempt's own intent in place of the older one, before it writes.
async fn own_intent(work: &mut Work<'_>) -> Result<(), Halt> {
    let mut own = work.own.clone();
    own.source_version = work.source.as_ref().and_then(|read| read.state.version.clone());
    let record = lifecycle::settled(work.record.clone(), own);
    let origin = &work.parts.origin;
    let envelope = Envelope::new(origin.message_id(), work.correlation, origin.now(), record);
    match work.parts.broker.log().append_record(&envelope, work.sequence).await {
        Ok(sequence) => {
            work.sequence = sequence;
            work.record = envelope.body;
            Ok(())
        }
        Err(broker::LogError::Conflict) => Err(Halt::Overtaken),
        Err(error) => Err(Halt::Log(error)),
    }
}

/// The baseline that the older attempt would have left.
fn as_written(work: &Work<'_>, source: &SideState, target: &SideState) -> Baseline {
    let now = work.parts.origin.now();
    Baseline {
        source: source.clone(),
        target: target.clone(),
        // Never read as far as the next cycle is concerned: it looks again.
        read_at: proto_msgs::Timestamp::default(),
        synced_at: now,
        how: Arrival::Written,
        source_uri: work.command.source.uri.clone(),
        target_uri: work.command.target.uri.clone(),
        source_resource_id: work.command.source.resource_id.clone(),
        target_resource_id: work.command.target.resource_id.clone(),
    }
}
