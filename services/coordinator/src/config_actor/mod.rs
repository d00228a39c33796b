//! The coordinator of one config: its records, its run, its work.
//!
//! Loads its state from the log, hears what happens to its records on the live feed, and keeps a work item for every
//! record that waits for something. Everything that takes time is a future of the actor's context that comes back as a
//! message. Invariants: nothing is decided or sent once the tenure is over; whatever was promised to somebody is in the
//! log before it is answered. Deliberately absent: writing a record's outcome (the record actor's) and judging budgets
//! (the vault's).

mod any_worker;
mod apply;
mod commands;
mod conditions;
mod decisions;
mod dispatch;
mod halt;
mod holds;
mod inventory;
mod load;
mod outcomes;
mod ownership;
mod preview;
mod queries;
mod remove;
mod run;
mod schedule;
mod work;

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

use actix::{Actor, ActorContext, Addr, AsyncContext, Context, Handler, Message, StreamHandler};
use broker::{Entry, Incoming, LiveEntry};
use domain::{index::Index, inventory::Listed, plan::Step, rule::Matcher};
use proto_msgs::{Config, ConfigId, CorrelationId, Record, RecordKey, Revision, Sequence, Status, Timestamp};
use runtime::BootTime;

use crate::{
    CoordinatorParts, brake::Brake, claims::TargetClaims, fleet::Fleet, tenure::Tenure, vault_actor::VaultHandle,
};
use conditions::Conditions;
use dispatch::Jobs;
pub(crate) use load::{Loaded, load};
use preview::Preview;
use run::{ActiveRun, Runs};
use schedule::runs_by_itself;
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
    /// On the target vault.
    pub claims: TargetClaims,
    pub brake: Brake,
    pub tenure: Tenure,
}

/// What others may see of the actor without asking it.
#[derive(Debug, Default)]
struct Standing {
    has_run: Cell<bool>,
    was_overtaken: Cell<bool>,
    /// Under which revision things are sent; none: nothing is, as long as that is so.
    revision: Cell<Option<Revision>>,
}

/// A handle to one config's coordinator. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ConfigHandle {
    actor: Addr<ConfigActor>,
    standing: Rc<Standing>,
}

impl ConfigHandle {
    pub(crate) fn start(parts: ConfigParts, loaded: Loaded) -> Self {
        let standing = Rc::new(Standing::default());
        let of_actor = standing.clone();
        Self { actor: ConfigActor::create(|context| ConfigActor::new(parts, loaded, of_actor, context)), standing }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.actor.connected()
    }

    /// The config was written again.
    pub(crate) fn update(&self, entry: Entry<Config>) {
        self.actor.do_send(Updated(Box::new(entry)));
    }

    /// The slot was lost, or the process leaves: nothing more is decided.
    pub(crate) fn stop(&self) {
        self.standing.revision.set(None);
        self.actor.do_send(Stop);
    }

    /// Whether a run is open.
    pub(crate) fn is_busy(&self) -> bool {
        self.standing.has_run.get()
    }

    /// Whether it stopped because a newer owner was heard of.
    pub(crate) fn was_overtaken(&self) -> bool {
        self.standing.was_overtaken.get()
    }
}

