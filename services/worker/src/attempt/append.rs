//! Appends of an attempt, each on top of its own last message.
//!
//! Somebody whose outcome was refused may annotate the record meanwhile: that is a message whose cause is this
//! attempt's own. It is built upon, and what it noted is carried on. Any other message means that the record was taken
//! over. So that the two can be told apart, an intent has no cause.

use std::time::Duration;

use broker::{Entry, LogError};
use domain::lifecycle;
use proto_msgs::{Envelope, MessageId, Record, Status};

use super::work::Work;

/// How often a message is offered while the log cannot be reached: for more than a minute, in which a cluster gets a new
/// leader and a network comes back. Each try takes the client's own limits.
pub(super) const TRIES: u32 = 60;
/// Between two of those.
pub(super) const TRY_EVERY: Duration = Duration::from_secs(1);

/// Why a message of an attempt is not in the log.
#[derive(Debug)]
pub(super) enum NotAppended {
    /// Somebody else went on with the record.
    Overtaken,
    Log(LogError),
}

/// Appends the record's next state.
pub(super) async fn append(work: &mut Work<'_>, record: Record, cause: Option<MessageId>) -> Result<(), NotAppended> {
    let mut envelope = wrap(work, record, cause);
    let mut tries = 0;
    loop {
        tries += 1;
        let error = match work.parts.broker.log().append_record(&envelope, work.sequence).await {
            Ok(sequence) => {
                (work.sequence, work.message, work.record) = (sequence, envelope.id, envelope.body);
                return Ok(());
            }
            Err(LogError::Conflict) => match rebase(work).await {
                Ok(Base::Overtaken) => return Err(NotAppended::Overtaken),
                Ok(Base::Annotated) => {
                    envelope = wrap(work, envelope.body, cause);
                    LogError::Conflict
                }
                Ok(Base::Unchanged) => LogError::Conflict,
                Err(error) => error,
            },
            // Not answered, or not reachable: the same envelope again; the typed log knows its own message again.
            Err(error) => error,
        };
        if tries == TRIES || !may_pass(&error) {
            return Err(NotAppended::Log(error));
        }
        tokio::time::sleep(TRY_EVERY).await;
    }
}

fn may_pass(error: &LogError) -> bool {
    match error {
        LogError::Conflict | LogError::Unknown | LogError::Unavailable(_) => true,
        LogError::Corrupt { .. } | LogError::Encode(_) => false,
    }
}

fn wrap(work: &Work<'_>, record: Record, cause: Option<MessageId>) -> Envelope<Record> {
    let record = match &work.noted {
        Some(noted) => lifecycle::with_notes(record, noted),
        None => record,
    };
    Envelope { cause, ..work.parts.origin.envelope(work.correlation, record) }
}

/// What the newest message of a record is to an attempt whose append was refused.
enum Base {
    /// Its own: the refusal was a passing one.
    Unchanged,
    Annotated,
    Overtaken,
}

async fn rebase(work: &mut Work<'_>) -> Result<Base, LogError> {
    let Some(head) = work.parts.broker.log().record(&work.record.id).await? else { return Ok(Base::Overtaken) };
    if head.envelope.id == work.message {
        return Ok(Base::Unchanged);
    }
    if !is_annotation_of(&head, work.message) {
        return Ok(Base::Overtaken);
    }
    work.sequence = head.sequence;
    work.noted = Some(head.envelope.body);
    Ok(Base::Annotated)
}

fn is_annotation_of(head: &Entry<Record>, message: MessageId) -> bool {
    let record = &head.envelope.body;
    record.status == Status::Syncing && !record.removed && head.envelope.cause == Some(message)
}
