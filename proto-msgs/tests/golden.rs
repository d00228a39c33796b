//! Bytes we promise to read for ever.
//!
//! For each message and version there is one file per encoding in `golden/`. Every one of them must decode to the value
//! it was written from; and what is written today must be the newest of them, byte for byte, so that a change of format
//! cannot happen by accident. With `KEYFERRY_WRITE_GOLDEN=1` a file that is missing is written; one that exists never is.

#![expect(clippy::unwrap_used, reason = "everything here runs in a test, helpers too")]

mod samples;

use std::{collections::BTreeSet, fmt::Debug, fs, path::PathBuf};

use proto_msgs::{
    Config, ConfigSpec, Encoding, Envelope, Epoch, Message, MessageId, Record, Revision, RunId, SetHash, Status,
    api::{CommandReply, ConfigCommand, ConfigQuery, ConfigReply, NameReservation, PassedOver},
    config::Control,
    record::AttemptReport,
    run::{NextRun, Run, Trigger},
    vault::Side,
    worker::{InventoryAnswer, ResolveAnswer, ResolveFailure, ResolveVault, SlotLease, SyncAnswer, SyncRecord},
};

use samples::*;

#[test]
fn every_message_reads_its_golden_bytes_and_writes_the_newest() {
    let mut checked = Checked(BTreeSet::new());
    checked.message("record", record());
    checked.message("record_key", key_record());
    checked.message("record_minimal", Record::new(record_id(), Status::Pending, None));
    checked.message("record_doubted", doubted());
    checked.message("run", run());
    checked.message("run_with_next", Run { next: Some(next_run()), failures: vec![broken_off()], ..run() });
    checked.message("record_seen", seen());
    checked.message("record_deleting", deleting());
    checked.message("record_bringing", bringing());
    let failed = AttemptReport { failed: Some(Side::Target), ..report() };
    checked.message("record_failed_side", Record { last_attempt: Some(failed.clone()), ..record() });
    let answered = AttemptReport { answered: [Side::Source].into(), ..failed };
    checked.message("record_answered_side", Record { last_attempt: Some(answered), ..record() });
    checked.message("run_follow_up", Run { trigger: Trigger::FollowUp, follow_up: 2, ..run() });
    let asked_by = BTreeSet::from(["token:admin".to_owned()]);
    let next = NextRun { asked_by: asked_by.clone(), ..next_run() };
    checked.message("run_asked_for", Run { asked_by, next: Some(next), ..run() });
    checked.message("config", config());
    let paused = ConfigSpec { paused: true, ..config().spec };
    checked.message("config_paused", Config { spec: paused, ..config() });
    checked.message("control", Control { stopped: true, change: config().change });
    checked.message("sync_record", sync_record());
    checked.message("sync_record_listed", SyncRecord { listed_at: Some(at(9)), ..sync_record() });
    checked.message("sync_answer", SyncAnswer::Stale { epoch: Epoch(7), revision: Revision(3) });
    checked.message("inventory_request", inventory_request());
    checked.message::<InventoryAnswer>("inventory_answer", Ok(inventory_page()));
    checked.message::<InventoryAnswer>("inventory_answer_failed", Err(failure()));
    checked.message("resolve_vault", ResolveVault { side: Side::Source, reference: discovered("prod-eu-kv") });
    checked.message::<ResolveAnswer>("resolve_answer", Ok(vault("prod-eu-kv")));
    checked.message::<ResolveAnswer>("resolve_answer_failed", Err(ResolveFailure::Call { failure: failure() }));
    checked.message("heartbeat", heartbeat());
    checked.message("slot_lease", lease());
    checked.message("slot_lease_renewed", SlotLease { renewals: 3, ..lease() });
    questions_and_commands(&mut checked);
    checked.message("api_token", api_token());
    checked.message("name_reservation", NameReservation { config: config_id() });
    checked.no_file_is_left_over();
}

