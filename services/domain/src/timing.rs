//! The times that keep two owners apart, and how they follow from each other.

use std::time::Duration;

use proto_msgs::Timestamp;

/// An Azure write may begin this long after its intent was published, and no later.
pub const WRITE_MAY_BEGIN_WITHIN: Duration = Duration::from_secs(10);
/// Longest a single vault call may take. Azure answers in well under a second; a call this late has lost its answer.
pub const CALL_MAY_TAKE: Duration = Duration::from_secs(10);
/// For clocks that run apart and for Azure finishing a write after the connection is gone.
pub const ATTEMPT_MARGIN: Duration = Duration::from_secs(5);
/// An open attempt is repeated no earlier than this after the coordinator itself first saw its intent.
pub const ATTEMPT_MAY_BE_REPEATED_AFTER: Duration =
    Duration::from_secs(WRITE_MAY_BEGIN_WITHIN.as_secs() + CALL_MAY_TAKE.as_secs() + ATTEMPT_MARGIN.as_secs());
/// A dispatched record whose outcome was not heard of by then is read from the log's leader: events may be lost.
pub const OUTCOME_TIMER: Duration = Duration::from_secs(ATTEMPT_MAY_BE_REPEATED_AFTER.as_secs() + 5);
/// No write begins this long after a stop, nor after NATS was last heard.
pub const STOPS_WITHIN: Duration = Duration::from_secs(5);

/// Every member says that it lives this often.
pub const HEARTBEAT_EVERY: Duration = Duration::from_secs(1);
/// A member not heard for this long is believed silent: three lost beats and some lateness.
pub const SILENT_AFTER: Duration = Duration::from_secs(4);
/// A member whose own loop was later than this believes nothing about others: it may be the one that was away.
pub const OWN_LATENESS_MAX: Duration = Duration::from_secs(1);

/// A slot lease lapses this long after it was last renewed.
pub const LEASE_TTL: Duration = Duration::from_secs(15);
/// Two renewals may fail before the lease lapses.
pub const LEASE_RENEW_EVERY: Duration = Duration::from_secs(5);
/// An owner that could not renew stops this long before the store lets its lease lapse.
pub const LEASE_MARGIN: Duration = Duration::from_secs(3);
/// A slot changes hands at most once per this long: a wave of restarts must not become a wave of reloads.
pub const SLOT_REST: Duration = Duration::from_secs(10);

/// A run that cannot finish is ended after the interval, but not before this.
pub const RUN_MIN_LIMIT: Duration = Duration::from_secs(30 * 60);
/// The next cycle starts up to this share of the interval early or late, so that configs do not align.
pub const INTERVAL_JITTER: f64 = 0.1;
/// Key Vault's times have whole seconds: a source that changed less than this before it was read may have changed again.
pub const SAME_SECOND_MARGIN: Duration = Duration::from_secs(2);
/// The second miss of an item counts only this long after the first, or half an interval if that is longer.
pub const MISS_GAP_MIN: Duration = Duration::from_secs(5 * 60);

/// Whether what was last changed at `updated` may have changed once more since it was read.
pub fn may_have_changed(updated: Timestamp, read_at: Timestamp) -> bool {
    updated.plus(SAME_SECOND_MARGIN) > read_at
}
