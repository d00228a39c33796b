//! Claims of the typed layer: the log, configs, leases and tokens.

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use proto_msgs::{
    Behaviour, Config, ConfigSpec, CorrelationId, Encoding, Envelope, Epoch, ItemType, Message, MessageId, Record,
    Revision, Rule, Run, RunId, Sequence, Slot, Status, Timestamp, VaultRef,
    api::{ApiRole, ApiToken, NameReservation},
    config::{Change, Control, DiscoveredVault, TargetType},
    run::{Phase, RunCounts, RunEnd, Trigger},
    vault::VaultIdentity,
    worker::SlotLease,
};

use super::{Host, append, config_id, record_id, soon, stored, to_run, until};
use crate::{
    Broker, Entry,
    error::LogError,
    journal::LiveEntry,
    log::{EventCursor, LogEvent},
};

/// Most states a history shows.
const HISTORY_MAX: u32 = 200;

fn envelope<T: Message>(bits: u128, body: T) -> Envelope<T> {
    Envelope::new(MessageId::from_random(bits), CorrelationId::from_random(9), Timestamp::default(), body)
}

/// Run `bits` of a config, just started.
pub(super) fn run(config: u128, bits: u128) -> Envelope<Run> {
    let body = Run {
        id: RunId::from_random(bits),
        config: config_id(config),
        revision: Revision(1),
        trigger: Trigger::Manual,
        correlation_id: CorrelationId::from_random(9),
        asked_by: BTreeSet::new(),
        coordinator: "coordinator-1".parse().expect("a valid name"),
        epoch: Epoch(1),
        started: Timestamp::default(),
        phase: Phase::Listing,
        ended: None,
        end: None,
        counts: RunCounts::default(),
        failures: Vec::new(),
        resumed: 0,
        next: None,
        follow_up: 0,
    };
    envelope(bits, body)
}

fn ended(config: u128, bits: u128) -> Envelope<Run> {
    let run = run(config, bits);
    envelope(bits + 1_000, Run { end: Some(RunEnd::Completed), phase: Phase::Ended, ..run.body })
}

/// State `attempt` of secret `a`.
fn record(config: u128, attempt: u32) -> Envelope<Record> {
    let record = Record::new(record_id(config, "a"), Status::Pending, None);
    envelope(u128::from(attempt) + 1, Record { attempt, ..record })
}

fn change(action: &str) -> Change {
    Change {
        actor: "test".to_owned(),
        action: action.to_owned(),
        reason: None,
        correlation_id: CorrelationId::from_random(9),
        at: Timestamp::default(),
    }
}

fn config(bits: u128) -> Envelope<Config> {
    let discovered = |vault: &str| VaultRef::Discovered(DiscoveredVault { vault: vault.to_owned() });
    let vault = |name: &str| VaultIdentity {
        name: name.to_owned(),
        uri: format!("https://{name}.vault.azure.net"),
        resource_id: None,
        subscription: None,
        region: None,
        geography: None,
        tenant: "5f0c1d4e-0000-4000-8000-000000000001".to_owned(),
        verified: true,
    };
    let spec = ConfigSpec {
        name: "prod-eu to prod-ne".to_owned(),
        target_type: TargetType::AzureKeyVault,
        source: discovered("prod-eu-kv"),
        target: discovered("prod-ne-kv"),
        item_types: [ItemType::Secrets].into(),
        rule: Rule::All {},
        exclude: Vec::new(),
        behaviour: Behaviour::default(),
        paused: false,
    };
    let change = change("create");
    let (source, target) = (vault("prod-eu-kv"), vault("prod-ne-kv"));
    let created = Timestamp::default();
    envelope(bits, Config { id: config_id(bits), spec, source, target, created, deleted: false, change })
}

pub async fn a_slot_has_one_owner_and_is_free_again_when_given_back(host: &dyn Host) {
    let leases = host.client().await.leases();
    let lease = |owner: &str| SlotLease {
        slot: Slot(3),
        owner: owner.parse().expect("a valid name"),
        epoch: None,
        renewals: 0,
    };
    let epoch = leases.take(&envelope(1, lease("coordinator-a")), Sequence(0)).await.expect("the slot is free");
    let refused = leases.take(&envelope(2, lease("coordinator-b")), Sequence(0)).await;
    assert!(matches!(refused, Err(LogError::Conflict)), "{refused:?}");
    let renewal = envelope(3, lease("coordinator-a"));
    let sequence = leases.renew(&renewal, Sequence(epoch.0)).await.expect("the owner may renew");
    let all = leases.all().await.expect("the leases are readable");
    assert_eq!(all.into_iter().map(|entry| entry.envelope).collect::<Vec<_>>(), [renewal]);
    leases.release(Slot(3), CorrelationId::from_random(9), sequence).await.expect("the owner may release");
    let head = leases.head(Slot(3)).await.expect("the lease is readable");
    assert!(head.lease.is_none() && head.sequence > sequence, "{head:?}");
    assert_eq!(leases.all().await.expect("the leases are readable"), []);
    let refused = leases.renew(&envelope(4, lease("coordinator-a")), sequence).await;
    assert!(matches!(refused, Err(LogError::Conflict)), "{refused:?}");
    let later = leases.take(&envelope(5, lease("coordinator-b")), head.sequence).await.expect("the slot is free");
    assert!(later > epoch, "epochs grow");
}