fn questions_and_commands(checked: &mut Checked) {
    checked.message("config_query", config_query());
    checked.message("config_reply", config_reply());
    checked
        .message("config_command", ConfigCommand::SyncRecord { actor: "token:admin".into(), key: record_id().key() });
    checked.message(
        "command_reply",
        CommandReply::Accepted { run: Some(RunId::from_random(4)), correlation_id: correlation() },
    );
    checked.message("config_query_plan", ConfigQuery::Plan { after: Some(record_id().key()), limit: 100 });
    checked.message("config_reply_hash", records_with_hash());
    checked.message("config_reply_plan", ConfigReply::Plan { plan: Box::new(plan_view()) });
    let (actor, key) = ("token:admin".to_owned(), record_id().key());
    checked.message("config_command_leave", leave_command());
    checked.message("config_command_leave_all", leave_all_command());
    let one = ConfigCommand::SetEnabled { actor: actor.clone(), key, enabled: false };
    checked.message("config_command_set_enabled", one);
    let all = ConfigCommand::SetEnabledAll { actor: actor.clone(), enabled: true, set: set() };
    checked.message("config_command_set_enabled_all", all);
    checked.message("config_command_release", ConfigCommand::ReleaseDeletes { actor, hash: SetHash(7) });
    let done = |passed_over| CommandReply::Done { records: 3, passed_over, correlation_id: correlation() };
    checked.message("command_reply_done", done(None));
    let (detail, fix) = ("nothing is there".to_owned(), "correct it".to_owned());
    let passed_over = PassedOver { records: 2, key: record().id.key(), detail, fix };
    checked.message("command_reply_done_in_part", done(Some(passed_over)));
}

#[test]
fn a_message_of_another_kind_or_a_newer_version_is_refused() {
    let envelope = envelope(NameReservation { config: config_id() });
    let mut newer = serde_json::to_value(&envelope).unwrap();
    newer["v"] = 2.into();
    let text =
        Envelope::<NameReservation>::decode(newer.to_string().as_bytes(), Encoding::Json).unwrap_err().to_string();
    assert!(text.contains("newer") && text.contains("upgrade"), "{text}");
    let bytes = envelope.encode(Encoding::MessagePack).unwrap();
    assert!(Envelope::<Record>::decode(&bytes, Encoding::MessagePack).is_err());
}

#[test]
fn fields_of_later_writers_are_passed_over() {
    let mut later = serde_json::to_value(envelope(record())).unwrap();
    later["body"]["invented_later"] = "x".into();
    later["invented_later"] = 1.into();
    assert_eq!(Envelope::<Record>::decode(later.to_string().as_bytes(), Encoding::Json).unwrap(), envelope(record()));
}

struct Checked(BTreeSet<PathBuf>);

impl Checked {
    fn message<T: Message + PartialEq + Debug>(&mut self, name: &str, body: T) {
        let written = envelope(body);
        for (encoding, ending) in [(Encoding::Json, "json"), (Encoding::MessagePack, "msgpack")] {
            let file = folder().join(format!("{name}.v{}.{ending}", T::VERSION));
            let today = written.encode(encoding).unwrap();
            if !file.exists() && std::env::var_os("KEYFERRY_WRITE_GOLDEN").is_some() {
                fs::write(&file, &today).unwrap();
            }
            let golden = fs::read(&file)
                .unwrap_or_else(|_| panic!("{file:?} is missing: set KEYFERRY_WRITE_GOLDEN=1 to write it once"));
            assert_eq!(
                Envelope::<T>::decode(&golden, encoding).unwrap(),
                written,
                "{file:?} is no longer read as it was meant"
            );
            assert_eq!(golden, today, "{file:?}: the format changed; that takes a new version");
            self.0.insert(file);
        }
    }

    fn no_file_is_left_over(&self) {
        for entry in fs::read_dir(folder()).unwrap() {
            let path = entry.unwrap().path();
            assert!(self.0.contains(&path), "{path:?} is read by no test");
        }
    }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn envelope<T: Message>(body: T) -> Envelope<T> {
    Envelope {
        cause: Some(MessageId::from_random(3)),
        ..Envelope::new(MessageId::from_random(2), correlation(), at(0), body)
    }
}
