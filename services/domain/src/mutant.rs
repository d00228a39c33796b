//! Switches that break one rule each, so that a test can show that breaking it is noticed.
//!
//! Compiled under the feature `mutants`, which only the simulation's tests turn on; without it every question is
//! answered `false` when it is compiled, and nothing of this is in a program. One thread breaks a rule for itself alone.

#[cfg(all(feature = "mutants", not(debug_assertions)))]
compile_error!("the feature `mutants` is for tests: no program that is shipped may have it");

/// A rule to break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// The intent is appended whatever is the newest message.
    IntentWithoutExpectation,
    /// A write begins however old its attempt is.
    NoWriteGate,
    /// A write begins though NATS is not heard.
    WriteUnheard,
    /// A write begins though its config was edited or deleted.
    WriteAfterEdit,
    /// A write whose answer was lost counts as one that did not happen.
    UnknownDidNotHappen,
    /// The target is not compared with what an attempt of unknown outcome was about to write.
    NothingIsSettled,
    /// Attributes that somebody put there pass for those that an attempt of unknown outcome was about to bring.
    AttributesPassForOwn,
    /// An open attempt is repeated as soon as its worker is silent.
    RepeatAtOnce,
    /// Commands of older owners and edits are taken.
    NoFences,
    /// A listing that broke off counts as complete.
    PartialIsComplete,
    /// A foreign item is overwritten.
    NoConflict,
    /// What is equal already is not adopted.
    NoAdoption,
    /// The leader is not asked before something foreign is overwritten.
    NoConfirmation,
    /// A source that was read in the second in which it changed counts as unchanged.
    NoSameSecond,
    /// Attributes alone make a new version.
    UpdateIsWrite,
    /// A time that the source has no more is left at the target.
    ClearedTimeIsKept,
    /// A source that was switched off does not switch its target off.
    SwitchedOffIsBlocked,
    /// A record that is taken over waits for its worker for ever.
    NoTimers,
    /// A single miss makes an item gone.
    OneMissIsEnough,
    /// A delete is not confirmed by point reads.
    DeleteUnconfirmed,
    /// What is at the target is deleted, whoever wrote it.
    DeleteWhateverIsThere,
    /// Deletes are never held.
    NoBreaker,
    /// A drifted target is overwritten whatever the policy.
    DriftIsOverwritten,
    /// A paused config goes on.
    PauseIsIgnored,
    /// What an exclude takes out is replicated.
    ExcludeIsIgnored,
    /// What the rule does not match is replicated.
    RuleIsIgnored,
    /// What an operator disabled is enabled by the next cycle.
    OperatorIsIgnored,
    /// A key is sent where its backup cannot be opened.
    KeyLeavesGeography,
    /// What Key Vault keeps behind a certificate gets a record of its own.
    ManagedIsItem,
    /// Leave is taken for what was not seen.
    LeaveForAnything,
    /// Drift that was accepted is written over by what had changed at the source before.
    AcceptedIsOverwritten,
    /// Of many records, others are decided about than were listed.
    AnySetIsDecided,
    /// What another config owns is written.
    ClaimIsIgnored,
    /// What was adopted is deleted.
    DeleteAdopted,
    /// Nobody is told that an attempt may have written after others went on.
    LateIsForgotten,
    /// A value is told.
    TellValue,
}

impl Mutant {
    pub const ALL: &[Self] = &[
        Self::IntentWithoutExpectation,
        Self::NoWriteGate,
        Self::WriteUnheard,
        Self::WriteAfterEdit,
        Self::UnknownDidNotHappen,
        Self::NothingIsSettled,
        Self::AttributesPassForOwn,
        Self::RepeatAtOnce,
        Self::NoFences,
        Self::PartialIsComplete,
        Self::NoConflict,
        Self::NoAdoption,
        Self::NoConfirmation,
        Self::NoSameSecond,
        Self::UpdateIsWrite,
        Self::ClearedTimeIsKept,
        Self::SwitchedOffIsBlocked,
        Self::NoTimers,
        Self::OneMissIsEnough,
        Self::DeleteUnconfirmed,
        Self::DeleteWhateverIsThere,
        Self::NoBreaker,
        Self::DriftIsOverwritten,
        Self::PauseIsIgnored,
        Self::ExcludeIsIgnored,
        Self::RuleIsIgnored,
        Self::OperatorIsIgnored,
        Self::KeyLeavesGeography,
        Self::ManagedIsItem,
        Self::LeaveForAnything,
        Self::AcceptedIsOverwritten,
        Self::AnySetIsDecided,
        Self::ClaimIsIgnored,
        Self::DeleteAdopted,
        Self::LateIsForgotten,
        Self::TellValue,
    ];
}

#[cfg(feature = "mutants")]
mod switch {
    use std::cell::Cell;

    use super::Mutant;

    thread_local! {
        static BROKEN: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    /// Breaks a rule on this thread, or none.
    pub fn set(mutant: Option<Mutant>) {
        BROKEN.set(mutant);
    }

    pub fn is(mutant: Mutant) -> bool {
        BROKEN.get() == Some(mutant)
    }
}

#[cfg(feature = "mutants")]
pub use switch::{is, set};

/// Whether a rule is broken here: no rule ever is, in a program.
#[cfg(not(feature = "mutants"))]
#[inline(always)]
pub const fn is(_: Mutant) -> bool {
    false
}
