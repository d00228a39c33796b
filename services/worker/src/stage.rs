//! What the tests of attempts and of the whole worker play on: two vaults, a log, one record, and whoever else has a
//! hand in them.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use broker::{
    Broker, Entry,
    memory::{Crossing, Fate as Weather, MemoryClient, MemoryServer, What},
};
use domain::{leave, lifecycle};
use proto_msgs::{
    Config, CorrelationId, DriftPolicy, Envelope, Epoch, ItemName, ItemType, Record, RecordId, Revision, Sequence,
    Status, VersionId,
    config::DeleteTrigger,
    hash,
    record::{Leave, LeaveKind},
    subject::Subjects,
    vault::{Attributes, ItemMeta, Side},
    worker::{Listing, SlotLease, SyncRecord},
};
use runtime::{Origin, SeededEntropy, TokioClock};
use vault::{
    Operation, Vaults,
    memory::{End, Fate, Format, MemoryAzure, MemoryCall, NewCertificate, Owner},
};

use crate::{
    RecordError, WorkerParts, attempt,
    fences::Fences,
    fixtures::{at, config, control},
};

/// What becomes of the workers' calls, until it is said otherwise.
type Fates = Arc<dyn Fn(&MemoryCall) -> Fate + Send + Sync>;

const CORRELATION: u128 = 77;
const WORKER: &str = "worker-1";

pub(crate) struct Stage {
    pub azure: MemoryAzure,
    /// The worker's connection.
    pub line: MemoryClient,
    pub fences: Arc<Fences>,
    pub parts: WorkerParts,
    /// Everybody else's.
    pub others: Broker,
    config: Config,
    revision: Revision,
    epoch: Epoch,
    record: RecordId,
    server: MemoryServer,
    fates: Arc<Mutex<Fates>>,
}

impl Stage {
    /// A record that waits for its first attempt. Needs a runtime whose clock is paused.
    pub(crate) async fn new(kind: ItemType) -> Self {
        let clock = Arc::new(TokioClock::new(at(0)));
        let servers_clock = clock.clone();
        let azure = MemoryAzure::new(Arc::new(move || runtime::Clock::now(&*servers_clock)), 42);
        let config = config();
        [&config.source, &config.target].into_iter().for_each(|vault| azure.add_vault(vault.clone()));
        let server = MemoryServer::new(Subjects::default(), at(0));
        let (line, others) = (server.client(WORKER), server.client("others").broker());
        let origin = Origin::new(clock, Arc::new(SeededEntropy::new(7)), WORKER.parse().expect("a valid name"));
        let fates: Arc<Mutex<Fates>> = Arc::new(Mutex::new(Arc::new(|_| Fate::FINE)));
        let asked = fates.clone();
        let seen = azure.with_fates(move |call| {
            let fates = asked.lock().expect("nothing panics under the lock").clone();
            fates(call)
        });
        let parts = WorkerParts { broker: line.broker(), vaults: Arc::new(seen), origin, metrics: Arc::default() };
        let record = RecordId { config: config.id, kind, name: name() };
        let fences = Arc::<Fences>::default();
        let (revision, epoch) = (Revision(0), Epoch(0));
        let mut stage = Self { azure, line, fences, parts, others, config, revision, epoch, record, server, fates };
        stage.revision = stage.edit(|_| {}).await;
        stage.epoch = stage.take_slot().await;
        stage.fences.read_all(stage.fences.missed(), &[], None);
        stage.beat();
        stage.append(Record::new(stage.record.clone(), Status::Pending, None)).await;
        stage
    }

    /// The parts of a second worker on the same log and vaults.
    pub(crate) fn another_worker(&self) -> WorkerParts {
        let (clock, entropy) = (self.parts.origin.clock(), Arc::new(SeededEntropy::new(8)));
        WorkerParts {
            broker: self.server.client("worker-2").broker(),
            origin: Origin::new(clock, entropy, "worker-2".parse().expect("a valid name")),
            ..self.parts.clone()
        }
    }

    pub(crate) fn kind(&self) -> ItemType {
        self.record.kind
    }

    pub(crate) fn source(&self) -> Owner {
        self.azure.owner(&self.config.source.name)
    }

    pub(crate) fn target(&self) -> Owner {
        self.azure.owner(&self.config.target.name)
    }

