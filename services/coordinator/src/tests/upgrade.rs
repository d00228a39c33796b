//! A fleet is never upgraded at once: workers of every older version are answered, by what they once said.
//!
//! A transcript holds, byte for byte, what a worker said; it is never edited. Only names with a `$` are filled in, which
//! stand for what the question decides.

use std::collections::BTreeMap;

use broker::{Append, Incoming, Outgoing};
use futures::StreamExt;
use proto_msgs::{
    CorrelationId, Encoding, Envelope, ErrorCode, Message, Sequence, Status,
    record::OutcomeKind,
    run::RunEnd,
    subject::{AnyWorker, Subjects},
    vault::Side,
    worker::{InventoryRequest, Listing, Role, SyncRecord},
};
use tokio::task::JoinSet;

use super::saved_pair;
use super::stage::{SECOND, Stage, WORKER};

const VERSION_1: &str = include_str!("transcripts/worker.v1.txt");

#[tokio::test(start_paused = true)]
async fn a_worker_of_version_1_is_understood_and_its_records_come_to_their_ends() {
    let stage = Stage::new();
    let worker = Old::new(VERSION_1, &stage);
    let story = async {
        let (config, _) = saved_pair(&stage).await;
        stage.until_runs_ended(&config, 1).await;
        let run = stage.runs(&config).await.remove(0);
        let ended = (&run.end, run.counts.planned, run.counts.by_status.get(&Status::Retrying));
        assert_eq!(ended, (&Some(RunEnd::CompletedWithFailures), 4, Some(&2)), "{run:?}");
        stage.until_status(&config, "b", Status::Active).await;
        stage.until_status(&config, "d", Status::Active).await;
        let expected = [
            ("a", Status::Active, None, OutcomeKind::Written, Some("2c3d")),
            ("b", Status::Active, None, OutcomeKind::Written, Some("3c3d")),
            ("c", Status::BlockedTargetConflict, Some(ErrorCode::TargetConflictActive), OutcomeKind::Blocked, None),
            ("d", Status::Active, None, OutcomeKind::Settled, Some("5c3d")),
        ];
        for (name, status, code, outcome, version) in expected {
            let record = stage.record(&config, name).await.unwrap().envelope.body;
            assert_eq!((record.status, record.code), (status, code), "{name}");
            assert_eq!(record.last_attempt.unwrap().outcome, outcome, "{name}");
            let written = record.baseline.and_then(|baseline| baseline.target.version);
            assert_eq!(written.as_ref().map(|version| version.as_str()), version, "{name}");
            assert_eq!((record.attempt, record.unresolved), (0, None), "{name}");
        }
    };
    let left = worker.left.clone();
    stage.beside_worker(stage.coordinator("coordinator-1", 2), worker.start(), story).await;
    assert!(left.borrow().is_empty(), "it was never asked for {:?}", left.borrow().keys());
}

/// What is not said yet, by what it answers.
type Left = std::rc::Rc<std::cell::RefCell<BTreeMap<String, Vec<&'static str>>>>;

/// A worker that says what is in a transcript, and nothing else.
#[derive(Clone)]
struct Old {
    left: Left,
    broker: broker::Broker,
}

impl Old {
    fn new(transcript: &'static str, stage: &Stage) -> Self {
        let mut left: BTreeMap<String, Vec<&'static str>> = BTreeMap::new();
        for line in transcript.lines().filter(|line| !line.starts_with('#')) {
            let (what, message) = line.split_at(line.find(" {").unwrap());
            left.entry(what.to_owned()).or_default().push(message.trim_start());
        }
        Self { left: Left::new(left.into()), broker: stage.others.clone() }
    }

