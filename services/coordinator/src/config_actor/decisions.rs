//! What somebody decided about records: leave, on or off, held deletes released.
//!
//! Each is an append to the record as it was seen, and answered once it is in the log: nothing is attempted to answer
//! it. What is decided about many records at once carries the hash of exactly those; whichever of them went on since
//! keeps its newer state, and the answer counts the others.

use std::rc::Rc;

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use broker::{Entry, Incoming, LogError};
use domain::{
    index::IndexEntry,
    leave::{self, set_hash},
    lifecycle,
    mutant::{self, Mutant},
};
use futures::{StreamExt, stream};
use proto_msgs::{
    CorrelationId, ErrorCode, ItemType, Record, RecordId, RecordKey, RequestCode, Revision, Sequence, SetHash, Status,
    Timestamp,
    api::{CommandReply, LeaveBody, PassedOver, RecordFilter, SetBody},
    error::Refusal,
    record::{Leave, LeaveKind},
    run::Trigger,
};

use super::{ConfigActor, commands::not_found, queries::Filter, schedule::runs_by_itself};
use crate::CoordinatorParts;

/// Records that are written at once.
const AT_ONCE: usize = 256;

/// Who decided, and under which id.
pub(super) struct Decider<'a> {
    pub incoming: &'a Incoming,
    pub correlation: CorrelationId,
    pub actor: String,
}

/// What is decided about a record.
#[derive(Clone)]
enum Decision {
    /// `given` is what somebody saw, where it was one record; of many, it is what the listing showed.
    Leave {
        kind: LeaveKind,
        given: Option<LeaveBody>,
    },
    Enabled(bool),
    Release,
}

/// How a decision is written down.
#[derive(Clone)]
struct Frame {
    parts: CoordinatorParts,
    correlation: CorrelationId,
    actor: Rc<str>,
    revision: Revision,
    now: Timestamp,
    decision: Decision,
}

/// A record that somebody decided about, as it was listed.
struct Seen {
    id: RecordId,
    sequence: Sequence,
}

/// What became of a decision about one record.
enum Made {
    Written(Box<Entry<Record>>),
    /// It is so already.
    Needless,
    Refused(RecordKey, Refusal),
}

impl ConfigActor {
    pub(super) fn leave(&mut self, by: Decider<'_>, key: RecordKey, body: LeaveBody, context: &mut Context<Self>) {
        let decision = Decision::Leave { kind: body.kind, given: Some(body) };
        self.decide_one(by, &key, decision, context);
    }

    pub(super) fn leave_all(&mut self, by: Decider<'_>, kind: LeaveKind, set: &SetBody, context: &mut Context<Self>) {
        let can_be_given = move |key: &RecordKey, entry: &IndexEntry| match kind {
            LeaveKind::Acknowledge => entry.status == Status::BlockedTargetConflict && key.kind != ItemType::Keys,
            LeaveKind::Correct | LeaveKind::Accept => entry.status == Status::Drifted,
        };
        let unfit = "no such leave can be given for it: filter by the status that it is for";
        self.decide_all(by, set, can_be_given, unfit, Decision::Leave { kind, given: None }, context);
    }

    pub(super) fn set_enabled(&mut self, by: Decider<'_>, key: &RecordKey, enabled: bool, context: &mut Context<Self>) {
        self.decide_one(by, key, Decision::Enabled(enabled), context);
    }

    pub(super) fn set_all_enabled(
        &mut self,
        by: Decider<'_>,
        enabled: bool,
        set: &SetBody,
        context: &mut Context<Self>,
    ) {
        let can_be = move |_: &RecordKey, entry: &IndexEntry| !enabled || is_off(entry.code);
        let unfit = "no operator switched it off: filter by `disabled`";
        self.decide_all(by, set, can_be, unfit, Decision::Enabled(enabled), context);
    }

    /// The held deletes, all of them and no others.
    pub(super) fn release_deletes(&mut self, by: Decider<'_>, hash: SetHash, context: &mut Context<Self>) {
        let held = RecordFilter { status: Some(Status::BlockedDeleteHeld), ..RecordFilter::default() };
        let set = SetBody { filter: held, hash };
        self.decide_all(by, &set, |_, _| true, "", Decision::Release, context);
    }

    fn decide_one(&mut self, by: Decider<'_>, key: &RecordKey, decision: Decision, context: &mut Context<Self>) {
        let seen = match self.index.get(key) {
            None => Err(not_found(key)),
            Some(entry) if entry.status == Status::Syncing => Err(busy(1)),
            Some(entry) => Ok(vec![self.seen(key, entry)]),
        };
        self.decide(by, seen, decision, context);
    }

    fn decide_all(
        &mut self,
        by: Decider<'_>,
        set: &SetBody,
        fits: impl Fn(&RecordKey, &IndexEntry) -> bool,
        unfit: &str,
        decision: Decision,
        context: &mut Context<Self>,
    ) {
        let seen = self.listed_set(set, fits, unfit);
        self.decide(by, seen, decision, context);
    }

