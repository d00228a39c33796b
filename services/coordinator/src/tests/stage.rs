//! What the tests of a whole coordinator play on: a log in memory, a worker that does as it is told, and whoever else
//! asks or decides.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    future::Future,
    pin::pin,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use broker::{Broker, Entry, Incoming, memory::MemoryServer};
use domain::lifecycle::{self, Ended, Trace};
use futures::StreamExt;
use proto_msgs::{
    Config, CorrelationId, ErrorCode, ItemName, ItemType, Record, RecordId, RecordKey, Revision, Run, Sequence,
    SetHash, Status, Timestamp,
    api::{CommandReply, ConfigCommand, ConfigQuery, ConfigReply, ConfigSummary, RecordFilter},
    config::Control,
    error::Refusal,
    record::{Arrival, AttemptReport, Baseline, OutcomeKind, UnresolvedAttempt},
    run::{Phase, RunCounts, Trigger},
    subject::{AnyWorker, Subjects},
    vault::{CallFailure, Detail, ItemMeta, Side, SideState},
    worker::{Heartbeat, InventoryAnswer, InventoryPage, InventoryRequest, Listing, Role, SyncAnswer, SyncRecord},
};
use runtime::{Origin, SeededEntropy, Shutdown, TokioClock};
use tokio::task::{JoinSet, LocalSet};

use crate::{
    CoordinatorParts, CoordinatorSettings,
    fixtures::{at, change, item, report, run},
};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
/// Longest that is waited for anything; nothing takes that long by itself.
const PATIENCE: Duration = Duration::from_secs(2 * 3_600);
pub(crate) const WORKER: &str = "worker-1";

/// How an attempt ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Success,
    /// An older write turns out to be done.
    Settles,
    Fails(ErrorCode, Side),
    /// Its intent is written, and nothing more.
    Hangs,
}

/// The world outside of the coordinator.
pub(crate) struct World {
    /// What each vault lists, by its URI.
    vaults: BTreeMap<String, BTreeMap<ItemName, ItemMeta>>,
    fates: BTreeMap<ItemName, Fate>,
    /// Of every name that has none of its own.
    pub fate: Fate,
    /// Every attempt there was.
    pub attempts: Vec<(Timestamp, SyncRecord)>,
    pub listings: usize,
    /// Whether listings are answered.
    pub lists: bool,
    /// Whether the worker has no room.
    pub is_full: bool,
}

pub(crate) struct Stage {
    pub world: Rc<RefCell<World>>,
    pub others: Broker,
    server: MemoryServer,
    clock: Arc<TokioClock>,
    origin: Origin,
}

impl Stage {
    /// Needs a runtime whose clock is paused.
    pub(crate) fn new() -> Self {
        let clock = Arc::new(TokioClock::new(at(0)));
        let server = MemoryServer::new(Subjects::default(), at(0));
        let origin = Origin::new(clock.clone(), Arc::new(SeededEntropy::new(1)), "others".parse().unwrap());
        let world = World {
            vaults: BTreeMap::new(),
            fates: BTreeMap::new(),
            fate: Fate::Success,
            attempts: Vec::new(),
            listings: 0,
            lists: true,
            is_full: false,
        };
        Self { world: Rc::new(RefCell::new(world)), others: server.client("others").broker(), server, clock, origin }
    }

    /// Plays a story beside one coordinator and the worker.
    pub(crate) async fn play<T>(&self, story: impl Future<Output = T>) -> T {
        self.beside(self.coordinator("coordinator-1", 2), story).await
    }

    /// A coordinator that is not asked to leave.
    pub(crate) fn coordinator(&self, name: &str, seed: u64) -> (CoordinatorParts, Shutdown) {
        let origin = Origin::new(self.clock.clone(), Arc::new(SeededEntropy::new(seed)), name.parse().unwrap());
        (CoordinatorParts { broker: self.server.client(name).broker(), origin }, Shutdown::new())
    }

    pub(crate) async fn beside<T>(
        &self,
        coordinator: (CoordinatorParts, Shutdown),
        story: impl Future<Output = T>,
    ) -> T {
        self.beside_worker(coordinator, self.worker(), story).await
    }