pub async fn a_name_belongs_to_one_config(host: &dyn Host) {
    let configs = host.client().await.configs();
    let mine = |bits, id| envelope(bits, NameReservation { config: config_id(id) });
    let name = "prod-eu to prod-ne";
    configs.reserve_name(name, &mine(1, 1)).await.expect("the name is free");
    configs.reserve_name(name, &mine(2, 1)).await.expect("the name is its own");
    let refused = configs.reserve_name(name, &mine(3, 2)).await;
    assert!(matches!(refused, Err(LogError::Conflict)), "{refused:?}");
    configs.release_name(name, &mine(4, 2)).await.expect("it was never its own");
    let refused = configs.reserve_name(name, &mine(5, 2)).await;
    assert!(matches!(refused, Err(LogError::Conflict)), "another's release does not count: {refused:?}");
    configs.release_name(name, &mine(6, 1)).await.expect("the holder may release");
    configs.reserve_name(name, &mine(7, 2)).await.expect("the name is free again");
    // Whoever reserved it never came.
    let later = Timestamp::from_unix_seconds(32_500_000_000);
    configs.reserve_name(name, &Envelope { time: later, ..mine(8, 3) }).await.expect("the reservation has lapsed");
}

pub async fn a_name_that_its_config_gave_up_lapses(host: &dyn Host) {
    let configs = host.client().await.configs();
    let bearer = config(1);
    let name = bearer.body.spec.name.clone();
    let by = |bits, id, time| Envelope { time, ..envelope(bits, NameReservation { config: config_id(id) }) };
    let (now, later) = (Timestamp::default(), Timestamp::from_unix_seconds(32_500_000_000));
    configs.reserve_name(&name, &by(1, 1, now)).await.expect("the name is free");
    let revision = configs.put(&bearer, Revision(0)).await.expect("it is new");
    let refused = configs.reserve_name(&name, &by(2, 2, later)).await;
    assert!(matches!(refused, Err(LogError::Conflict)), "its config bears it: {refused:?}");
    let mut renamed = Envelope { id: MessageId::from_random(3), ..bearer };
    renamed.body.spec.name = "other".to_owned();
    configs.put(&renamed, revision).await.expect("the revision is right");
    let refused = configs.reserve_name(&name, &by(4, 2, now)).await;
    assert!(matches!(refused, Err(LogError::Conflict)), "it may be about to come back: {refused:?}");
    configs.reserve_name(&name, &by(5, 2, later)).await.expect("nobody bears it");
}

pub async fn a_token_is_found_until_it_is_revoked(host: &dyn Host) {
    let tokens = host.client().await.tokens();
    let token = |name: &str, sha256: &str| ApiToken {
        name: name.to_owned(),
        role: ApiRole::Admin,
        sha256: sha256.to_owned(),
        created: Timestamp::default(),
    };
    for (bits, token) in [(1, token("a", "01")), (2, token("a", "02")), (3, token("b", "03"))] {
        tokens.put(&envelope(bits, token)).await.expect("the token is new");
    }
    assert_eq!(tokens.find("02").await.expect("tokens are readable"), Some(token("a", "02")));
    tokens.revoke_named("a", CorrelationId::from_random(9)).await.expect("tokens can be revoked");
    for (sha256, expected) in [("01", None), ("02", None), ("03", Some(token("b", "03"))), ("04", None)] {
        assert_eq!(tokens.find(sha256).await.expect("tokens are readable"), expected, "{sha256}");
    }
}

