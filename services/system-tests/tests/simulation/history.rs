//! What the log has ever held, read and sorted.

use std::collections::BTreeMap;

use broker::memory::Written;
use proto_msgs::{Config, ConfigId, Envelope, Record, RecordId, Run, Sequence, Status, Timestamp, subject::Subjects};

/// One message, and who wrote it when.
#[derive(Debug, Clone)]
pub struct Said<T> {
    pub by: String,
    pub at: Timestamp,
    pub sequence: Sequence,
    pub envelope: Envelope<T>,
}

#[derive(Default)]
pub struct History {
    pub all: Vec<Written>,
    pub records: BTreeMap<RecordId, Vec<Said<Record>>>,
    pub runs: BTreeMap<ConfigId, Vec<Said<Run>>>,
    pub configs: BTreeMap<ConfigId, Vec<Said<Config>>>,
    /// What could not be read.
    pub unreadable: Vec<String>,
}

impl History {
    pub fn take_in(&mut self, news: Vec<Written>) {
        let subjects = Subjects::default();
        let of_records = subjects.record_stream(0);
        let of_records = of_records.trim_end_matches('0').to_owned();
        let (runs, configs) = (subjects.runs_stream(), subjects.bucket_stream(&subjects.configs_bucket()));
        for written in news {
            let stream: &str = &written.stream;
            if written.message.deleted || written.message.payload.is_empty() {
                self.all.push(written);
                continue;
            }
            if *stream == runs {
                if let Some(said) = self.read::<Run>(&written) {
                    self.runs.entry(said.envelope.body.config).or_default().push(said);
                }
            } else if *stream == configs {
                // Names are reserved in there, too.
                if let Some(said) = said::<Config>(&written) {
                    self.configs.entry(said.envelope.body.id).or_default().push(said);
                }
            } else if stream.starts_with(&of_records)
                && let Some(said) = self.read::<Record>(&written)
            {
                self.records.entry(said.envelope.body.id.clone()).or_default().push(said);
            }
            self.all.push(written);
        }
    }

    fn read<T: proto_msgs::Message>(&mut self, written: &Written) -> Option<Said<T>> {
        let said = said(written);
        if said.is_none() {
            self.unreadable.push(written.message.subject.clone());
        }
        said
    }

    /// The newest of every record of a config that was not removed.
    pub fn of<'a>(&'a self, config: &'a ConfigId) -> impl Iterator<Item = &'a Said<Record>> {
        let of_config = self.records.iter().filter(|(id, _)| id.config == *config);
        of_config.filter_map(|(_, said)| said.last()).filter(|said| !said.record().removed)
    }

    pub fn record(&self, id: &RecordId) -> Option<&Record> {
        self.records.get(id)?.last().map(|said| &said.envelope.body)
    }
}

fn said<T: proto_msgs::Message>(written: &Written) -> Option<Said<T>> {
    let message = &written.message;
    Some(Said {
        by: written.by.as_deref().unwrap_or_default().to_owned(),
        at: message.time,
        sequence: message.sequence,
        envelope: Envelope::decode(&message.payload, message.encoding).ok()?,
    })
}

impl Said<Record> {
    pub fn record(&self) -> &Record {
        &self.envelope.body
    }

    pub fn is_syncing(&self) -> bool {
        self.record().status == Status::Syncing
    }

    /// Written by an attempt to say that it begins, or goes on after it settled older ones.
    pub fn is_intent(&self) -> bool {
        self.is_syncing() && self.envelope.cause.is_none()
    }

    /// In one line, for people.
    pub fn line(&self) -> String {
        let record = self.record();
        let code = record.code.map(|code| format!(" {code}")).unwrap_or_default();
        let unresolved = record.unresolved.as_ref().map(|open| format!(" unresolved={}", short(&open.operation)));
        let baseline = record.baseline.as_ref().and_then(|baseline| baseline.target.version.as_ref());
        let outcome = record.last_attempt.as_ref().map(|attempt| format!(" last={:?}", attempt.outcome));
        format!(
            "{:>9} #{} {} of {} by {}: {}{code} id={} cause={} attempt={}{}{}{}{}{}",
            self.at.unix_millis() - crate::world::beginning().unix_millis(),
            self.sequence,
            record.id.name,
            short(&record.id.config),
            self.by,
            record.status,
            short(&self.envelope.id),
            self.envelope.cause.map(|cause| short(&cause)).unwrap_or_default(),
            record.attempt,
            unresolved.unwrap_or_default(),
            baseline.map(|version| format!(" base={}", &version.as_str()[..6])).unwrap_or_default(),
            outcome.unwrap_or_default(),
            if record.thorough { " thorough" } else { "" },
            if record.late.is_empty() { String::new() } else { format!(" late={}", record.late.len()) },
        )
    }
}

/// Enough of an id to tell it from others.
pub fn short(id: &impl ToString) -> String {
    let text = id.to_string();
    text[text.len().saturating_sub(6)..].to_owned()
}
