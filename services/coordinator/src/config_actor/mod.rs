//! The coordinator of one config: its records, its run, its work.
//!
//! Loads its state from the log, hears what happens to its records on the live feed, and keeps a work item for every
//! record that waits for something. Everything that takes time is a future of the actor's context that comes back as a
//! message. Deliberately absent: writing a record's outcome (the record actor's) and judging budgets (the vault's).

mod apply;
mod dispatch;
mod inventory;
mod load;
mod outcomes;
mod queries;
mod remove;
mod run;
mod work;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use actix::{Actor, ActorContext, Addr, AsyncContext, Context, Handler, Message, StreamHandler};
use broker::{Entry, Incoming, LiveEntry};
use domain::{index::Index, plan::Step};
use proto_msgs::{
    Config, ConfigId, CorrelationId, Epoch, Record, RecordKey, Revision, Sequence, Status, Timestamp,
    api::{Condition, ConditionKind},
};

use crate::{CoordinatorParts, fleet::Fleet, vault_actor::VaultHandle};
use dispatch::Jobs;
pub(crate) use load::{Loaded, load};
use run::{ActiveRun, Runs};
use work::Work;

/// Live events come in bursts of as many as are dispatched; beyond this the follower waits.
const MAILBOX_CAPACITY: usize = 1_024;
/// How often timers are looked at: the finest time an operator sees is a second.
const TICK: Duration = Duration::from_millis(200);

/// What the actor of a config needs from its process.
#[derive(Clone)]
pub(crate) struct ConfigParts {
    pub parts: CoordinatorParts,
    pub fleet: Fleet,
    pub source: VaultHandle,
    pub target: VaultHandle,
    pub epoch: Epoch,
}

/// A handle to one config's coordinator. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ConfigHandle(Addr<ConfigActor>);

impl ConfigHandle {
    pub(crate) fn start(parts: ConfigParts, loaded: Loaded) -> Self {
        Self(ConfigActor::create(|context| ConfigActor::new(parts, loaded, context)))
    }

    pub(crate) fn is_running(&self) -> bool {
        self.0.connected()
    }

    /// The config was written again.
    pub(crate) fn update(&self, entry: Entry<Config>) {
        self.0.do_send(Updated(Box::new(entry)));
    }

    /// The slot was lost, or the process leaves: nothing more is decided.
    pub(crate) fn stop(&self) {
        self.0.do_send(Stop);
    }

    /// Whether a run is open; not answered: it is gone, and none is.
    pub(crate) async fn is_busy(&self) -> bool {
        self.0.send(IsBusy).await.unwrap_or(false)
    }
}

/// The coordinator of one config.
pub(crate) struct ConfigActor {
    parts: ConfigParts,
    config: Config,
    revision: Revision,
    index: Index,
    /// Records that wait for something: a permit, an outcome, their next attempt.
    work: Work,
    run: Option<ActiveRun>,
    runs: Runs,
    /// Planned, and not yet on their way into the log.
    steps: Vec<Step>,
    conditions: BTreeMap<&'static str, Condition>,
    jobs: Jobs,
    next_job: u64,
    /// Jobs that have not come back.
    dispatching: usize,
    /// To be compared again once their attempt is over.
    rechecks: BTreeSet<RecordKey>,
    /// A worker knows a newer owner: nothing more is decided here.
    is_stale: bool,
    /// The config's records are being removed, or are again at this time.
    removing_until: Option<Timestamp>,
}

impl Actor for ConfigActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(MAILBOX_CAPACITY);
        context.run_interval(TICK, |actor, context| actor.tick(context));
        self.resume();
    }
}

impl ConfigActor {
    fn new(parts: ConfigParts, loaded: Loaded, context: &mut Context<Self>) -> Self {
        let Loaded { config, revision, index, open, run, live, queries, commands, refused, .. } = loaded;
        context.add_stream(live);
        context.add_stream(queries.into_stream(Asked::Query));
        context.add_stream(commands.into_stream(Asked::Command));
        context.add_stream(refused.into_stream(Asked::Refused));
        let now = parts.parts.origin.boot();
        let is_interrupted = run.as_ref().is_some_and(|run| run.envelope.body.is_open());
        // What waits in a run that is resumed is planned again.
        let open = open.into_iter().filter(|(record, _)| !is_interrupted || record.status != Status::Pending);
        Self {
            work: Work::of(open.collect(), now),
            runs: Runs::of(run),
            run: None,
            steps: Vec::new(),
            conditions: BTreeMap::new(),
            jobs: dispatch::start(parts.clone(), context),
            next_job: 1,
            dispatching: 0,
            rechecks: BTreeSet::new(),
            is_stale: false,
            removing_until: None,
            parts,
            config,
            revision,
            index,
        }
    }