    /// Somebody saves the config; the worker hears nothing of it.
    pub(crate) async fn edit(&self, change: impl FnOnce(&mut Config)) -> Revision {
        let mut config = self.config.clone();
        change(&mut config);
        self.others.configs().put(&self.envelope(config), self.revision).await.expect("nobody else writes")
    }

    /// Somebody stops everything; the worker hears nothing of it, unless it follows the feed.
    pub(crate) async fn stop_all(&self) {
        self.others
            .configs()
            .put_control(&self.envelope(control(true)), Revision(0))
            .await
            .expect("nobody else writes");
    }

    /// The config's drift policy from now on; the worker hears of it with its commands.
    pub(crate) fn set_policy(&mut self, policy: DriftPolicy) {
        self.config.spec.behaviour.drift_policy = policy;
    }

    /// The config overwrites what is not Keyferry's from now on; likewise.
    pub(crate) fn overwrite(&mut self) {
        self.config.spec.behaviour.overwrite_on_conflict = true;
    }

    /// An item that can be replicated, or another version of it.
    pub(crate) fn make(&self, owner: &Owner) -> VersionId {
        let made = self.parts.origin.now();
        let certificate = NewCertificate {
            format: Format::Pkcs12,
            exportable: true,
            key_type: "RSA".to_owned(),
            not_before: at(-1_000),
            not_after: at(1_000_000),
            attributes: on(),
        };
        let made = match self.record.kind {
            ItemType::Secrets => owner.set_secret(&name(), &format!("made at {made}"), on()),
            ItemType::Certificates => owner.issue(&name(), &certificate),
            ItemType::Keys => owner.make_key(&name(), "RSA", on()),
        };
        made.expect("nothing is in the way of it")
    }

    /// The coordinator decides that the target item is to be deleted.
    pub(crate) async fn delete_is_due(&self, seen: DeleteTrigger) {
        let record = self.head().await.envelope.body;
        self.append(lifecycle::delete_due(record, seen, None, self.revision)).await;
    }

    /// Somebody gives leave for what the record shows.
    pub(crate) async fn give(&self, kind: LeaveKind) {
        let Entry { envelope, sequence, .. } = self.head().await;
        let target_version = envelope.body.target_seen.as_ref().and_then(|seen| seen.version.clone());
        let (actor, at) = ("ann".to_owned(), self.parts.origin.now());
        leave::check(&envelope.body, sequence, kind, sequence, target_version.as_ref()).expect("it may be given");
        let leave = Leave { actor, at, sequence, target_version, kind };
        self.append(leave::given(envelope.body, leave, self.revision)).await;
    }

    /// Somebody takes the target's slot over.
    pub(crate) async fn take_slot(&self) -> Epoch {
        let slot = hash::slot(&self.config.target.uri);
        let expected = self.others.leases().head(slot).await.expect("leases are readable").sequence;
        let lease = SlotLease { slot, owner: "coordinator-1".parse().expect("a valid name"), epoch: None, renewals: 0 };
        self.others.leases().take(&self.envelope(lease), expected).await.expect("nobody else takes it")
    }

    /// The worker's heartbeat goes out and comes back.
    pub(crate) fn beat(&self) {
        self.fences.pulse.sent(1, self.parts.origin.boot());
        self.fences.pulse.heard(1);
    }

    /// Lets time go by; NATS is heard in the end, and the owner has kept its slot.
    pub(crate) async fn pass(&self, seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
        let slot = hash::slot(&self.config.target.uri);
        let expected = self.others.leases().head(slot).await.expect("leases are readable").sequence;
        let owner = "coordinator-1".parse().expect("a valid name");
        let lease = SlotLease { slot, owner, epoch: Some(self.epoch), renewals: 1 };
        self.others.leases().renew(&self.envelope(lease), expected).await.expect("nobody else takes it");
        self.beat();
    }

    pub(crate) async fn head(&self) -> Entry<Record> {
        self.others.log().record(&self.record).await.expect("the log is readable").expect("it was appended")
    }

    /// Somebody else appends the record's next state.
    pub(crate) async fn append(&self, record: Record) -> Sequence {
        let expected = self
            .others
            .log()
            .record(&self.record)
            .await
            .expect("the log is readable")
            .map_or(Sequence(0), |head| head.sequence);
        self.others.log().append_record(&self.envelope(record), expected).await.expect("nobody else writes")
    }

    /// What a coordinator sends that has just listed the source.
    pub(crate) async fn command(&self) -> SyncRecord {
        let (listed, listed_at) = self.listed().await.unzip();
        SyncRecord { listed, listed_at, ..self.retry().await }
    }