pub async fn a_forgotten_config_is_gone(host: &dyn Host) {
    let configs = host.client().await.configs();
    let first = configs.put(&config(1), Revision(0)).await.expect("it is new");
    configs.put(&config(2), Revision(0)).await.expect("it is new");
    let stale = configs.put(&Envelope { id: MessageId::from_random(3), ..config(1) }, Revision(0)).await;
    assert!(matches!(stale, Err(LogError::Conflict)), "{stale:?}");
    let edited = Envelope { id: MessageId::from_random(4), ..config(1) };
    let second = configs.put(&edited, first).await.expect("the revision is right");
    let found = configs.get(&config_id(1)).await.expect("it is readable").expect("it is there");
    assert_eq!((found.envelope, Revision(found.sequence.0)), (edited, second));
    let stale = configs.forget(&config(1), first).await;
    assert!(matches!(stale, Err(LogError::Conflict)), "{stale:?}");
    configs.forget(&config(1), second).await.expect("the revision is right");
    assert_eq!(configs.get(&config_id(1)).await.expect("it is readable"), None);
    let left = configs.list().await.expect("they are readable");
    assert_eq!(left.into_iter().map(|entry| entry.envelope).collect::<Vec<_>>(), [config(2)]);
}

pub async fn of_configs_that_are_saved_at_one_moment_the_later_is_told_so(host: &dyn Host) {
    let (one, other) = (host.client().await.configs(), host.client().await.configs());
    let ((none, end), (_, same)) = (one.survey().await.expect("readable"), other.survey().await.expect("readable"));
    assert_eq!((none, end), (Vec::new(), same));
    let first = one.put_at(&config(1), Revision(0), end).await.expect("it is new").expect("nothing came between");
    assert_eq!(other.put_at(&config(2), Revision(0), end).await.expect("it is new"), None);
    let (all, end) = other.survey().await.expect("readable");
    assert_eq!(all.into_iter().map(|entry| entry.envelope).collect::<Vec<_>>(), [config(1)]);
    other.put_at(&config(2), Revision(0), end).await.expect("it is new").expect("nothing came between");
    one.forget(&config(1), first).await.expect("the revision is right");
    let (all, end) = one.survey().await.expect("readable");
    assert_eq!(all.into_iter().map(|entry| entry.envelope).collect::<Vec<_>>(), [config(2)]);
    let stale = one.put_at(&Envelope { id: MessageId::from_random(3), ..config(2) }, Revision(0), end).await;
    assert!(matches!(stale, Err(LogError::Conflict)), "it is there: {stale:?}");
}

/// The next message a follower hears, gaps left out.
async fn heard_entry<T>(live: &mut BoxStream<'static, LiveEntry<T>>) -> Envelope<T> {
    loop {
        if let LiveEntry::Entry(entry) = soon("something to be heard", live.next()).await.expect("a feed does not end")
        {
            return entry.envelope;
        }
    }
}

pub async fn the_emergency_stop_is_one_for_all_and_is_heard(host: &dyn Host) {
    let broker = host.client().await;
    let configs = broker.configs();
    let control = |bits, stopped, action| envelope(bits, Control { stopped, change: change(action) });
    assert_eq!(configs.control().await.expect("it is readable"), None);
    let mut heard = configs.follow_control().await.expect("it can be followed");
    let mut declared = configs.follow().await.expect("they can be followed");
    let stop = control(1, true, "stop_all");
    let first = configs.put_control(&stop, Revision(0)).await.expect("nothing was ever stopped");
    let stale = configs.put_control(&control(2, true, "stop_all"), Revision(0)).await;
    assert!(matches!(stale, Err(LogError::Conflict)), "{stale:?}");
    let found = configs.control().await.expect("it is readable").expect("it is there");
    assert_eq!((&found.envelope, Revision(found.sequence.0)), (&stop, first));
    let resume = control(3, false, "resume_all");
    configs.put_control(&resume, first).await.expect("the revision is right");
    for expected in [stop, resume] {
        assert_eq!(heard_entry(&mut heard).await, expected);
    }
    // It is no config, neither in the list nor in their feed.
    assert_eq!(configs.list().await.expect("they are readable"), []);
    configs.put(&config(1), Revision(0)).await.expect("it is new");
    assert_eq!(heard_entry(&mut declared).await, config(1));
}

/// As a person sends it from a shell, with a `Content-Type`.
pub async fn json_is_read_as_json(host: &dyn Host) {
    let broker = host.client().await;
    let run = run(1, 1);
    let json = run.encode(Encoding::Json).expect("a run can be written");
    let json = String::from_utf8(json).expect("JSON is text");
    let sequence = stored(&broker, to_run(&broker, 1, &json, Sequence(0))).await;
    let read = broker.log().run(&config_id(1)).await.expect("it is readable").expect("it is there");
    assert_eq!((read.envelope, read.sequence), (run, sequence));
}

pub async fn what_cannot_be_read_is_an_error_that_names_its_subject(host: &dyn Host) {
    let broker = host.client().await;
    let wrong = to_run(&broker, 1, "{}", Sequence(0));
    stored(&broker, wrong.clone()).await;
    let outcome = broker.log().run(&config_id(1)).await;
    assert!(matches!(&outcome, Err(LogError::Corrupt { subject, .. }) if *subject == wrong.subject), "{outcome:?}");
    let outcome = broker.log().runs(&config_id(1)).await;
    assert!(matches!(&outcome, Err(LogError::Corrupt { subject, .. }) if *subject == wrong.subject), "{outcome:?}");
}

