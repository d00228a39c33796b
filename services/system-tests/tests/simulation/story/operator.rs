//! What operators ask of Keyferry, by what they see: of one record or of all that a listing showed a while ago.

use std::time::Duration;

use domain::{index::Index, leave::set_hash};
use proto_msgs::{
    Record, RecordId, RecordKey, Status,
    api::{CommandReply, ConfigCommand, LeaveAllBody, LeaveBody, RecordFilter, SetBody},
    record::LeaveKind,
};
use tokio::time::sleep;

use super::{Story, record_of};
use crate::{
    history::Said,
    scenario::{Answer, Ask, Seen},
    world::{beginning, item_name},
};

/// An operator's request waits no longer.
const ASK_LIMIT: Duration = Duration::from_secs(5);

impl Story {
    /// What an operator does about an item whose target was touched.
    pub(super) fn mending(&self, item: usize) -> ConfigCommand {
        let (history, actor) = (self.world.look(), "operator".to_owned());
        let id = record_of(&self.world, &self.configs, item);
        let said = history.records.get(&id).and_then(|said| said.last());
        match said.filter(|said| said.record().status == Status::Drifted) {
            Some(said) => ConfigCommand::Leave { actor, key: id.key(), leave: leave_for(said, LeaveKind::Correct) },
            None => ConfigCommand::SyncRecord { actor, key: id.key() },
        }
    }

    pub(super) fn command(&mut self, config: usize, ask: Ask) -> Option<ConfigCommand> {
        let actor = "operator".to_owned();
        let key = |item: usize| {
            let item = &self.world.scenario.items[item];
            RecordKey { kind: item.kind, name: item_name(&item.name) }
        };
        let command = match ask {
            Ask::Sync => ConfigCommand::Sync { actor },
            Ask::Expand => ConfigCommand::Expand { actor },
            Ask::Record(item) => ConfigCommand::SyncRecord { actor, key: key(item) },
            Ask::Enable(item, enabled) => ConfigCommand::SetEnabled { actor, key: key(item), enabled },
            Ask::Leave(item, answer, seen) => {
                ConfigCommand::Leave { actor, key: key(item), leave: self.leave(item, answer, seen)? }
            }
            Ask::LeaveAll(answer, _) => {
                let (status, kind) = self.to_leave(config, answer)?;
                ConfigCommand::LeaveAll {
                    actor,
                    leave: LeaveAllBody { kind, set: self.listed(config, status, Some(kind))? },
                }
            }
            Ask::Release(_) => {
                let set = self.listed(config, Status::BlockedDeleteHeld, None)?;
                ConfigCommand::ReleaseDeletes { actor, hash: set.hash }
            }
        };
        self.world.decisions.push((self.world.now(), ask));
        Some(command)
    }

    /// Leave for what a record shows, or showed; none where there is nothing to decide.
    fn leave(&self, item: usize, answer: Answer, seen: Seen) -> Option<LeaveBody> {
        let history = self.world.look();
        let mut newest = history.records.get(&record_of(&self.world, &self.configs, item))?.iter().rev();
        let now = newest.next()?;
        let kind = match (now.record().status, answer) {
            (Status::BlockedTargetConflict, _) => LeaveKind::Acknowledge,
            (Status::Drifted, Answer::Correct) => LeaveKind::Correct,
            (Status::Drifted, Answer::Accept) => LeaveKind::Accept,
            _ => return None,
        };
        let shown = if seen == Seen::Now { now } else { newest.next()? };
        Some(leave_for(shown, kind))
    }

    /// What leave could be given for in a config: conflicts first.
    fn to_leave(&self, config: usize, answer: Answer) -> Option<(Status, LeaveKind)> {
        let (history, id) = (self.world.look(), self.configs.get(config)?);
        let of_drift = if answer == Answer::Correct { LeaveKind::Correct } else { LeaveKind::Accept };
        let kinds = [(Status::BlockedTargetConflict, LeaveKind::Acknowledge), (Status::Drifted, of_drift)];
        kinds.into_iter().find(|(status, _)| history.of(id).any(|said| said.record().status == *status))
    }

    /// The records of a config with a status, as a listing shows them now; noted as what somebody saw.
    fn listed(&mut self, config: usize, status: Status, kind: Option<LeaveKind>) -> Option<SetBody> {
        let id = *self.configs.get(config)?;
        let shown: Vec<_> = self.world.look().of(&id).filter(|said| said.record().status == status).cloned().collect();
        let mut index = Index::new();
        shown.iter().for_each(|said| _ = index.upsert(said.record(), said.sequence));
        let seen = shown.iter().map(|said| (said.record().id.clone(), said));
        match kind {
            Some(kind) => self.world.leaves.extend(seen.map(|(id, said)| (id, leave_for(said, kind)))),
            None => self.world.releases.extend(seen.map(|(id, said)| (id, said.sequence))),
        }
        let filter = RecordFilter { status: Some(status), ..RecordFilter::default() };
        Some(SetBody { filter, hash: set_hash(index.iter()) }).filter(|_| !shown.is_empty())
    }

    /// `age`: how long ago somebody looked.
    pub(super) fn ask(&mut self, config: usize, command: ConfigCommand, age: Duration) {
        let Some(id) = self.configs.get(config) else { return };
        if let ConfigCommand::Leave { key, leave, .. } = &command {
            let record = RecordId { config: *id, kind: key.kind, name: key.name.clone() };
            self.world.leaves.push((record, leave.clone()));
        }
        let (operator, origin) = (&self.world.operator, &self.world.origin);
        let envelope = origin.envelope(origin.correlation_id(), command);
        let subject = operator.subjects.config_command(id);
        let bus = operator.bus.clone();
        let (asked, at, answers) = (format!("{:?}", envelope.body), self.world.now(), self.world.answers.clone());
        self.asked.spawn_local(async move {
            sleep(age).await;
            // Whoever asks in a storm may get no answer.
            let answer = match broker::ask::<_, CommandReply>(bus.as_ref(), &subject, &envelope, ASK_LIMIT).await {
                Ok(answer) => format!("{:?}", answer.body),
                Err(error) => error.to_string(),
            };
            let at = at.since(beginning()).as_millis();
            answers.borrow_mut().push(format!("{at:>9} {asked}: {answer}"));
        });
    }
}

fn leave_for(seen: &Said<Record>, kind: LeaveKind) -> LeaveBody {
    let target_version = seen.record().target_seen.as_ref().and_then(|seen| seen.version.clone());
    LeaveBody { kind, sequence: seen.sequence, target_version }
}
