//! From what is stored to what clients see.

use broker::Entry;
use proto_msgs::{
    Config, Record, Revision,
    api::{ConfigSummary, ConfigView, RecordView},
    docs,
};

pub fn config(entry: Entry<Config>, summary: Option<ConfigSummary>) -> ConfigView {
    ConfigView { revision: Revision(entry.sequence.0), config: entry.envelope.body, summary }
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