    /// The records that a listing showed, if they are as they were then.
    fn listed_set(
        &self,
        set: &SetBody,
        fits: impl Fn(&RecordKey, &IndexEntry) -> bool,
        unfit: &str,
    ) -> Result<Vec<Seen>, Refusal> {
        let filter = Filter::new(&set.filter)?;
        let records: Vec<_> = filter.of(&self.index).collect();
        if set_hash(records.iter().copied()) != set.hash && !mutant::is(Mutant::AnySetIsDecided) {
            let detail = "the records that match are others, or in other states, than those that were listed";
            return Err(Refusal::new(RequestCode::StaleView, detail, "list them again, then decide"));
        }
        if records.is_empty() {
            return Err(Refusal::new(
                RequestCode::NotFound,
                "no record matches",
                "list the records without the filter",
            ));
        }
        if let Some((key, entry)) = records.iter().find(|(key, entry)| !fits(key, entry)) {
            let detail = format!("{key} is {}", entry.status);
            return Err(Refusal::new(RequestCode::InvalidInput, detail, unfit));
        }
        // One on its way to a worker is decided about by compare-and-set: its intent is refused then.
        let attempted = records.iter().filter(|(_, entry)| entry.status == Status::Syncing).count();
        if attempted > 0 {
            return Err(busy(attempted));
        }
        Ok(records.into_iter().map(|(key, entry)| self.seen(key, entry)).collect())
    }

    fn seen(&self, key: &RecordKey, entry: &IndexEntry) -> Seen {
        let id = RecordId { config: self.id(), kind: key.kind, name: key.name.clone() };
        Seen { id, sequence: entry.sequence }
    }

    fn decide(
        &mut self,
        by: Decider<'_>,
        seen: Result<Vec<Seen>, Refusal>,
        decision: Decision,
        context: &mut Context<Self>,
    ) {
        let (incoming, correlation) = (by.incoming.clone(), by.correlation);
        let seen = match seen {
            Ok(seen) => seen,
            Err(refusal) => return self.reply(&incoming, correlation, CommandReply::Refused { refusal }, context),
        };
        tracing::info!(config_id = %self.id(), correlation_id = %correlation, actor = by.actor, records = seen.len(), decision = decision.word(), "records were decided about");
        let is_enabling = matches!(decision, Decision::Enabled(true));
        let frame = Frame {
            parts: self.parts.parts.clone(),
            correlation,
            actor: by.actor.into(),
            revision: self.revision,
            now: self.now(),
            decision,
        };
        let deciding = stream::iter(seen).map(move |seen| make(frame.clone(), seen)).buffer_unordered(AT_ONCE);
        let deciding = deciding.collect::<Vec<Made>>();
        context.spawn(deciding.into_actor(self).map(move |made, actor, context| {
            let reply = answer(&made, correlation);
            for made in made {
                if let Made::Written(entry) = made {
                    actor.hear(*entry, context);
                }
            }
            if is_enabling && matches!(reply, CommandReply::Done { records: 1.., .. }) {
                actor.look_for_enabled(correlation);
            }
            actor.reply(&incoming, correlation, reply, context);
            actor.pump(context);
        }));
    }

    /// What was switched on is looked for soon; a config that never runs by itself does so with its next run.
    fn look_for_enabled(&mut self, correlation: CorrelationId) {
        if runs_by_itself(&self.config) {
            self.want_run(Trigger::Expand, Some(correlation));
        }
    }
}

impl Decision {
    fn word(&self) -> &'static str {
        match self {
            Self::Leave { kind, .. } => kind.as_str(),
            Self::Enabled(true) => "enable",
            Self::Enabled(false) => "disable",
            Self::Release => "release",
        }
    }

    /// The record's next state; none: it is so already.
    fn next(&self, head: &Entry<Record>, seen: Sequence, frame: &Frame) -> Result<Option<Record>, Refusal> {
        let (record, sequence) = (head.envelope.body.clone(), head.sequence);
        match self {
            Self::Leave { kind, given } => {
                let shown = record.target_seen.as_ref().and_then(|target| target.version.clone());
                let (seen, version) = match given {
                    Some(body) => (body.sequence, body.target_version.clone()),
                    None => (seen, shown.clone()),
                };
                leave::check(&record, sequence, *kind, seen, version.as_ref())?;
                let (actor, at) = (frame.actor.to_string(), frame.now);
                let leave = Leave { actor, at, sequence, target_version: shown, kind: *kind };
                Ok(Some(leave::given(record, leave, frame.revision)))
            }
            Self::Enabled(false) if is_off(record.code) => Ok(None),
            Self::Enabled(false) => Ok(Some(leave::switched_off(record, &frame.actor, frame.revision))),
            Self::Enabled(true) if is_off(record.code) => {
                Ok(Some(leave::switched_on(record, &frame.actor, frame.revision)))
            }
            Self::Enabled(true) => {
                let detail = format!("no operator switched the record off: it is {}", record.status);
                let fix = format!("see `keyferry explain {}` for what mends it", record.status);
                Err(Refusal::new(RequestCode::InvalidInput, detail, fix))
            }
            Self::Release => Ok(lifecycle::released(record, &frame.actor, frame.revision)),
        }
    }
}

