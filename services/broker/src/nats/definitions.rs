//! What every stream is like: one list, for the server that is provisioned and for its twin in memory.

use std::time::Duration;

use async_nats::jetstream::stream::{Config, DiscardPolicy, Republish, RetentionPolicy, Source, StorageType};
use proto_msgs::{hash::RECORD_STREAMS, subject::Subjects};

/// A record's newest state and the few before it; the whole history is in the audit stream.
const RECORD_STATES: i64 = 4;
/// Newest messages of a config's runs: three or four a run, so about a hundred runs.
const RUN_STATES: i64 = 400;
/// Versions of a config, for its history of edits.
const CONFIG_VERSIONS: i64 = 64;
/// A marker of what expired stays until nobody expects the sequence before it any more.
const MARKER_STAYS: Duration = Duration::from_secs(60);
/// Repeats are told apart by compare-and-set and message ids; the server's own window only costs memory.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(1);

/// Every stream, each after those it sources.
pub(crate) fn streams(subjects: &Subjects, replicas: usize) -> Vec<Config> {
    let base = || Config {
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::Old,
        storage: StorageType::File,
        num_replicas: replicas,
        max_messages: -1,
        max_bytes: -1,
        max_messages_per_subject: -1,
        max_consumers: -1,
        duplicate_window: DUPLICATE_WINDOW,
        allow_direct: true,
        deny_delete: true,
        ..Default::default()
    };
    let mut all: Vec<_> = (0..RECORD_STREAMS).map(|index| records(subjects, index, base())).collect();
    all.push(Config {
        name: subjects.runs_stream(),
        subjects: vec![subjects.runs()],
        max_messages_per_subject: RUN_STATES,
        republish: Some(republish(subjects.republish_runs())),
        ..base()
    });
    all.push(Config {
        max_messages_per_subject: CONFIG_VERSIONS,
        republish: Some(republish(subjects.republish_configs())),
        ..bucket(subjects, &subjects.configs_bucket(), base())
    });
    all.push(Config { max_messages_per_subject: 1, ..bucket(subjects, &subjects.state_bucket(), base()) });
    all.push(Config {
        name: subjects.leases_stream(),
        subjects: vec![subjects.leases()],
        max_messages_per_subject: 1,
        ..with_ttl(base())
    });
    all.push(audit(subjects, base()));
    all
}

/// Sources everything that is written, so that there is no second write to forget.
fn audit(subjects: &Subjects, base: Config) -> Config {
    let sourced =
        subjects.record_streams().chain([subjects.runs_stream(), subjects.bucket_stream(&subjects.configs_bucket())]);
    Config {
        name: subjects.audit_stream(),
        subjects: vec![subjects.audit()],
        sources: Some(sourced.map(|name| Source { name, ..Default::default() }).collect()),
        deny_purge: true,
        ..base
    }
}

fn records(subjects: &Subjects, index: u16, base: Config) -> Config {
    Config {
        name: subjects.record_stream(index),
        subjects: vec![subjects.record_stream_filter(index)],
        max_messages_per_subject: RECORD_STATES,
        republish: Some(republish(subjects.republish_records(index))),
        ..with_ttl(base)
    }
}

/// A key-value bucket, as the key-value clients of NATS expect one to be.
fn bucket(subjects: &Subjects, bucket: &str, base: Config) -> Config {
    Config { name: subjects.bucket_stream(bucket), subjects: vec![format!("$KV.{bucket}.>")], ..with_ttl(base) }
}

fn with_ttl(base: Config) -> Config {
    Config { allow_message_ttl: true, allow_rollup: true, subject_delete_marker_ttl: Some(MARKER_STAYS), ..base }
}

fn republish((source, destination): (String, String)) -> Republish {
    Republish { source, destination, headers_only: false }
}
