//! When two states of an item are the same, as far as can be told without its value.

use std::collections::BTreeSet;

use proto_msgs::{
    ItemType, Timestamp,
    vault::{Attributes, ItemMeta, SideState},
};
use xxhash_rust::xxh3::Xxh3;

/// Whether the attributes that `kind` carries are equal on both sides.
pub fn attributes_equal(kind: ItemType, a: &Attributes, b: &Attributes) -> bool {
    let carried = a.enabled == b.enabled && a.tags == b.tags;
    match kind {
        ItemType::Secrets => {
            carried
                && a.not_before == b.not_before
                && a.expires == b.expires
                && text(&a.content_type) == text(&b.content_type)
        }
        ItemType::Keys => {
            carried
                && a.not_before == b.not_before
                && a.expires == b.expires
                && operations_equal(a.key_operations.as_ref(), b.key_operations.as_ref())
        }
        // A certificate's times are inside it; its content type is part of the policy.
        ItemType::Certificates => carried,
    }
}

/// A short stand-in for the attributes that `kind` carries: two with equal prints are equal by [`attributes_equal`].
pub fn print_of_carried(kind: ItemType, attributes: &Attributes) -> u64 {
    let carried = match kind {
        ItemType::Secrets => attributes.clone(),
        ItemType::Keys => Attributes { content_type: None, ..attributes.clone() },
        ItemType::Certificates => {
            let Attributes { enabled, tags, .. } = attributes.clone();
            Attributes { enabled, tags, not_before: None, expires: None, content_type: None, key_operations: None }
        }
    };
    let operations = carried.key_operations.iter().flatten().map(String::as_str);
    print(None, &carried, Some(&operations.collect::<Vec<_>>().join(",")))
}

/// Whether going from `before` to `after` takes away a time that Azure's update cannot clear.
pub fn clears_a_time(kind: ItemType, before: &Attributes, after: &Attributes) -> bool {
    let cleared = |before: Option<Timestamp>, after: Option<Timestamp>| before.is_some() && after.is_none();
    match kind {
        ItemType::Secrets | ItemType::Keys => {
            cleared(before.not_before, after.not_before) || cleared(before.expires, after.expires)
        }
        ItemType::Certificates => false,
    }
}

/// A short stand-in for what a listing says of an item: two listings with equal prints show the same item.
///
/// Of metadata only; values never come here.
pub fn print(updated: Option<Timestamp>, attributes: &Attributes, x5t: Option<&str>) -> u64 {
    let mut hash = Xxh3::new();
    let mut field = |bytes: &[u8]| {
        hash.update(&(bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    let time = |time: Option<Timestamp>| time.map_or(i64::MIN, Timestamp::unix_seconds).to_le_bytes();
    field(&time(updated));
    field(&time(attributes.not_before));
    field(&time(attributes.expires));
    field(&[u8::from(attributes.enabled)]);
    field(text(&attributes.content_type).as_bytes());
    field(x5t.unwrap_or("").as_bytes());
    for (name, value) in &attributes.tags {
        field(name.as_bytes());
        field(value.as_bytes());
    }
    hash.digest()
}

/// The print of an item as it is listed.
pub fn print_of_item(item: &ItemMeta) -> u64 {
    print(item.updated, &item.attributes, item.x5t.as_deref())
}

/// The print of a remembered state.
pub fn print_of(state: &SideState) -> u64 {
    print(state.updated, &state.attributes, state.x5t.as_deref())
}

/// What was only listed tells nothing of them.
fn operations_equal(a: Option<&BTreeSet<String>>, b: Option<&BTreeSet<String>>) -> bool {
    a.zip(b).is_none_or(|(a, b)| a == b)
}

/// Azure gives an absent content type back as absent or empty.
fn text(content_type: &Option<String>) -> &str {
    content_type.as_deref().unwrap_or("")
}
