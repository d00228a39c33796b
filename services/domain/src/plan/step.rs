//! The state that a step of a plan puts a record into.

use proto_msgs::{ErrorCode, Record, Revision, RunId};

use super::Action;
use crate::{
    lifecycle,
    rule::{Matched, Matcher},
};

/// The record's next state, for the log. `record` is the newest there, or a new one.
pub fn next(record: Record, action: &Action, matcher: &Matcher, run: RunId, revision: Revision) -> Record {
    let in_run = Some(run);
    match action {
        Action::Block { code, message, source_seen, target_seen } => {
            let next = lifecycle::blocked(record, *code, message.clone(), source_seen.clone(), in_run, revision);
            Record { target_seen: target_seen.clone(), ..next }
        }
        Action::Sync { thorough, .. } => {
            let thorough = *thorough || record.thorough;
            Record { thorough, ..lifecycle::pending(record, in_run, revision) }
        }
        Action::Miss(miss) => Record { miss: Some(*miss), ..record },
        Action::Found => Record { miss: None, ..record },
        // The index keeps no tags, so only here is it seen whether the rule still wants the item as it was last.
        Action::Delete { .. } if !matches_as_last_seen(&record, matcher) => {
            let message = "the rule no longer matches this item as it was last seen: the target is untouched";
            lifecycle::blocked(record, ErrorCode::RuleNoMatch, message.to_owned(), None, in_run, revision)
        }
        Action::Delete { seen, held: None } => lifecycle::delete_due(record, *seen, in_run, revision),
        Action::Delete { seen, held: Some(reason) } => {
            lifecycle::held(record, *seen, format!("a delete is due and held: {reason}"), in_run, revision)
        }
    }
}

fn matches_as_last_seen(record: &Record, matcher: &Matcher) -> bool {
    let seen = record.source_seen.as_ref().or(record.baseline.as_ref().map(|baseline| &baseline.source));
    seen.is_some_and(|seen| matcher.matches(&record.id.name, &seen.attributes.tags) == Matched::Yes)
}