/// The coordinator of one config.
pub(crate) struct ConfigActor {
    parts: ConfigParts,
    standing: Rc<Standing>,
    config: Config,
    revision: Revision,
    /// Of the config as it is; none: its rule cannot be followed, which the next run says.
    matcher: Option<Matcher>,
    index: Index,
    /// Records that wait for something: a permit, an outcome, their next attempt.
    work: Work,
    run: Option<ActiveRun>,
    runs: Runs,
    /// Planned, and not yet on their way into the log; with the state of the record that the plan saw.
    steps: Vec<(Option<Sequence>, Step)>,
    /// The source item of each planned sync, as it was listed, until its attempt came back.
    listed: BTreeMap<RecordKey, Listed>,
    conditions: Conditions,
    /// Another vault has the name of the source or the target, as of the last run: nothing is attempted, for this reason.
    replaced: Option<String>,
    preview: Preview,
    jobs: Jobs,
    next_job: u64,
    /// Jobs that have not come back.
    dispatching: usize,
    /// When a job last found its worker, or there was none to find one for.
    moved: BootTime,
    /// Records that are read from the leader right now.
    reading: BTreeSet<RecordKey>,
    reload: load::Reload,
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
    fn new(parts: ConfigParts, loaded: Loaded, standing: Rc<Standing>, context: &mut Context<Self>) -> Self {
        let Loaded {
            config,
            revision,
            index,
            open,
            outdated,
            doubted,
            run,
            last_verified,
            unreadable,
            live,
            queries,
            commands,
        } = loaded;
        context.add_stream(live);
        context.add_stream(queries.into_stream(Asked::Query));
        context.add_stream(commands.into_stream(Asked::Command));
        let boot = parts.parts.origin.boot();
        standing.revision.set(halt::sent_under(&config, revision));
        let replaced = apply::replaced_at_last(run.as_ref().map(|run| &run.envelope.body));
        parts.claims.fill(config.id, &config.spec.name, &index, doubted);
        Self {
            work: Work::of(open, boot),
            runs: Runs::of(run, last_verified, outdated > 0),
            run: None,
            steps: Vec::new(),
            listed: BTreeMap::new(),
            conditions: Conditions::of(unreadable, parts.parts.origin.now()),
            replaced,
            preview: Preview::default(),
            jobs: dispatch::start(parts.clone(), standing.clone(), context),
            next_job: 1,
            dispatching: 0,
            moved: boot,
            reading: BTreeSet::new(),
            reload: load::Reload::default(),
            removing_until: None,
            standing,
            parts,
            matcher: Matcher::new(&config.spec).ok(),
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

    /// Whether anything may be decided or sent: this process owns the slot, and the log is there to hold it to that.
    fn may_act(&self) -> bool {
        self.parts.tenure.holds(self.parts.parts.origin.boot()) && self.parts.parts.broker.bus.is_connected()
    }

    fn tick(&mut self, context: &mut Context<Self>) {
        if self.standing.was_overtaken.get() {
            context.stop();
            return;
        }
        self.standing.has_run.set(self.run.is_some());
        self.check_conditions();
        self.forget_old_plan();
        if !self.may_act() {
            return;
        }
        self.look_at_timers(context);
        if self.config.deleted {
            self.remove_when_quiet(context);
            return;
        }
        if self.is_halted() {
            self.interrupt();
        }
        if self.is_interrupted() {
            self.end_interrupted(context);
        }
        self.start_when_due(context);
        self.pump(context);
        self.mark_progress(context);
        self.finish_when_done(context);
    }

    /// Takes a record's newest state in, wherever it was heard of; what is no news changes nothing.
    fn hear(&mut self, entry: Entry<Record>, context: &mut Context<Self>) {
        if self.take_in(&entry) && !entry.envelope.body.removed {
            self.follow_up(entry, context);
        }
    }

    /// Whether it is news.
    fn take_in(&mut self, entry: &Entry<Record>) -> bool {
        let is_news = self.index.upsert(&entry.envelope.body, entry.sequence);
        if is_news {
            self.parts.claims.settle(&entry.envelope.body);
        }
        is_news
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
        let before = std::mem::replace(&mut self.config, entry.envelope.body);
        self.matcher = Matcher::new(&self.config.spec).ok();
        self.revision = revision;
        self.standing.revision.set(halt::sent_under(&self.config, revision));
        self.parts.claims.rename(self.config.id, &self.config.spec.name);
        self.preview.forget();
        // Decided under the old revision; what was dispatched comes in, the rest is planned again.
        self.steps.clear();
        let dropped = self.work.drop_pending(|_| true);
        let has_run = self.run.is_some();
        if let Some(run) = &mut self.run {
            let work = &self.work;
            run.outstanding.retain(|key| work.get(key).is_some());
        }
        let is_left_alone = runs_by_itself(&before) && !runs_by_itself(&self.config);
        if is_left_alone {
            self.forget_schedule();
        }
        let waits = is_left_alone && self.index.iter().any(|(_, entry)| entry.status == Status::Pending);
        self.schedule_edited(has_run || dropped > 0 || waits);
        if self.is_halted() {
            self.interrupt();
        }
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

/// A request on one of the config's subjects.
enum Asked {
    Query(Incoming),
    Command(Incoming),
}

impl StreamHandler<Asked> for ConfigActor {
    fn handle(&mut self, asked: Asked, context: &mut Self::Context) {
        match asked {
            Asked::Query(incoming) => self.query(&incoming, context),
            Asked::Command(incoming) => self.command(&incoming, context),
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
                self.hear(entry, context);
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

/// Whether a record waits for an attempt, or has to be compared once more.
fn is_open(record: &Record) -> bool {
    !record.removed && (!record.status.is_settled() || domain::lifecycle::is_doubtful(record))
}

/// Whether somebody asked for this record by itself, outside of any run.
fn is_urgent(record: &Record) -> bool {
    record.run.is_none() || (record.status.is_settled() && domain::lifecycle::is_doubtful(record))
}

/// Decided under an older edit of the config: planned again, not attempted.
fn is_outdated(record: &Record, revision: Revision) -> bool {
    !record.removed && record.status == Status::Pending && record.revision != revision
}
