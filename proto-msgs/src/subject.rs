//! Every subject, stream and bucket name: built and parsed here only.
//!
//! All of them under one prefix (default `kf`), so that two installations can share a NATS account. Stream and bucket
//! names carry it in upper case.

use std::str::FromStr;

use crate::{
    hash::{self, RECORD_STREAMS},
    ids::{ConfigId, InvalidId, ItemType, MemberId, RecordId, RecordKey, Slot},
    worker::Role,
};

/// The names of one installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subjects {
    prefix: String,
}

impl Default for Subjects {
    fn default() -> Self {
        Self { prefix: "kf".to_owned() }
    }
}

impl FromStr for Subjects {
    type Err = InvalidId;

    fn from_str(prefix: &str) -> Result<Self, InvalidId> {
        let ok =
            (1..=16).contains(&prefix.len()) && prefix.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if ok {
            return Ok(Self { prefix: prefix.to_owned() });
        }
        Err(InvalidId::new("subject prefix", prefix, "1 to 16 characters of 0-9 and a-z"))
    }
}

/// Queries that any worker may answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AnyWorker {
    Inventory,
    Resolve,
}

impl AnyWorker {
    fn verb(self) -> &'static str {
        match self {
            Self::Inventory => "inventory",
            Self::Resolve => "resolve",
        }
    }
}

/// A subject of the log or the live feed, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogSubject {
    Record(RecordId),
    Run(ConfigId),
    Config(ConfigId),
    Control,
}

impl Subjects {
    fn upper(&self) -> String {
        self.prefix.to_ascii_uppercase()
    }

    // Streams.

    pub fn record_stream(&self, index: u16) -> String {
        format!("{}_RECORDS_{index:02}", self.upper())
    }

