//! What goes over the wire between Keyferry's roles, its clients and its log.
//!
//! Every id, status, code, message, subject, stream and bucket name is defined here and nowhere else, so that two
//! programs of different versions can be compared by reading one crate. It builds for WebAssembly: the console uses
//! these very types.
//!
//! The rules of the contract:
//! * A field is added with `#[serde(default)]`. Any other change is a new version of the message: readers of the old
//!   one stay for ever, and are rolled out before the first writer of the new one.
//! * A name (code, status, subject, field) is never renamed and never used again for something else.
//! * `tests/golden` holds bytes we promise to read for ever; those files are added to, never edited.
//!
//! Deliberately absent: I/O, clocks, randomness, and any type that can hold a secret value.

pub mod api;
pub mod config;
pub mod docs;
pub mod envelope;
pub mod error;
pub mod hash;
pub mod ids;
pub mod interval;
pub mod plan;
pub mod record;
pub mod run;
pub mod status;
pub mod subject;
pub mod timestamp;
pub mod vault;
pub mod worker;

pub use config::{Behaviour, Config, ConfigSpec, DriftPolicy, Rule, ScheduleMode, VaultRef};
pub use envelope::{Encoding, Envelope, Message};
pub use error::{ErrorCode, Problem, Recoverability, RequestCode};
pub use ids::{
    ConfigId, CorrelationId, Epoch, ItemName, ItemType, MemberId, MessageId, RecordId, RecordKey, Revision, RunId,
    Sequence, SetHash, Shard, Slot, VersionId,
};
pub use record::Record;
pub use run::Run;
pub use status::Status;
pub use timestamp::Timestamp;