    /// What a coordinator sends that has listed nothing.
    pub(crate) async fn retry(&self) -> SyncRecord {
        let Entry { envelope, sequence, .. } = self.head().await;
        SyncRecord {
            expected: sequence,
            epoch: self.epoch,
            revision: self.revision,
            outcome_unknown: envelope.body.unresolved.is_some(),
            thorough: envelope.body.thorough,
            source: self.config.source.clone(),
            target: self.config.target.clone(),
            behaviour: self.config.spec.behaviour.clone(),
            listed: None,
            listed_at: None,
            record: envelope.body,
        }
    }

    pub(crate) async fn run(&self, command: SyncRecord) -> Result<(), RecordError> {
        attempt::run(&self.parts, &self.fences, command, CorrelationId::from_random(CORRELATION)).await
    }

    /// One attempt of a coordinator that has just listed the source, to its end in the log.
    pub(crate) async fn sync(&self) -> Record {
        let command = self.command().await;
        self.run(command).await.expect("its outcome is in the log");
        self.head().await.envelope.body
    }

    /// The same, reading both ends, as where the listings show drift.
    pub(crate) async fn sync_thoroughly(&self) -> Record {
        self.pass(60).await;
        let command = self.command().await;
        self.run(SyncRecord { thorough: true, ..command }).await.expect("its outcome is in the log");
        self.head().await.envelope.body
    }

    /// The same, later: after a failure or in the next cycle.
    pub(crate) async fn sync_later(&self) -> Record {
        self.pass(60).await;
        self.sync().await
    }

    /// The calls of a kind end like that.
    pub(crate) fn fail(&self, operation: Operation, end: End) {
        self.fate(operation, move || Fate::ends(end));
    }

    /// What becomes of the calls of a kind, and what happens before.
    pub(crate) fn fate(&self, operation: Operation, fate: impl Fn() -> Fate + Send + Sync + 'static) {
        let of_its_kind = move |call: &MemoryCall| if call.operation == operation { fate() } else { Fate::FINE };
        *self.fates.lock().expect("nothing panics under the lock") = Arc::new(of_its_kind);
    }

    pub(crate) fn mend(&self) {
        *self.fates.lock().expect("nothing panics under the lock") = Arc::new(|_| Fate::FINE);
    }

    /// The source's item as it is listed now.
    pub(crate) async fn listed(&self) -> Option<(ItemMeta, proto_msgs::Timestamp)> {
        let vault = self.azure.open(Side::Source, &self.config.source).await.expect("the vault is there");
        let page = vault
            .list(self.record.kind, Listing::Live, None, CorrelationId::from_random(1))
            .await
            .expect("it can be listed");
        page.live.into_iter().find(|item| item.name == self.record.name).map(|item| (item, page.read_at))
    }

    /// The worker cannot read the config from the log.
    pub(crate) fn config_is_unreadable(&self) {
        let subject = self.others.subjects.config(&self.config.id);
        self.weather(Weather::Lost, move |crossing| crossing.what == What::Read && crossing.subject == subject);
    }

    /// What the worker appends takes that long to arrive.
    pub(crate) fn appends_arrive_late(&self, by: Duration) {
        self.weather(Weather::Late(by), |crossing| crossing.what == What::Append);
    }

    /// The worker is connected, and hears nothing any more.
    pub(crate) fn deafen(&self) {
        self.weather(Weather::Lost, |crossing| crossing.what == What::Delivery);
    }

    /// What becomes of some of the worker's messages.
    fn weather(&self, fate: Weather, concerns: impl Fn(&Crossing<'_>) -> bool + Send + 'static) {
        self.server.set_weather(
            move |crossing| {
                if crossing.client == WORKER && concerns(crossing) { fate } else { Weather::Fine }
            },
        );
    }

    fn envelope<T: proto_msgs::Message>(&self, body: T) -> Envelope<T> {
        self.parts.origin.envelope(CorrelationId::from_random(CORRELATION), body)
    }
}

pub(crate) fn name() -> ItemName {
    "item".parse().expect("a valid name")
}

pub(crate) fn on() -> Attributes {
    Attributes::plain()
}

pub(crate) fn off() -> Attributes {
    Attributes { enabled: false, ..on() }
}

pub(crate) fn tagged(tag: &str) -> Attributes {
    Attributes { tags: [(tag.to_owned(), "1".to_owned())].into(), ..on() }
}
