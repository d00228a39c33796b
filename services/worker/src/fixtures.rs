//! What the tests of this crate build from.

use std::collections::BTreeSet;

use broker::Entry;
use proto_msgs::{
    Behaviour, Config, ConfigId, ConfigSpec, CorrelationId, Envelope, ItemType, MessageId, Rule, Sequence, Timestamp,
    VaultRef,
    config::{Change, Control, DiscoveredVault, TargetType},
    vault::VaultIdentity,
};
use vault::memory::{Content, Item, Owner, Slot, Version};

/// Seconds after a fixed point.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(1_800_000_000 + seconds)
}

pub(crate) fn vault(name: &str) -> VaultIdentity {
    VaultIdentity {
        name: name.to_owned(),
        uri: format!("https://{name}.vault.azure.net"),
        resource_id: None,
        subscription: Some("00000000-0000-4000-8000-000000000001".to_owned()),
        region: Some("westeurope".to_owned()),
        geography: Some("Europe".to_owned()),
        tenant: "5f0c1d4e-0000-4000-8000-000000000001".to_owned(),
        verified: true,
    }
}

pub(crate) fn config() -> Config {
    let discovered = |vault: &str| VaultRef::Discovered(DiscoveredVault { vault: vault.to_owned() });
    Config {
        id: ConfigId::from_random(1),
        spec: ConfigSpec {
            name: "prod-eu to prod-ne".to_owned(),
            target_type: TargetType::AzureKeyVault,
            source: discovered("prod-eu-kv"),
            target: discovered("prod-ne-kv"),
            item_types: BTreeSet::from(ItemType::ALL),
            rule: Rule::All {},
            exclude: Vec::new(),
            behaviour: Behaviour::default(),
            paused: false,
        },
        source: vault("prod-eu-kv"),
        target: vault("prod-ne-kv"),
        created: at(0),
        deleted: false,
        change: change("create"),
    }
}

/// The emergency stop.
pub(crate) fn control(stopped: bool) -> Control {
    Control { stopped, change: change(if stopped { "stop_all" } else { "resume_all" }) }
}

fn change(action: &str) -> Change {
    Change {
        actor: "test".to_owned(),
        action: action.to_owned(),
        reason: None,
        correlation_id: CorrelationId::from_random(2),
        at: at(0),
    }
}

/// A config or the emergency stop as it is stored at that revision.
pub(crate) fn entry<T: proto_msgs::Message>(body: T, revision: u64) -> Entry<T> {
    let envelope = Envelope::new(MessageId::from_random(1), CorrelationId::from_random(2), at(0), body);
    Entry { envelope, sequence: Sequence(revision), time: at(0) }
}

/// What is live in a vault under the name that the tests use.
pub(crate) fn live(owner: &Owner, kind: ItemType) -> Option<Item> {
    match owner.slot(kind, &"item".parse().unwrap())? {
        Slot::Live { item, .. } => Some(item),
        Slot::Deleted { .. } => None,
    }
}

pub(crate) fn newest(owner: &Owner, kind: ItemType) -> Version {
    live(owner, kind).and_then(|mut item| item.versions.pop()).expect("nothing is there")
}

/// How many versions of the secret there are.
pub(crate) fn versions(owner: &Owner) -> usize {
    live(owner, ItemType::Secrets).map_or(0, |item| item.versions.len())
}

/// Whether the secret's newest value is that one.
pub(crate) fn holds(owner: &Owner, value: &str) -> bool {
    match newest(owner, ItemType::Secrets).content {
        Content::Secret(held) => held.expose_text() == Some(value),
        Content::Certificate { .. } | Content::Key { .. } => false,
    }
}