pub async fn the_start_of_a_run_is_its_lock(host: &dyn Host) {
    let log = host.client().await.log();
    let first = log.append_run(&run(1, 1), Sequence(0)).await.expect("nobody runs");
    let second = log.append_run(&run(1, 2), Sequence(0)).await;
    assert!(matches!(second, Err(LogError::Conflict)), "somebody runs: {second:?}");
    let end = log.append_run(&ended(1, 1), first).await.expect("its owner ends it");
    log.append_run(&run(1, 2), end).await.expect("nobody runs any more");
    let runs = log.runs(&config_id(1)).await.expect("they are readable");
    let bodies: Vec<_> = runs.into_iter().map(|entry| entry.envelope.body).collect();
    assert_eq!(bodies, [run(1, 2).body, ended(1, 1).body], "the newest state of each, the newest first");
}

async fn attempts(broker: &Broker, config: u128) -> Vec<u32> {
    let history = broker.log().record_history(&record_id(config, "a")).await.expect("the history is readable");
    history.iter().map(|entry| entry.envelope.body.attempt).collect()
}

/// Appends states 0 to `count`, never faster than they are sourced: what the record's limit drops before is missing.
async fn record_states(broker: &Broker, config: u128, count: u32) -> Sequence {
    let (log, mut sequence) = (broker.log(), Sequence(0));
    for attempt in 0..count {
        sequence = log.append_record(&record(config, attempt), sequence).await.expect("the append holds");
        if attempt % 3 == 2 {
            until("the state to be sourced", || async {
                attempts(broker, config).await.ends_with(&[attempt]).then_some(())
            })
            .await;
        }
    }
    sequence
}

pub async fn a_history_is_whole_and_ends_with_the_newest(host: &dyn Host) {
    let broker = host.client().await;
    let count = HISTORY_MAX + 7;
    record_states(&broker, 1, count).await;
    let newest: Vec<_> = (count - HISTORY_MAX..count).collect();
    until("the newest state to be sourced", || async { (attempts(&broker, 1).await == newest).then_some(()) }).await;
}

pub async fn a_removed_record_keeps_its_history(host: &dyn Host) {
    let broker = host.client().await;
    let log = broker.log();
    let last = record_states(&broker, 1, 3).await;
    let mut removed = record(1, 3);
    removed.body.removed = true;
    let sequence = log.remove_record(&removed, last).await.expect("the append holds");
    let all: Vec<_> = log.records(&config_id(1)).await.expect("they are readable").try_collect().await.expect("whole");
    let states: Vec<_> = all.into_iter().map(|entry: Entry<Record>| (entry.envelope, entry.sequence)).collect();
    assert_eq!(states, [(removed, sequence)]);
    until("the removal to be sourced", || async { (attempts(&broker, 1).await == [0, 1, 2, 3]).then_some(()) }).await;
}

pub async fn events_go_on_from_their_cursor(host: &dyn Host) {
    let broker = host.client().await;
    let log = broker.log();
    let first = log.append_record(&record(1, 0), Sequence(0)).await.expect("the append holds");
    let started = log.append_run(&run(1, 1), Sequence(0)).await.expect("nobody runs");
    // Not ours, and in the same streams.
    stored(&broker, to_run(&broker, 2, "{}", Sequence(0))).await;
    let stream = broker.subjects.record_stream_of(&config_id(1));
    let id = record_id(1, "a");
    let unread =
        append(stream, broker.subjects.record(&id).replace(&id.config.to_string(), "other"), "{}", Sequence(0));
    stored(&broker, unread).await;
    let cursor = EventCursor { records: first, runs: started };
    let second = log.append_record(&record(1, 1), first).await.expect("the append holds");
    let mut events = log.events(&config_id(1), cursor).await.expect("the feed begins");
    let end = log.append_run(&ended(1, 1), started).await.expect("its owner ends it");
    let (mut records, mut runs) = (Vec::new(), Vec::new());
    while records.is_empty() || runs.is_empty() {
        match soon("the next event", events.try_next()).await.expect("the feed goes on").expect("it does not end") {
            LogEvent::Record(entry) => records.push((entry.sequence, entry.envelope)),
            LogEvent::Run(entry) => runs.push((entry.sequence, entry.envelope)),
        }
    }
    assert_eq!((records, runs), (vec![(second, record(1, 1))], vec![(end, ended(1, 1))]));
}
