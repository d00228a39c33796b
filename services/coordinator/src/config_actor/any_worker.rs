//! Questions that any worker can answer: put to one that is heard, in turns, so that none waits for one that is not.
//!
//! The group that all workers listen in would go on giving a frozen one its share. Deliberately absent: asking again,
//! which is up to whoever asks.

use std::time::Duration;

use broker::BusError;
use proto_msgs::{Envelope, MemberId, Message, subject::AnyWorker};

use super::ConfigParts;
use crate::fleet::{Fleet, LOOK_EVERY};

/// Asks one worker, for as long as it is heard.
pub(super) async fn ask<Q: Message, A: Message>(
    parts: &ConfigParts,
    what: AnyWorker,
    question: &Envelope<Q>,
    limit: Duration,
) -> Result<A, BusError> {
    let (bus, subjects) = (parts.parts.broker.bus.as_ref(), &parts.parts.broker.subjects);
    if let Some(worker) = parts.fleet.next_worker() {
        let subject = subjects.one_worker(what, &worker);
        let answer = tokio::select! {
            biased;
            answer = broker::ask::<Q, A>(bus, &subject, question, limit) => answer.map(|answer| answer.body),
            () = silence(&parts.fleet, &worker) => Err(BusError::Deadline { subject: subject.clone() }),
        };
        // It has just left, or is of a version that listens in the group alone.
        if !matches!(answer, Err(BusError::NoResponders { .. })) {
            return answer;
        }
    }
    broker::ask::<Q, A>(bus, &subjects.any_worker(what), question, limit).await.map(|answer| answer.body)
}

async fn silence(fleet: &Fleet, worker: &MemberId) {
    while fleet.is_alive(worker) {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