    fn id(&self) -> ConfigId {
        self.config.id
    }

    fn now(&self) -> Timestamp {
        self.parts.parts.origin.now()
    }

    fn correlation(&self) -> CorrelationId {
        self.run.as_ref().map_or_else(|| self.parts.parts.origin.correlation_id(), |run| run.state.correlation_id)
    }

    fn tick(&mut self, context: &mut Context<Self>) {
        if self.is_stale {
            context.stop();
            return;
        }
        self.check_conditions();
        self.look_at_timers(context);
        if self.config.deleted {
            self.remove_when_quiet(context);
            return;
        }
        self.start_when_due(context);
        self.pump(context);
        self.finish_when_done(context);
    }

    fn check_conditions(&mut self) {
        let has_workers = self.parts.fleet.has_workers();
        let message = "no worker is heard: start one with `keyferry worker`, or look at its log";
        self.set_condition(ConditionKind::WorkersAvailable, has_workers, (!has_workers).then(|| message.to_owned()));
    }

    fn set_condition(&mut self, kind: ConditionKind, ok: bool, message: Option<String>) {
        let name = match kind {
            ConditionKind::SourceReadable => "source_readable",
            ConditionKind::TargetWritable => "target_writable",
            ConditionKind::WorkersAvailable => "workers_available",
        };
        let since =
            self.conditions.get(name).filter(|known| known.ok == ok).map_or_else(|| self.now(), |known| known.since);
        self.conditions.insert(name, Condition { kind, ok, message, since });
    }

    /// Takes a record's newest state in, wherever it was heard of; what is no news changes nothing.
    fn hear(&mut self, record: Record, sequence: Sequence) {
        if self.index.upsert(&record, sequence) && !record.removed {
            self.follow_up(record, sequence);
        }
    }
}

/// The config was written again.
#[derive(Message)]
#[rtype(result = "()")]
struct Updated(Box<Entry<Config>>);

impl Handler<Updated> for ConfigActor {
    type Result = ();

    fn handle(&mut self, Updated(entry): Updated, _: &mut Self::Context) {
        let revision = Revision(entry.sequence.0);
        if revision <= self.revision {
            return;
        }
        tracing::info!(config_id = %self.id(), revision = revision.0, "config was changed");
        self.config = entry.envelope.body;
        self.revision = revision;
        // Decided under the old revision; what was dispatched comes in, the rest is planned again.
        self.work.drop_queued();
        if let Some(run) = &mut self.run {
            let work = &self.work;
            run.outstanding.retain(|key| work.get(key).is_some());
        }
        self.schedule_first();
    }
}

/// Decide nothing more.
#[derive(Message)]
#[rtype(result = "()")]
struct Stop;

impl Handler<Stop> for ConfigActor {
    type Result = ();

    fn handle(&mut self, _: Stop, context: &mut Self::Context) {
        context.stop();
    }
}

#[derive(Message)]
#[rtype(result = "bool")]
struct IsBusy;

impl Handler<IsBusy> for ConfigActor {
    type Result = bool;

    fn handle(&mut self, _: IsBusy, _: &mut Self::Context) -> bool {
        self.run.is_some()
    }
}

/// A request on one of the config's subjects.
enum Asked {
    Query(Incoming),
    Command(Incoming),
    Refused(Incoming),
}

impl StreamHandler<Asked> for ConfigActor {
    fn handle(&mut self, asked: Asked, context: &mut Self::Context) {
        match asked {
            Asked::Query(incoming) => self.query(&incoming, context),
            Asked::Command(incoming) => self.command(&incoming, context),
            Asked::Refused(incoming) => self.refused(&incoming, context),
        }
    }

    fn finished(&mut self, context: &mut Self::Context) {
        // Without its subjects nobody reaches it: restarted from stored state.
        context.stop();
    }
}

impl StreamHandler<LiveEntry<Record>> for ConfigActor {
    fn handle(&mut self, live: LiveEntry<Record>, context: &mut Self::Context) {
        match live {
            LiveEntry::Entry(entry) => {
                self.hear(entry.envelope.body, entry.sequence);
                self.pump(context);
                self.finish_when_done(context);
            }
            LiveEntry::Gap => self.reload(context),
        }
    }

    fn finished(&mut self, context: &mut Self::Context) {
        context.stop();
    }
}
