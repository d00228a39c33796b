//! What the attempts tell of the two vaults, and what is dispatched while one of them is held.
//!
//! What somebody asked for goes all the same, one at a time: they may have just mended what was wrong. Its success ends
//! the hold; its failure says nothing new.

use domain::health::{Held, Turn};
use proto_msgs::{
    ErrorCode, Record,
    record::{AttemptReport, OutcomeKind},
    vault::Side,
};
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

    /// Whether a vault is held.
    pub(super) fn is_held(&self) -> bool {
        self.source.held().is_some() || self.target.held().is_some()
    }
}

impl ConfigActor {
    /// Tells the vaults how an attempt ended.
    pub(super) fn judge_vaults(&self, record: &Record, attempt: &AttemptReport) {
        let (now, verdict) = (self.parts.parts.origin.boot(), verdict(record, attempt));
        for (side, said) in [(Side::Source, verdict.source), (Side::Target, verdict.target)] {
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
            let problem = self.parts.vault(side).held().map(|held| describe(&held, boot));
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

/// What an attempt says of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Verdict {
    source: Said,
    target: Said,
}

fn verdict(record: &Record, attempt: &AttemptReport) -> Verdict {
    let was_read = if attempt.source_version.is_some() { Said::Answered } else { Said::Nothing };
    match attempt.outcome {
        OutcomeKind::Written | OutcomeKind::Updated | OutcomeKind::Deleted => {
            Verdict { source: Said::Answered, target: Said::Answered }
        }
        // Whether the target was looked at is not told.
        OutcomeKind::Equal | OutcomeKind::Settled | OutcomeKind::Blocked => {
            Verdict { source: Said::Answered, target: Said::Nothing }
        }
        OutcomeKind::Failed | OutcomeKind::Unknown => {
            let failed = record.code.map_or(Said::Nothing, Said::Failed);
            match attempt.failed {
                Some(Side::Source) => Verdict { source: failed, target: Said::Nothing },
                Some(Side::Target) => Verdict { source: was_read, target: failed },
                None => Verdict { source: Said::Nothing, target: Said::Nothing },
            }
        }
    }
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
    use proto_msgs::Status;

    fn failed(code: ErrorCode, side: Side) -> Verdict {
        let record = Record { code: Some(code), ..record(1, "a", Status::Retrying) };
        verdict(&record, &AttemptReport { failed: Some(side), ..report(OutcomeKind::Failed) })
    }

    #[test]
    fn a_failure_speaks_of_the_vault_whose_call_failed_and_of_no_other() {
        let code = ErrorCode::TransientNetwork;
        let at_source = Verdict { source: Said::Failed(code), target: Said::Nothing };
        assert_eq!(failed(code, Side::Source), at_source);
        let at_target = Verdict { source: Said::Nothing, target: Said::Failed(code) };
        assert_eq!(failed(code, Side::Target), at_target);
    }

    #[test]
    fn a_write_speaks_well_of_both_and_an_attempt_without_one_only_of_the_source() {
        let of = |outcome| verdict(&record(1, "a", Status::Active), &report(outcome));
        assert_eq!(of(OutcomeKind::Written), Verdict { source: Said::Answered, target: Said::Answered });
        assert_eq!(of(OutcomeKind::Equal), Verdict { source: Said::Answered, target: Said::Nothing });
    }
}