fn is_off(code: Option<ErrorCode>) -> bool {
    code == Some(ErrorCode::OperatorDisabled)
}

async fn make(frame: Frame, seen: Seen) -> Made {
    let written = async {
        let head = frame.parts.broker.log().record(&seen.id).await.map_err(not_written)?;
        let Some(head) = head.filter(|head| !head.envelope.body.removed) else {
            return Err(not_found(&seen.id.key()));
        };
        let is_news = head.sequence != seen.sequence;
        let is_attempted = head.envelope.body.status == Status::Syncing;
        // What somebody saw of one record is in the body; a record that only moved on in the meantime is theirs to see.
        if is_attempted || (is_news && !matches!(frame.decision, Decision::Leave { given: Some(_), .. })) {
            return Err(if is_attempted { busy(1) } else { went_on() });
        }
        let Some(next) = frame.decision.next(&head, seen.sequence, &frame)? else { return Ok(None) };
        frame.parts.append(frame.correlation, next, head.sequence).await.map(Some).map_err(not_written)
    };
    match written.await {
        Ok(Some(entry)) => Made::Written(Box::new(entry)),
        Ok(None) => Made::Needless,
        Err(refusal) => Made::Refused(seen.id.key(), refusal),
    }
}

/// Of many, what is in the log counts, and what is passed over is told; of one, or where nothing is, why not. A log that
/// could not be written is said in any case: how much of it is there is not known.
fn answer(made: &[Made], correlation_id: CorrelationId) -> CommandReply {
    let records = made.iter().filter(|made| matches!(made, Made::Written(_))).count() as u64;
    let refused = |made: &Made| match made {
        Made::Refused(key, refusal) => Some((key.clone(), refusal.clone())),
        Made::Written(_) | Made::Needless => None,
    };
    let refusals: Vec<_> = made.iter().filter_map(refused).collect();
    let broken = refusals.iter().find(|(_, refusal)| refusal.code == RequestCode::Unavailable);
    let (count, first) = (refusals.len() as u64, refusals.first());
    match broken.or_else(|| first.filter(|_| records == 0)) {
        Some((_, refusal)) if records > 0 => {
            let detail = format!("{records} of {} records were written: {}", made.len(), refusal.detail);
            CommandReply::Refused { refusal: Refusal { detail, ..refusal.clone() } }
        }
        Some((_, refusal)) => CommandReply::Refused { refusal: refusal.clone() },
        None => {
            let passed_over = first.cloned().map(|(key, Refusal { detail, fix, .. })| PassedOver {
                records: count,
                key,
                detail,
                fix,
            });
            CommandReply::Done { records, passed_over, correlation_id }
        }
    }
}

fn not_written(error: LogError) -> Refusal {
    match error {
        LogError::Conflict => went_on(),
        LogError::Unknown | LogError::Unavailable(_) | LogError::Corrupt { .. } | LogError::Encode(_) => {
            Refusal::new(RequestCode::Unavailable, "the log could not be read or written", "list again, then decide")
        }
    }
}

fn went_on() -> Refusal {
    Refusal::new(RequestCode::StaleView, "the record went on since it was seen", "look at it again, then decide")
}

fn busy(records: usize) -> Refusal {
    let detail = match records {
        1 => "a record is being attempted right now".to_owned(),
        _ => format!("{records} records are being attempted right now"),
    };
    Refusal::new(RequestCode::Busy, detail, "look at the outcome, then decide")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{entry, record};

    fn written() -> Made {
        Made::Written(Box::new(entry(record(1, "a", Status::Active), 1)))
    }

    fn refused() -> Made {
        Made::Refused(record(1, "b", Status::Drifted).id.key(), went_on())
    }

    fn code(made: &[Made]) -> Result<(u64, u64), RequestCode> {
        match answer(made, CorrelationId::from_random(1)) {
            CommandReply::Done { records, passed_over, .. } => {
                Ok((records, passed_over.map_or(0, |passed_over| passed_over.records)))
            }
            CommandReply::Refused { refusal } => Err(refusal.code),
            CommandReply::Accepted { .. } => unreachable!("a decision starts nothing"),
        }
    }

    #[test]
    fn an_answer_counts_what_is_in_the_log_and_refuses_where_nothing_is() {
        assert_eq!(code(&[written(), written()]), Ok((2, 0)));
        assert_eq!(code(&[written(), Made::Needless]), Ok((1, 0)));
        assert_eq!(code(&[Made::Needless]), Ok((0, 0)));
        assert_eq!(code(&[written(), refused(), refused()]), Ok((1, 2)));
        assert_eq!(code(&[refused()]), Err(RequestCode::StaleView));
        let broken = Made::Refused(record(1, "c", Status::Drifted).id.key(), not_written(LogError::Unknown));
        assert_eq!(code(&[written(), refused(), broken]), Err(RequestCode::Unavailable));
    }
}