    pub fn record_streams(&self) -> impl Iterator<Item = String> + '_ {
        (0..RECORD_STREAMS).map(|index| self.record_stream(index))
    }

    pub fn record_stream_of(&self, config: &ConfigId) -> String {
        self.record_stream(hash::record_stream(config))
    }

    pub fn runs_stream(&self) -> String {
        format!("{}_RUNS", self.upper())
    }

    pub fn audit_stream(&self) -> String {
        format!("{}_AUDIT", self.upper())
    }

    pub fn leases_stream(&self) -> String {
        format!("{}_LEASES", self.upper())
    }

    /// Bucket of configs; its stream is [`Self::bucket_stream`] of it.
    pub fn configs_bucket(&self) -> String {
        format!("{}_CONFIGS", self.upper())
    }

    /// Bucket of tokens and other things that pass.
    pub fn state_bucket(&self) -> String {
        format!("{}_STATE", self.upper())
    }

    /// The stream behind a key-value bucket.
    pub fn bucket_stream(&self, bucket: &str) -> String {
        format!("KV_{bucket}")
    }

    // Subjects of the log.

    /// What one record stream holds.
    pub fn record_stream_filter(&self, index: u16) -> String {
        format!("{}.rec.{index:02}.>", self.prefix)
    }

    pub fn record(&self, record: &RecordId) -> String {
        format!(
            "{}.rec.{:02}.{}.{}.{}",
            self.prefix,
            hash::record_stream(&record.config),
            record.config,
            record.kind,
            record.name.key()
        )
    }

    pub fn record_of(&self, config: &ConfigId, key: &RecordKey) -> String {
        self.record(&RecordId { config: *config, kind: key.kind, name: key.name.clone() })
    }

    pub fn records_of(&self, config: &ConfigId) -> String {
        format!("{}.rec.{:02}.{config}.>", self.prefix, hash::record_stream(config))
    }

    pub fn run(&self, config: &ConfigId) -> String {
        format!("{}.run.{config}", self.prefix)
    }

    pub fn runs(&self) -> String {
        format!("{}.run.>", self.prefix)
    }

    pub fn audit(&self) -> String {
        format!("{}.audit.>", self.prefix)
    }

    pub fn slot_lease(&self, slot: Slot) -> String {
        format!("{}.lease.slot.{}", self.prefix, slot.0)
    }

    pub fn leases(&self) -> String {
        format!("{}.lease.>", self.prefix)
    }

    pub fn config(&self, config: &ConfigId) -> String {
        format!("$KV.{}.id.{config}", self.configs_bucket())
    }

    pub fn configs(&self) -> String {
        format!("$KV.{}.id.*", self.configs_bucket())
    }

    /// The emergency stop, next to the configs.
    pub fn control(&self) -> String {
        format!("$KV.{}.control", self.configs_bucket())
    }

    /// Holds a config name for one config. Names may hold anything, so the subject has their hash.
    pub fn config_name(&self, name: &str) -> String {
        format!("$KV.{}.name.{:016x}", self.configs_bucket(), hash::name(name))
    }

    pub fn token(&self, sha256_hex: &str) -> String {
        format!("$KV.{}.token.{sha256_hex}", self.state_bucket())
    }

    pub fn tokens(&self) -> String {
        format!("$KV.{}.token.*", self.state_bucket())
    }

    // Live feed: what the server republishes of each stored message.

    /// What of a stream is republished, and to where, as a server's subject transform.
    pub fn republish_records(&self, index: u16) -> (String, String) {
        (self.record_stream_filter(index), format!("{}.live.rec.{index:02}.>", self.prefix))
    }

    pub fn republish_runs(&self) -> (String, String) {
        (self.runs(), format!("{}.live.run.>", self.prefix))
    }

    pub fn republish_configs(&self) -> (String, String) {
        (format!("$KV.{}.>", self.configs_bucket()), format!("{}.live.config.>", self.prefix))
    }

    pub fn live_records_of(&self, config: &ConfigId) -> String {
        format!("{}.live.rec.{:02}.{config}.>", self.prefix, hash::record_stream(config))
    }

    pub fn live_record(&self, record: &RecordId) -> String {
        let stored = self.record(record);
        format!("{}.live{}", self.prefix, &stored[self.prefix.len()..])
    }

    pub fn live_run(&self, config: &ConfigId) -> String {
        format!("{}.live.run.{config}", self.prefix)
    }

    pub fn live_configs(&self) -> String {
        format!("{}.live.config.id.*", self.prefix)
    }

    pub fn live_control(&self) -> String {
        format!("{}.live.config.control", self.prefix)
    }

    /// Parses a subject of the log or of the live feed.
    pub fn parse(&self, subject: &str) -> Option<LogSubject> {
        if let Some(id) = subject.strip_prefix(&format!("$KV.{}.id.", self.configs_bucket())) {
            return id.parse().ok().map(LogSubject::Config);
        }
        if subject == self.control() {
            return Some(LogSubject::Control);
        }
        let rest = subject.strip_prefix(&self.prefix)?.strip_prefix('.')?;
        let tokens: Vec<&str> = rest.strip_prefix("live.").unwrap_or(rest).split('.').collect();
        match tokens.as_slice() {
            ["rec", _, config, kind, name] => Some(LogSubject::Record(RecordId {
                config: config.parse().ok()?,
                kind: kind.parse::<ItemType>().ok()?,
                name: name.parse().ok()?,
            })),
            ["run", config] => config.parse().ok().map(LogSubject::Run),
            ["config", "control"] => Some(LogSubject::Control),
            ["config", "id", config] => config.parse().ok().map(LogSubject::Config),
            _ => None,
        }
    }

    // Requests.

    pub fn worker_sync(&self, worker: &MemberId) -> String {
        format!("{}.worker.{worker}.sync", self.prefix)
    }

    pub fn any_worker(&self, what: AnyWorker) -> String {
        format!("{}.worker.any.{}", self.prefix, what.verb())
    }

    /// The same question to one worker.
    pub fn one_worker(&self, what: AnyWorker, worker: &MemberId) -> String {
        format!("{}.worker.{worker}.{}", self.prefix, what.verb())
    }

    /// Queue group of [`Self::any_worker`]: each request goes to one worker.
    pub fn any_worker_group(&self) -> String {
        format!("{}-workers", self.prefix)
    }

    pub fn config_query(&self, config: &ConfigId) -> String {
        format!("{}.config.{config}.query", self.prefix)
    }

    pub fn config_command(&self, config: &ConfigId) -> String {
        format!("{}.config.{config}.command", self.prefix)
    }

    pub fn heartbeat(&self, role: Role, member: &MemberId) -> String {
        format!("{}.heartbeat.{}.{member}", self.prefix, role.as_str())
    }

    pub fn heartbeats(&self) -> String {
        format!("{}.heartbeat.>", self.prefix)
    }

    pub fn heartbeats_of(&self, role: Role) -> String {
        format!("{}.heartbeat.{}.*", self.prefix, role.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> RecordId {
        RecordId {
            config: "5f0c1d4e-0000-4000-8000-000000000001".parse().unwrap(),
            kind: ItemType::Secrets,
            name: "DB-Password".parse().unwrap(),
        }
    }

    #[test]
    fn a_record_subject_is_parsed_back_stored_and_live() {
        let subjects = Subjects::default();
        for subject in [subjects.record(&record()), subjects.live_record(&record())] {
            assert_eq!(subjects.parse(&subject), Some(LogSubject::Record(record())), "{subject}");
        }
    }

    #[test]
    fn runs_and_configs_are_parsed_back_stored_and_live() {
        let (subjects, config) = (Subjects::default(), record().config);
        assert_eq!(subjects.parse(&subjects.run(&config)), Some(LogSubject::Run(config)));
        assert_eq!(subjects.parse(&subjects.live_run(&config)), Some(LogSubject::Run(config)));
        assert_eq!(subjects.parse(&subjects.config(&config)), Some(LogSubject::Config(config)));
        assert_eq!(subjects.parse(&format!("kf.live.config.id.{config}")), Some(LogSubject::Config(config)));
        for control in [subjects.control(), subjects.live_control()] {
            assert_eq!(subjects.parse(&control), Some(LogSubject::Control), "{control}");
        }
    }

    #[test]
    fn what_is_not_ours_parses_to_nothing() {
        let subjects = Subjects::default();
        for other in ["", "kf", "kf.", "kf.rec.00.x.secrets.a", "other.run.x", "kf.run.a.b", "kf.live.live.run.x"] {
            assert_eq!(subjects.parse(other), None, "{other}");
        }
    }
}