    /// Beside a worker that ends when what starts it is dropped.
    pub(crate) async fn beside_worker<T>(
        &self,
        (parts, shutdown): (CoordinatorParts, Shutdown),
        worker: impl Future<Output = JoinSet<()>>,
        story: impl Future<Output = T>,
    ) -> T {
        let local = LocalSet::new();
        let coordinating = async move {
            crate::run(CoordinatorSettings::default(), parts, shutdown).await.expect("a coordinator failed");
            std::future::pending::<()>().await;
        };
        local
            .run_until(async {
                let _worker = worker.await;
                let (coordinating, story) = (pin!(coordinating), pin!(story));
                tokio::select! {
                    biased;
                    over = story => over,
                    () = coordinating => unreachable!("it waits for ever"),
                }
            })
            .await
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.origin.now()
    }

    /// Something is set at a vault now.
    pub(crate) fn set(&self, vault: &str, name: &str) {
        let uri = crate::fixtures::vault(vault).uri;
        let item = item(name, self.now());
        self.world.borrow_mut().vaults.entry(uri).or_default().insert(item.name.clone(), item);
    }

    /// Something is gone from a vault, the deleted items among it.
    pub(crate) fn purge(&self, vault: &str, name: &str) {
        let uri = crate::fixtures::vault(vault).uri;
        self.world.borrow_mut().vaults.entry(uri).or_default().remove(&name.parse::<ItemName>().unwrap());
    }

    pub(crate) fn fate(&self, name: &str, fate: Fate) {
        self.world.borrow_mut().fates.insert(name.parse().unwrap(), fate);
    }

    /// Names in the order of their attempts.
    pub(crate) fn attempted(&self) -> Vec<String> {
        self.world.borrow().attempts.iter().map(|(_, sync)| sync.record.id.name.to_string()).collect()
    }

    pub(crate) async fn save(&self, config: &Config, expected: Revision) -> Revision {
        let envelope = self.origin.envelope(CorrelationId::from_random(3), config.clone());
        self.others.configs().put(&envelope, expected).await.unwrap()
    }

    /// What an owner that died has left: an open run, in which a record waits.
    pub(crate) async fn leave_waiting(&self, config: &Config, revision: Revision, name: &str) {
        let counts = RunCounts { complete: true, ..RunCounts::default() };
        let open = Run {
            config: config.id,
            revision,
            phase: Phase::Syncing,
            ended: None,
            end: None,
            counts,
            ..run(Trigger::Manual)
        };
        let id = RecordId { config: config.id, kind: ItemType::Secrets, name: name.parse().unwrap() };
        let waits = lifecycle::pending(Record::new(id, Status::Pending, None), Some(open.id), revision);
        let (log, correlation) = (self.others.log(), self.origin.correlation_id());
        log.append_run(&self.origin.envelope(correlation, open), Sequence(0)).await.unwrap();
        log.append_record(&self.origin.envelope(correlation, waits), Sequence(0)).await.unwrap();
    }

    pub(crate) async fn stop_all(&self, stopped: bool, expected: Revision) -> Revision {
        let control = Control { stopped, change: change("stop_all") };
        let envelope = self.origin.envelope(CorrelationId::from_random(3), control);
        self.others.configs().put_control(&envelope, expected).await.unwrap()
    }

    pub(crate) async fn record(&self, config: &Config, name: &str) -> Option<Entry<Record>> {
        let id = RecordId { config: config.id, kind: proto_msgs::ItemType::Secrets, name: name.parse().unwrap() };
        self.others.log().record(&id).await.unwrap()
    }

    pub(crate) async fn runs(&self, config: &Config) -> Vec<Run> {
        let mut runs: Vec<Run> =
            self.others.log().runs(&config.id).await.unwrap().into_iter().map(|entry| entry.envelope.body).collect();
        runs.reverse();
        runs
    }

    /// Messages that were ever stored about records.
    pub(crate) fn written_records(&self) -> usize {
        self.server.written().iter().filter(|written| written.message.subject.starts_with("kf.rec.")).count()
    }

    pub(crate) async fn ask(&self, config: &Config, query: ConfigQuery) -> Option<ConfigReply> {
        let subject = self.others.subjects.config_query(&config.id);
        let question = self.origin.envelope(CorrelationId::from_random(4), query);
        broker::ask(self.others.bus.as_ref(), &subject, &question, SECOND * 40).await.ok().map(|reply| reply.body)
    }

    pub(crate) async fn summary(&self, config: &Config) -> Option<ConfigSummary> {
        match self.ask(config, ConfigQuery::Summary).await? {
            ConfigReply::Summary { summary } => Some(*summary),
            other @ (ConfigReply::Records { .. } | ConfigReply::Plan { .. } | ConfigReply::Refused { .. }) => {
                panic!("{other:?}")
            }
        }
    }

