//! From what is stored to what clients see.

use broker::Entry;
use proto_msgs::{
    Config, Record, Revision,
    api::{ConfigSummary, ConfigView, ControlView, RecordView},
    config::Control,
    docs,
};

pub fn config(entry: Entry<Config>, summary: Option<ConfigSummary>) -> ConfigView {
    ConfigView { revision: Revision(entry.sequence.0), config: entry.envelope.body, summary }
}

/// None: nothing was ever stopped.
pub fn control(entry: Option<Entry<Control>>) -> ControlView {
    let revision = Revision(entry.as_ref().map_or(0, |entry| entry.sequence.0));
    let control = entry.map(|entry| entry.envelope.body);
    ControlView {
        stopped: control.as_ref().is_some_and(|control| control.stopped),
        change: control.map(|control| control.change),
        revision,
    }
}

pub fn record(entry: Entry<Record>) -> RecordView {
    let record = entry.envelope.body;
    RecordView {
        recoverability: record.code.map(proto_msgs::ErrorCode::recoverability),
        fix: record.code.and_then(|code| docs::explain(code.as_str())).map(|page| page.fix.to_owned()),
        sequence: entry.sequence,
        at: entry.envelope.time,
        correlation_id: entry.envelope.correlation_id,
        record,
        history: Vec::new(),
    }
}
