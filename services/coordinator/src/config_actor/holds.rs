//! What the attempts tell of the two vaults, and what is dispatched while one of them is held.
//!
//! What somebody asked for goes all the same, one at a time: they may have just mended what was wrong. Its success ends
//! the hold; its failure says nothing new.

use std::time::Duration;

use domain::health::{Held, Turn};
use proto_msgs::{ErrorCode, Record, record::AttemptReport, vault::Side};
use runtime::BootTime;

use super::{ConfigActor, ConfigParts, conditions};
use crate::vault_actor::VaultHandle;

impl ConfigParts {
    fn vault(&self, side: Side) -> &VaultHandle {
        match side {
            Side::Source => &self.source,
            Side::Target => &self.target,
        }
    }

    /// Whether one more bulk record may be dispatched; one that goes as a probe is noted.
    pub(super) fn takes_turn(&self, now: BootTime) -> bool {
        let turns = [&self.source, &self.target].map(|vault| (vault, vault.turn(now)));
        if turns.iter().any(|(_, turn)| matches!(turn, Turn::Wait(_))) {
            return false;
        }
        turns.iter().filter(|(_, turn)| *turn == Turn::Probe).for_each(|(vault, _)| vault.probe(now));
        true
    }

    /// Whether a vault throttles and asked to be left alone for longer than a moment.
    pub(super) fn is_left_alone(&self, now: BootTime) -> bool {
        [&self.source, &self.target].iter().any(|vault| vault.left_alone_for(now).is_some())
    }

    /// Whether a vault is held.
    pub(super) fn is_held(&self) -> bool {
        self.source.held().is_some() || self.target.held().is_some()
    }
}

impl ConfigActor {
    /// Tells the vaults how an attempt ended.
    pub(super) fn judge_vaults(&self, record: &Record, attempt: &AttemptReport) {
        let now = self.parts.parts.origin.boot();
        for side in [Side::Source, Side::Target] {
            let said = said_of(side, record, attempt);
            let vault = self.parts.vault(side);
            match said {
                Said::Nothing => {}
                Said::Answered => vault.answered(),
                Said::Failed(code) => {
                    if vault.failed(code, now) {
                        tracing::warn!(config_id = %self.id(), side = side.as_str(), code = %code, "vault is held: calls to it fail alike");
                    }
                }
            }
        }
    }

    pub(super) fn check_holds(&mut self) {
        let (boot, now) = (self.parts.parts.origin.boot(), self.now());
        for side in [Side::Source, Side::Target] {
            let vault = self.parts.vault(side);
            let throttled = || vault.left_alone_for(boot).map(left_alone);
            let problem = vault.held().map(|held| describe(&held, boot)).or_else(throttled);
            self.conditions.hold(conditions::of(side), problem, now);
        }
    }
}

/// What an attempt says of one vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Nothing,
    Answered,
    Failed(ErrorCode),
}

/// A call that failed tells more than those that were answered before it.
fn said_of(side: Side, record: &Record, attempt: &AttemptReport) -> Said {
    match attempt.failed == Some(side) {
        true => record.code.map_or(Said::Nothing, Said::Failed),
        false if attempt.answered.contains(&side) => Said::Answered,
        false => Said::Nothing,
    }
}

fn left_alone(left: Duration) -> String {
    let (code, left) = (ErrorCode::Throttled, left.as_secs() + 1);
    format!("{code}: the vault asked to be left alone, so nothing is sent to it for {left} s")
}

fn describe(held: &Held, now: BootTime) -> String {
    let left = held.probe_at.saturating_sub(now.as_duration()).as_secs();
    let next = if left == 0 { "with the next record that is due".to_owned() } else { format!("in {left} s") };
    format!("{}: attempts failed alike again and again, so nothing is dispatched; one is tried {next}", held.code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{record, report};
    use proto_msgs::{Status, record::OutcomeKind};

    fn said(record: &Record, attempt: &AttemptReport) -> [Said; 2] {
        [Side::Source, Side::Target].map(|side| said_of(side, record, attempt))
    }

    #[test]
    fn a_failure_speaks_of_the_vault_whose_call_failed_and_of_another_that_answered() {
        let code = ErrorCode::TransientNetwork;
        let record = Record { code: Some(code), ..record(1, "a", Status::Retrying) };
        let failed = |side, answered: &[Side]| AttemptReport {
            failed: Some(side),
            answered: answered.iter().copied().collect(),
            ..report(OutcomeKind::Failed)
        };
        assert_eq!(said(&record, &failed(Side::Source, &[])), [Said::Failed(code), Said::Nothing]);
        let at_target = failed(Side::Target, &[Side::Source, Side::Target]);
        assert_eq!(said(&record, &at_target), [Said::Answered, Said::Failed(code)]);
    }

    #[test]
    fn whatever_an_attempt_did_its_answers_speak_well_of_those_that_gave_them() {
        let record = record(1, "a", Status::Active);
        for outcome in [OutcomeKind::Equal, OutcomeKind::Settled, OutcomeKind::Blocked, OutcomeKind::Written] {
            let source = AttemptReport { answered: [Side::Source].into(), ..report(outcome) };
            assert_eq!(said(&record, &source), [Said::Answered, Said::Nothing]);
            let both = AttemptReport { answered: [Side::Source, Side::Target].into(), ..report(outcome) };
            assert_eq!(said(&record, &both), [Said::Answered, Said::Answered]);
        }
    }
}