    /// How many records match, and the hash of them all.
    pub(crate) async fn list(&self, config: &Config, status: Status) -> (u64, SetHash) {
        let filter = RecordFilter { status: Some(status), ..RecordFilter::default() };
        match self.ask(config, ConfigQuery::Records { filter, after: None, limit: 1 }).await {
            Some(ConfigReply::Records { total, hash: Some(hash), .. }) => (total, hash),
            other => panic!("{other:?}"),
        }
    }

    /// Tells a coordinator to do something; gives for how many records it is in the log.
    pub(crate) async fn tell(&self, config: &Config, command: ConfigCommand) -> Result<u64, Refusal> {
        let subject = self.others.subjects.config_command(&config.id);
        let question = self.origin.envelope(CorrelationId::from_random(4), command);
        let reply = broker::ask(self.others.bus.as_ref(), &subject, &question, SECOND * 40).await.unwrap();
        match reply.body {
            CommandReply::Done { records, .. } => Ok(records),
            CommandReply::Accepted { .. } => Ok(0),
            CommandReply::Refused { refusal } => Err(refusal),
        }
    }

    /// Waits until something is so.
    pub(crate) async fn until(&self, what: &str, is_so: impl AsyncFn() -> bool) {
        let began = self.now();
        while !is_so().await {
            assert!(self.now().since(began) < PATIENCE, "waited in vain until {what}");
            tokio::time::sleep(SECOND).await;
        }
    }

    pub(crate) async fn until_status(&self, config: &Config, name: &str, status: Status) -> Record {
        let is = async || self.record(config, name).await.is_some_and(|entry| entry.envelope.body.status == status);
        self.until(&format!("{name} is {status}"), is).await;
        self.record(config, name).await.unwrap().envelope.body
    }

    pub(crate) async fn until_runs_ended(&self, config: &Config, ended: usize) {
        let is = async || self.runs(config).await.iter().filter(|run| !run.is_open()).count() >= ended;
        self.until(&format!("{ended} runs ended"), is).await;
    }

    /// A worker that beats, lists and attempts. Ends when dropped.
    async fn worker(&self) -> JoinSet<()> {
        let (bus, subjects) = (&self.others.bus, &self.others.subjects);
        let group = subjects.any_worker_group();
        let inventory = subjects.any_worker(AnyWorker::Inventory);
        let mut listings = bus.subscribe(&inventory, Some(&group)).await.unwrap();
        let mut syncs = bus.subscribe(&subjects.worker_sync(&WORKER.parse().unwrap()), None).await.unwrap();
        let mut tasks = JoinSet::new();
        let hands = Hands { world: self.world.clone(), broker: self.others.clone(), origin: self.origin.clone() };
        tasks.spawn_local(hands.clone().beat());
        let lists = hands.clone();
        tasks.spawn_local(async move {
            while let Some(incoming) = listings.next().await {
                lists.list(&incoming).await;
            }
        });
        tasks.spawn_local(async move {
            while let Some(incoming) = syncs.next().await {
                hands.sync(&incoming).await;
            }
        });
        tasks
    }
}

/// What the worker works with.
#[derive(Clone)]
struct Hands {
    world: Rc<RefCell<World>>,
    broker: Broker,
    origin: Origin,
}

impl Hands {
    async fn beat(self) {
        for beat in 1.. {
            let heartbeat = Heartbeat {
                member: WORKER.parse().unwrap(),
                role: Role::Worker,
                version: String::new(),
                started: at(0),
                beat,
                slots: Vec::new(),
                room: 64,
                in_flight: 0,
                draining: false,
            };
            let subject = self.broker.subjects.heartbeat(Role::Worker, &WORKER.parse().unwrap());
            let envelope = self.origin.envelope(CorrelationId::from_random(5), heartbeat);
            broker::tell(self.broker.bus.as_ref(), &subject, &envelope).await.unwrap();
            tokio::time::sleep(SECOND).await;
        }
    }

    async fn list(&self, incoming: &Incoming) {
        let asked = broker::read::<InventoryRequest>(incoming).unwrap();
        let live = {
            let mut world = self.world.borrow_mut();
            world.listings += 1;
            if !world.lists {
                return;
            }
            let items = world.vaults.get(&asked.body.vault.uri).into_iter().flat_map(BTreeMap::values).cloned();
            if asked.body.listing == Listing::Live { items.collect() } else { Vec::new() }
        };
        let page = InventoryPage { live, deleted: Vec::new(), next: None, read_at: self.origin.now() };
        let answer: InventoryAnswer = Ok(page);
        let envelope = self.origin.envelope(asked.correlation_id, answer);
        broker::answer(self.broker.bus.as_ref(), incoming, &envelope).await.unwrap();
    }

