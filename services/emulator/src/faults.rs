//! Failures on demand: which calls, how often, and what happens instead of the answer.
//!
//! Rules are tried in order and the first that hits decides. Chance comes from a seeded generator, so that the same
//! calls in the same order fail the same way. Deliberately absent: latency, which is one setting for all calls.

use glob::Pattern;
use parking_lot::Mutex;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde::{Deserialize, Serialize};

use crate::operation::Operation;

/// Every client has given up by then.
pub const MAX_DELAY_MS: u64 = 600_000;

/// Whether the vault does as it is told before the call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    #[default]
    Before,
    After,
}

/// Which requests a rule hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum On {
    /// Those without a good token, which ask for the challenge.
    Probe,
    #[default]
    Call,
    Any,
}

/// Who sent a request, as far as a rule cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// Nobody known: the answer would be a challenge.
    Probe,
    /// Somebody with a token.
    Caller,
}

impl On {
    const fn takes(self, sender: Sender) -> bool {
        match (self, sender) {
            (Self::Any, _) | (Self::Probe, Sender::Probe) | (Self::Call, Sender::Caller) => true,
            (Self::Probe, Sender::Caller) | (Self::Call, Sender::Probe) => false,
        }
    }
}

/// What the client gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Outcome {
    /// An error answer.
    Status {
        status: u16,
        #[serde(default)]
        code: Option<String>,
        #[serde(default)]
        inner: Option<String>,
        #[serde(default)]
        message: Option<String>,
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// Nothing, until the client gives up.
    Timeout,
    /// The TCP connection is reset.
    Reset,
    /// The true answer, so many milliseconds late; `before` the effect, so that a caller can be overtaken.
    Delay { ms: u64 },
}

/// One rule, as the admin listener takes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// Glob over operation names.
    #[serde(default = "any")]
    pub operation: String,
    /// Glob over vault names; calls to the other hosts have the vaults `arm` and `login`.
    #[serde(default = "any")]
    pub vault: String,
    /// Glob over item names, in lower case; a call without an item has the name "".
    #[serde(default = "any")]
    pub item: String,
    /// How many of the calls that match are hit, 0 to 1.
    #[serde(default = "always")]
    pub share: f64,
    /// So many matching calls are spared first.
    #[serde(default)]
    pub skip: u64,
    /// At most so many calls are hit; none: no end.
    #[serde(default)]
    pub count: Option<u64>,
    #[serde(default)]
    pub on: On,
    #[serde(default)]
    pub when: When,
    pub then: Outcome,
}

fn any() -> String {
    "*".to_owned()
}

const fn always() -> f64 {
    1.0
}

/// All rules at once, as the admin listener takes them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultSet {
    #[serde(default)]
    pub seed: u64,
    pub faults: Vec<FaultRule>,
}

/// A rule with how often it matched and hit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FaultState {
    #[serde(flatten)]
    pub rule: FaultRule,
    pub matched: u64,
    pub hits: u64,
}

struct Armed {
    state: FaultState,
    operation: Pattern,
    vault: Pattern,
    item: Pattern,
}

/// The rules in force.
pub struct Faults(Mutex<Inner>);

struct Inner {
    armed: Vec<Armed>,
    random: StdRng,
}

impl Faults {
    pub fn new() -> Self {
        Self(Mutex::new(Inner { armed: Vec::new(), random: StdRng::seed_from_u64(0) }))
    }

    /// Puts these rules in place of all others; the text says which cannot be understood.
    pub fn replace(&self, set: FaultSet) -> Result<(), String> {
        let armed = set.faults.into_iter().map(arm).collect::<Result<Vec<_>, _>>()?;
        *self.0.lock() = Inner { armed, random: StdRng::seed_from_u64(set.seed) };
        Ok(())
    }

    pub fn states(&self) -> Vec<FaultState> {
        self.0.lock().armed.iter().map(|armed| armed.state.clone()).collect()
    }

