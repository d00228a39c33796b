//! Pause and emergency stop: nothing is started or dispatched, attempts under way come in, and what was interrupted goes
//! on afterwards, once.
//!
//! A run that is interrupted ends as that, with the run behind it in its last message: whoever decides when work goes on
//! knows of it.

use actix::Context;
use domain::mutant::{self, Mutant};
use proto_msgs::{
    Config, Revision,
    api::ConditionKind,
    error::{Refusal, RequestCode},
    run::RunEnd,
};

use super::{ConfigActor, run::note_asker};

/// Under which revision a config's work is sent; none: none is.
pub(super) fn sent_under(config: &Config, revision: Revision) -> Option<Revision> {
    (!config.deleted && !is_paused(config)).then_some(revision)
}

fn is_paused(config: &Config) -> bool {
    config.spec.paused && !mutant::is(Mutant::PauseIsIgnored)
}

impl ConfigActor {
    /// Whether nothing may be started or dispatched until somebody lets it go on.
    pub(super) fn is_halted(&self) -> bool {
        is_paused(&self.config) || self.parts.brake.is_pulled()
    }

    /// Why not.
    pub(super) fn halt(&self) -> Option<String> {
        self.parts.brake.reason().or_else(|| {
            is_paused(&self.config)
                .then(|| format!("the config is paused; `keyferry config resume {}` lets it go on", self.id()))
        })
    }

    pub(super) fn refuse_halted(&self) -> Option<Refusal> {
        let why = self.halt()?;
        Some(Refusal::new(RequestCode::Unavailable, why, "let it go on, then ask again"))
    }

    /// Whether work may begin: everything that others know of this target vault is known here, too.
    pub(super) fn may_work(&self) -> bool {
        self.may_act() && !is_paused(&self.config) && self.parts.brake.is_released() && self.parts.claims.are_whole()
    }

    pub(super) fn check_halt(&mut self) {
        let waits = "the other configs that write to the target are being loaded: who owns which item is not known yet";
        let problem = self.halt().or_else(|| (!self.parts.claims.are_whole()).then(|| waits.to_owned()));
        self.set_condition(ConditionKind::WorkAllowed, problem);
    }

    /// Whether the open run is not to go on, though it may be let again by now.
    pub(super) fn is_interrupted(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.is_interrupted)
    }

    /// The open run is not to go on: a later one does, and what was planned in this one is planned and counted in that.
    pub(super) fn interrupt(&mut self) {
        self.steps.clear();
        if let Some(run) = self.run.as_mut().filter(|run| run.state.is_open()) {
            run.is_interrupted = true;
            let id = run.state.id;
            self.work.drop_pending(|record| record.run == Some(id));
        }
    }

    /// Ends an interrupted run, once its attempts came in and what it was writing is written.
    pub(super) fn end_interrupted(&mut self, context: &mut Context<Self>) {
        let Some(run) = self.run.as_ref().filter(|run| run.may_end() && !self.work.has_attempts()) else { return };
        let (id, trigger, asked_by) = (run.state.id, run.state.trigger, run.state.asked_by.clone());
        self.work.drop_pending(|record| record.run == Some(id));
        let next = self.want_run(trigger, None);
        asked_by.iter().for_each(|actor| note_asker(&mut next.asked_by, actor));
        let next = next.clone();
        if let Some(run) = &mut self.run {
            run.state.next = Some(next);
        }
        self.end_run(RunEnd::Interrupted, context);
    }
}