    async fn sync(&self, incoming: &Incoming) {
        let asked = broker::read::<SyncRecord>(incoming).unwrap();
        let is_full = self.world.borrow().is_full;
        let answer = if is_full { SyncAnswer::Busy } else { SyncAnswer::Accepted { room: 64 } };
        let answer = self.origin.envelope(asked.correlation_id, answer);
        broker::answer(self.broker.bus.as_ref(), incoming, &answer).await.unwrap();
        if is_full {
            return;
        }
        let sync = asked.body;
        let fate = {
            let mut world = self.world.borrow_mut();
            world.attempts.push((self.origin.now(), sync.clone()));
            world.fates.get(&sync.record.id.name).copied().unwrap_or(world.fate)
        };
        let own = UnresolvedAttempt {
            operation: self.origin.message_id(),
            worker: WORKER.parse().unwrap(),
            epoch: sync.epoch,
            started: self.origin.now(),
            source_version: None,
            source_updated: None,
            x5t: None,
            brings: None,
            deletes: sync.record.delete.is_some(),
        };
        let operation = own.operation;
        let intent = lifecycle::intent(sync.record.clone(), own, sync.record.run, sync.revision);
        let Some(sequence) = self.append(asked.correlation_id, intent.clone(), sync.expected).await else { return };
        let outcome = match fate {
            Fate::Hangs => return,
            Fate::Success if intent.delete.is_some() => {
                self.world.borrow_mut().forget(&sync.target.uri, &intent.id.key());
                lifecycle::deleted(intent, answered(OutcomeKind::Deleted), self.origin.now())
            }
            Fate::Success | Fate::Settles => {
                let baseline = self.write(&sync);
                let outcome = if fate == Fate::Success { OutcomeKind::Written } else { OutcomeKind::Settled };
                lifecycle::succeeded(intent, baseline, answered(outcome))
            }
            Fate::Fails(code, side) => {
                let failed = AttemptReport { failed: Some(side), ..report(OutcomeKind::Failed) };
                let failure = CallFailure { code, detail: Detail::new("told to"), retry_after_ms: None };
                let ended = Ended {
                    failure,
                    trace: Trace::None,
                    operation,
                    report: failed,
                    source_seen: sync.listed.as_ref().map(seen),
                    target_seen: None,
                };
                lifecycle::failed(intent, ended, self.origin.now(), self.origin.jitter())
            }
        };
        self.append(asked.correlation_id, outcome, sequence).await;
    }

    async fn append(&self, correlation: CorrelationId, record: Record, expected: Sequence) -> Option<Sequence> {
        let envelope = self.origin.envelope(correlation, record);
        self.broker.log().append_record(&envelope, expected).await.ok()
    }

    /// The target holds what the source lists.
    fn write(&self, sync: &SyncRecord) -> Baseline {
        let mut world = self.world.borrow_mut();
        let name = &sync.record.id.name;
        let source = world.vaults.get(&sync.source.uri).and_then(|items| items.get(name)).cloned();
        let source = source.expect("only what is at the source is attempted with success");
        let written = item(name.as_str(), self.origin.now());
        let target = seen(&written);
        world.vaults.entry(sync.target.uri.clone()).or_default().insert(name.clone(), written);
        Baseline {
            source: seen(&source),
            target: SideState { version: Some("t1".parse().unwrap()), ..target },
            read_at: self.origin.now().plus(SECOND * 5),
            synced_at: self.origin.now(),
            how: Arrival::Written,
            source_uri: sync.source.uri.clone(),
            target_uri: sync.target.uri.clone(),
            source_resource_id: None,
            target_resource_id: None,
            rotation: None,
        }
    }
}

impl World {
    fn forget(&mut self, uri: &str, key: &RecordKey) {
        if let Some(items) = self.vaults.get_mut(uri) {
            items.remove(&key.name);
        }
    }

    /// Names that the vault lists.
    pub(crate) fn names(&self, vault: &str) -> BTreeSet<String> {
        let uri = crate::fixtures::vault(vault).uri;
        self.vaults.get(&uri).into_iter().flat_map(BTreeMap::keys).map(ToString::to_string).collect()
    }
}

fn seen(item: &ItemMeta) -> SideState {
    SideState { version: None, updated: item.updated, attributes: item.attributes.clone(), x5t: item.x5t.clone() }
}

/// An attempt to which both vaults answered.
fn answered(outcome: OutcomeKind) -> AttemptReport {
    AttemptReport { answered: [Side::Source, Side::Target].into(), ..report(outcome) }
}