    /// What happens to this call, if anything.
    pub fn hit(&self, sender: Sender, operation: Operation, vault: &str, item: &str) -> Option<(When, Outcome)> {
        let mut inner = self.0.lock();
        let Inner { armed, random } = &mut *inner;
        if armed.is_empty() {
            return None;
        }
        let item = item.to_ascii_lowercase();
        for fault in armed {
            let fits = fault.state.rule.on.takes(sender)
                && fault.operation.matches(operation.name())
                && fault.vault.matches(vault)
                && fault.item.matches(&item);
            if !fits {
                continue;
            }
            let FaultState { rule, matched, hits } = &mut fault.state;
            *matched += 1;
            let spared = *matched <= rule.skip || rule.count.is_some_and(|count| *hits >= count);
            if !spared && (rule.share >= 1.0 || random.random::<f64>() < rule.share) {
                *hits += 1;
                return Some((rule.when, rule.then.clone()));
            }
        }
        None
    }
}

fn arm(rule: FaultRule) -> Result<Armed, String> {
    let pattern = |text: &str| Pattern::new(text).map_err(|error| format!("`{text}` is not a glob: {error}"));
    if !(0.0..=1.0).contains(&rule.share) {
        return Err(format!("share is 0 to 1, not {}", rule.share));
    }
    let (operation, vault, item) = (pattern(&rule.operation)?, pattern(&rule.vault)?, pattern(&rule.item)?);
    if !Operation::ALL.iter().any(|known| operation.matches(known.name())) {
        return Err(format!("`{}` matches no operation", rule.operation));
    }
    match &rule.then {
        Outcome::Status { status, .. } if !(400..=599).contains(status) => {
            return Err(format!("status is 400 to 599, not {status}"));
        }
        Outcome::Delay { ms } if *ms > MAX_DELAY_MS => return Err(format!("ms is at most {MAX_DELAY_MS}, not {ms}")),
        Outcome::Status { .. } | Outcome::Delay { .. } | Outcome::Timeout | Outcome::Reset => {}
    }
    Ok(Armed { state: FaultState { rule, matched: 0, hits: 0 }, operation, vault, item })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(json: &str) -> FaultSet {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_rule_hits_only_what_it_names_and_only_so_often() {
        let faults = Faults::new();
        let rule = r#"{"faults":[{"operation":"secrets.set","vault":"a","skip":1,"count":2,"then":"reset"}]}"#;
        faults.replace(set(rule)).unwrap();
        assert!(faults.hit(Sender::Caller, Operation::SecretsGet, "a", "x").is_none());
        assert!(faults.hit(Sender::Caller, Operation::SecretsSet, "b", "x").is_none());
        let hits = (0..5).filter(|_| faults.hit(Sender::Caller, Operation::SecretsSet, "a", "x").is_some()).count();
        assert_eq!(hits, 2);
        assert_eq!((faults.states()[0].matched, faults.states()[0].hits), (5, 2));
    }

    #[test]
    fn a_rule_hits_probes_only_where_it_says_so() {
        for (on, probe, caller) in
            [("", false, true), (r#""on":"probe","#, true, false), (r#""on":"any","#, true, true)]
        {
            let faults = Faults::new();
            faults.replace(set(&format!(r#"{{"faults":[{{{on}"then":"reset"}}]}}"#))).unwrap();
            let hit = |sender| faults.hit(sender, Operation::SecretsSet, "a", "x").is_some();
            assert_eq!((hit(Sender::Probe), hit(Sender::Caller)), (probe, caller), "{on}");
        }
    }

    #[test]
    fn the_same_seed_hits_the_same_calls() {
        let run = || {
            let faults = Faults::new();
            faults.replace(set(r#"{"seed":7,"faults":[{"share":0.3,"then":"timeout"}]}"#)).unwrap();
            (0..100).map(|_| faults.hit(Sender::Caller, Operation::SecretsGet, "a", "x").is_some()).collect::<Vec<_>>()
        };
        assert_eq!(run(), run());
        assert!(run().iter().any(|hit| *hit) && run().iter().any(|hit| !hit));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let faults = Faults::new();
        for bad in [
            r#"{"faults":[{"operation":"secrets.steal","then":"reset"}]}"#,
            r#"{"faults":[{"share":2,"then":"reset"}]}"#,
            r#"{"faults":[{"then":{"status":{"status":200}}}]}"#,
            r#"{"faults":[{"item":"[","then":"reset"}]}"#,
            r#"{"faults":[{"then":{"delay":{"ms":600001}}}]}"#,
        ] {
            assert!(faults.replace(set(bad)).is_err(), "{bad}");
        }
    }
}
