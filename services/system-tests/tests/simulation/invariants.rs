//! What must hold whatever happened, one function for each rule. A new rule is one more line in [`RULES`].

mod attempts;
mod decisions;
mod deletes;
mod writes;

pub use attempts::is_first_intent;
use proto_msgs::{ConfigId, RecordId};
pub use writes::{all as all_writes, is_as_left};

use crate::{faults::Look, history::History, world::World};

/// A rule that was broken.
#[derive(Debug, Clone)]
pub struct Violation {
    pub rule: &'static str,
    pub said: String,
    pub record: Option<RecordId>,
}

/// Everything there is to look at.
pub struct Evidence<'a> {
    pub world: &'a World,
    pub history: &'a History,
    pub configs: &'a [ConfigId],
    pub writes: Vec<writes::Write>,
    pub looks: Vec<Look>,
}

type Rule = fn(&Evidence<'_>, &mut Vec<Violation>);

const RULES: &[(&str, Rule)] = &[
    ("no value is in the log, or in any message", no_value),
    ("everything in the log can be read", all_readable),
    ("a run whose listing broke off is not complete", attempts::partial_runs),
    ("each intent has one outcome, or is carried until it is settled", attempts::one_outcome),
    ("an open attempt is not repeated before its time", attempts::no_early_repeat),
    ("a worker that knows a newer owner or edit does nothing for an older one", attempts::fences),
    ("what is blocked is not attempted again for nothing", attempts::no_idle_attempt),
    ("nothing is written without its intent being the newest message", writes::under_intent),
    ("nothing is written later than ten seconds after the intent", writes::within_gate),
    ("nothing is written five seconds after an edit, nor while NATS cannot be reached", writes::stopped),
    ("nothing foreign is overwritten without leave", writes::no_overwrite),
    ("a target item is one config's, and no other writes to it", writes::one_owner),
    ("what is equal is not written again", writes::no_equal_write),
    ("no more is written than changed or got lost", writes::bounded),
    ("what drifted is overwritten by policy or leave alone", writes::no_drift_overwritten),
    ("what somebody accepted stays until its source changes", writes::accepted_stays),
    ("only what Keyferry wrote is deleted, and only where that is wanted", deletes::only_ours),
    ("only what is gone is deleted, after two complete listings", deletes::only_gone),
    ("few are deleted at once", deletes::few),
    ("what is held is deleted once exactly that was released", deletes::released),
    ("nothing is attempted while its config is paused", attempts::no_attempt_paused),
    ("leave is for what was seen", decisions::leave_for_what_was_seen),
    ("what an operator disabled only an operator enables", decisions::stays_disabled),
    ("only items of a config have records", decisions::only_items),
    ("what may have been written too late is noted", decisions::late_is_noted),
];

pub fn check(world: &World, configs: &[ConfigId]) -> Vec<Violation> {
    let history = world.look();
    let writes = writes::all(world, &history, configs);
    let evidence = Evidence { world, history: &history, configs, writes, looks: world.faults.looks() };
    let mut violations = Vec::new();
    for (rule, check) in RULES {
        let known = violations.len();
        check(&evidence, &mut violations);
        violations[known..].iter_mut().for_each(|violation| violation.rule = rule);
    }
    violations
}

/// One that gets its rule's name from the list.
pub fn broken(said: String, record: &RecordId) -> Violation {
    Violation { rule: "", said, record: Some(record.clone()) }
}

fn no_value(evidence: &Evidence<'_>, violations: &mut Vec<Violation>) {
    let leaks = evidence.world.faults.leaks().into_iter();
    violations.extend(leaks.map(|subject| Violation { rule: "", said: format!("on {subject}"), record: None }));
}

fn all_readable(evidence: &Evidence<'_>, violations: &mut Vec<Violation>) {
    let unreadable = evidence.history.unreadable.iter();
    violations.extend(unreadable.map(|subject| Violation { rule: "", said: subject.clone(), record: None }));
}