    /// The next that it said about something.
    fn next(&self, what: &str) -> &'static str {
        let mut left = self.left.borrow_mut();
        let said = left.get_mut(what).unwrap_or_else(|| panic!("the worker never said more than that: {what}"));
        let next = said.remove(0);
        if said.is_empty() {
            left.remove(what);
        }
        next
    }

    async fn start(self) -> JoinSet<()> {
        let (bus, subjects) = (self.broker.bus.clone(), self.broker.subjects.clone());
        let group = subjects.any_worker_group();
        let mut listings = bus.subscribe(&subjects.any_worker(AnyWorker::Inventory), Some(&group)).await.unwrap();
        let mut syncs = bus.subscribe(&subjects.worker_sync(&WORKER.parse().unwrap()), None).await.unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn_local(self.clone().beat(self.next("beats")));
        let lists = self.clone();
        tasks.spawn_local(async move {
            while let Some(incoming) = listings.next().await {
                lists.list(&incoming).await;
            }
        });
        tasks.spawn_local(async move {
            while let Some(incoming) = syncs.next().await {
                self.sync(&incoming).await;
            }
        });
        tasks
    }

    async fn beat(self, said: &'static str) {
        let subject = self.broker.subjects.heartbeat(Role::Worker, &WORKER.parse().unwrap());
        for beat in 1_u64.. {
            let message = outgoing(said.replace("$beat", &beat.to_string()));
            self.broker.bus.publish(&subject, message).await.unwrap();
            tokio::time::sleep(SECOND).await;
        }
    }

    async fn list(&self, incoming: &Incoming) {
        let asked: Envelope<InventoryRequest> = broker::read(incoming).unwrap();
        let side = if asked.body.side == Side::Source { "source" } else { "target" };
        let listing = if asked.body.listing == Listing::Live { "live" } else { "deleted" };
        let said = self.next(&format!("lists {side} {listing}"));
        self.answer(incoming, filled(said, &asked, &[])).await;
    }

    async fn sync(&self, incoming: &Incoming) {
        let asked: Envelope<SyncRecord> = broker::read(incoming).unwrap();
        let (sync, name) = (&asked.body, asked.body.record.id.name.to_string());
        let answer = self.next(&format!("answers {name}"));
        self.answer(incoming, filled(answer, &asked, &[])).await;
        if !answer.contains("accepted") {
            return;
        }
        let run = sync.record.run.unwrap().to_string();
        let (epoch, revision) = (sync.epoch.0.to_string(), sync.revision.0.to_string());
        let known = [("$config", sync.record.id.config.to_string()), ("$run", run), ("$epoch", epoch)];
        let known = [known.as_slice(), &[("$revision", revision)]].concat();
        let mut newest = sync.expected;
        loop {
            let said = filled(self.next(&format!("appends {name}")), &asked, &known);
            let is_over = !said.contains(r#""status":"syncing""#);
            newest = self.append(sync, asked.correlation_id, said, newest).await;
            if is_over {
                return;
            }
        }
    }

    async fn append(&self, sync: &SyncRecord, correlation: CorrelationId, said: String, at: Sequence) -> Sequence {
        let subjects = Subjects::default();
        let append = Append {
            stream: subjects.record_stream_of(&sync.record.id.config),
            subject: subjects.record(&sync.record.id),
            payload: said.into(),
            encoding: Encoding::Json,
            correlation,
            expected: Some(at),
            expected_end: None,
            ttl: None,
            rollup: false,
        };
        self.broker.streams.append(append).await.unwrap()
    }

    async fn answer(&self, to: &Incoming, said: String) {
        self.broker.bus.respond(to, outgoing(said)).await.unwrap();
    }
}

fn outgoing(said: String) -> Outgoing {
    Outgoing { payload: said.into(), encoding: Encoding::Json, correlation: None }
}

fn filled<T: Message>(said: &str, asked: &Envelope<T>, known: &[(&str, String)]) -> String {
    let mut said = said.replace("$correlation", &asked.correlation_id.to_string());
    for (name, value) in known {
        said = said.replace(name, value);
    }
    said
}
