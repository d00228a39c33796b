//! Where things live: the hashes that every role must compute alike.
//!
//! XXH3 (64 bit, seed 0) over the bytes named below. Part of the contract: another hash would move every record.

use xxhash_rust::xxh3::xxh3_64;

use crate::{
    ids::{ConfigId, RecordId, Shard, Slot},
    vault::uri_key,
};

/// Streams the record log is spread over: restores run in parallel and one config's load scans a sixteenth.
pub const RECORD_STREAMS: u16 = 16;
/// Groups of target vaults that move between coordinators as one.
pub const SLOTS: u16 = 64;
/// Groups of records that move between workers as one.
pub const SHARDS: u16 = 256;

/// The record stream of a config.
pub fn record_stream(config: &ConfigId) -> u16 {
    modulo(config.as_uuid().as_bytes(), RECORD_STREAMS)
}

/// The slot of a target vault, by its [`uri_key`].
pub fn slot(target_uri: &str) -> Slot {
    Slot(modulo(uri_key(target_uri).as_bytes(), SLOTS))
}

/// The shard of a record.
pub fn shard(record: &RecordId) -> Shard {
    let text = format!("{}/{}/{}", record.config, record.kind, record.name.key());
    Shard(modulo(text.as_bytes(), SHARDS))
}

/// Of a config's name, without case and outer blanks: two names that look alike are one.
pub fn name(name: &str) -> u64 {
    xxh3_64(name.trim().to_lowercase().as_bytes())
}

fn modulo(bytes: &[u8], buckets: u16) -> u16 {
    // The remainder is below `buckets`, so it fits.
    (xxh3_64(bytes) % u64::from(buckets)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hashes_are_the_ones_the_fleet_agreed_on() {
        let config: ConfigId = "5f0c1d4e-0000-4000-8000-000000000001".parse().unwrap();
        let record = RecordId { config, kind: crate::ItemType::Secrets, name: "DB-password".parse().unwrap() };
        let same = RecordId { name: "db-PASSWORD".parse().unwrap(), ..record.clone() };
        assert_eq!(shard(&record), shard(&same));
        assert_eq!(slot("https://Prod.vault.azure.net/"), slot("https://prod.vault.azure.net"));
        assert_eq!(
            (record_stream(&config), slot("https://prod.vault.azure.net"), shard(&record)),
            (8, Slot(52), Shard(108))
        );
    }
}
