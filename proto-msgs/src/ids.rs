//! Checked newtypes for everything that names something.
//!
//! Parsed once at the boundary; code inside never handles a raw string id. Absent on purpose: any way to make an id
//! up. Random bits come in as arguments, so that a seed replays a whole run.

use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An id that does not follow the rules of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not a valid {what}: {rule}")]
pub struct InvalidId {
    what: &'static str,
    given: String,
    rule: &'static str,
}

impl InvalidId {
    /// Longest part of the offending text that is quoted back.
    const QUOTED: usize = 64;

    pub(crate) fn new(what: &'static str, given: &str, rule: &'static str) -> Self {
        Self { what, given: given.chars().take(Self::QUOTED).collect(), rule }
    }
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// Makes an id out of 128 random bits, as a version 4 UUID.
            pub fn from_random(bits: u128) -> Self {
                Self(uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid())
            }

            /// The id as a UUID, for systems that ask for one.
            pub fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Uuid::try_parse(text).map(Self).map_err(|_| InvalidId::new($what, text, "a UUID is expected"))
            }
        }

        text_serde!($name);
    };
}

/// Serialises a type by its `Display` and `FromStr`: the same text in JSON, MessagePack, subjects and logs.
macro_rules! text_serde {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use text_serde;

uuid_id!(
    /// One replication config, for its whole life.
    ConfigId, "config id"
);
uuid_id!(
    /// One cycle of a config.
    RunId, "run id"
);
uuid_id!(
    /// Ties one request, expansion or sync together through logs, events, audit and Azure's own records.
    CorrelationId, "correlation id"
);
uuid_id!(
    /// One message; also the operation id by which a writer knows its own append again.
    MessageId, "message id"
);

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number_id!(
    /// Position of a message in its stream. 0: there is none yet.
    Sequence(u64)
);
number_id!(
    /// The store's number for a config as last written; what the next write expects.
    Revision(u64)
);
number_id!(
    /// Rises with each new owner of a slot, issued by the store; fences off older owners.
    Epoch(u64)
);
number_id!(
    /// One of [`crate::hash::SLOTS`] groups of target vaults, owned by one coordinator.
    Slot(u16)
);
number_id!(
    /// One of [`crate::hash::SHARDS`] groups of records, placed on one worker.
    Shard(u16)
);

/// What kind of thing a vault keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemType {
    Secrets,
    Certificates,
    Keys,
}

impl ItemType {
    pub const ALL: [Self; 3] = [Self::Secrets, Self::Certificates, Self::Keys];

    /// The word used in configs, subjects and paths.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Secrets => "secrets",
            Self::Certificates => "certificates",
            Self::Keys => "keys",
        }
    }

    /// One of them, for sentences.
    pub fn singular(self) -> &'static str {
        match self {
            Self::Secrets => "secret",
            Self::Certificates => "certificate",
            Self::Keys => "key",
        }
    }
}

impl fmt::Display for ItemType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for ItemType {
    type Err = InvalidId;

    /// Takes the plural and, for people who type, the singular.
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::ALL
            .into_iter()
            .find(|kind| text == kind.as_str() || text == kind.singular())
            .ok_or_else(|| InvalidId::new("item type", text, "one of secrets, certificates, keys"))
    }
}

/// Longest item name Key Vault accepts.
const ITEM_NAME_MAX: usize = 127;

/// The name of an item, spelt as its vault spells it, compared as Key Vault compares: without case.
#[derive(Debug, Clone)]
pub struct ItemName(String);

impl ItemName {
    /// As the vault spells it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Lower-cased: equal for equal names, and a valid subject token.
    pub fn key(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

impl fmt::Display for ItemName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for ItemName {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let ok =
            (1..=ITEM_NAME_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if ok {
            return Ok(Self(text.to_owned()));
        }
        Err(InvalidId::new("item name", text, "1 to 127 characters of 0-9, A-Z, a-z and -"))
    }
}

impl PartialEq for ItemName {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for ItemName {}

impl Hash for ItemName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for byte in self.0.bytes() {
            state.write_u8(byte.to_ascii_lowercase());
        }
        state.write_u8(0xff);
    }
}

impl PartialOrd for ItemName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ItemName {
    fn cmp(&self, other: &Self) -> Ordering {
        let lower = |name: &Self| name.0.bytes().map(|b| b.to_ascii_lowercase()).collect::<Vec<_>>();
        if self == other { Ordering::Equal } else { lower(self).cmp(&lower(other)) }
    }
}

text_serde!(ItemName);

/// A record within its config.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RecordKey {
    pub kind: ItemType,
    pub name: ItemName,
}

impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

/// One matched item of one config.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RecordId {
    pub config: ConfigId,
    pub kind: ItemType,
    pub name: ItemName,
}

impl RecordId {
    pub fn key(&self) -> RecordKey {
        RecordKey { kind: self.kind, name: self.name.clone() }
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.config, self.kind, self.name)
    }
}

/// Stands for a set as somebody saw it, so that they decide about exactly that: 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SetHash(pub u128);

impl fmt::Display for SetHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for SetHash {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let ok = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let number = ok.then(|| u128::from_str_radix(text, 16).ok()).flatten();
        number.map(Self).ok_or_else(|| InvalidId::new("hash", text, "32 hexadecimal digits"))
    }
}

text_serde!(SetHash);

macro_rules! token_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal, $rule:literal, $allowed:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let allowed: fn(u8) -> bool = $allowed;
                if (1..=$max).contains(&text.len()) && text.bytes().all(allowed) {
                    return Ok(Self(text.to_owned()));
                }
                Err(InvalidId::new($what, text, $rule))
            }
        }

        text_serde!($name);
    };
}

token_id!(
    /// One running process of a role: a coordinator, worker or gateway.
    MemberId, "member id", 63, "1 to 63 characters of 0-9, a-z and -", |b| b.is_ascii_digit() || b.is_ascii_lowercase() || b == b'-'
);
token_id!(
    /// The version of an item as its vault names it.
    VersionId, "version id", 64, "1 to 64 characters of 0-9, A-Z and a-z", |b| b.is_ascii_alphanumeric()
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn item_names_compare_without_case_and_keep_their_spelling() {
        let (upper, lower): (ItemName, ItemName) = ("DB-Password".parse().unwrap(), "db-password".parse().unwrap());
        assert_eq!(upper, lower);
        assert_eq!(upper.cmp(&lower), Ordering::Equal);
        assert_eq!(upper.as_str(), "DB-Password");
        assert_eq!(std::collections::HashSet::from([upper, lower]).len(), 1);
    }

    #[test]
    fn names_that_key_vault_refuses_are_refused() {
        for bad in ["", "a.b", "a b", "a*", "ä", &"x".repeat(128)] {
            assert!(bad.parse::<ItemName>().is_err(), "{bad}");
        }
        assert!("x".repeat(127).parse::<ItemName>().is_ok());
    }

    #[test]
    fn member_ids_are_subject_tokens() {
        for bad in ["", "a.b", "A", "a>", "a*", "a b"] {
            assert!(bad.parse::<MemberId>().is_err(), "{bad}");
        }
    }
}
