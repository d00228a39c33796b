//! A vault's listing as it comes together, page by page.
//!
//! Invariant: a listing counts as complete only if its last page arrived. What was seen on the pages of an incomplete
//! one is true all the same; only what was not seen means nothing.

use std::collections::{BTreeMap, BTreeSet};

use proto_msgs::{
    ItemType, RecordKey, Timestamp,
    vault::{DeletedMeta, ItemMeta},
    worker::{InventoryPage, Listing},
};

/// What the listings of one vault showed.
#[derive(Debug, Clone, Default)]
pub struct Inventory {
    live: BTreeMap<RecordKey, Listed>,
    deleted: BTreeMap<RecordKey, DeletedMeta>,
    complete: BTreeSet<(ItemType, Listing)>,
    began: BTreeMap<(ItemType, Listing), Timestamp>,
}

/// A live item, and when its page was read, by the server's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub item: ItemMeta,
    pub at: Timestamp,
}

impl Inventory {
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a page in. Pages may arrive twice.
    pub fn add(&mut self, kind: ItemType, page: InventoryPage) {
        for listing in [Listing::Live, Listing::Deleted] {
            let began = self.began.entry((kind, listing)).or_insert(page.read_at);
            *began = page.read_at.min(*began);
        }
        for item in page.live {
            self.live.insert(RecordKey { kind, name: item.name.clone() }, Listed { item, at: page.read_at });
        }
        for deleted in page.deleted {
            self.deleted.insert(RecordKey { kind, name: deleted.item.name.clone() }, deleted);
        }
    }

    /// The last page of a listing arrived.
    pub fn finish(&mut self, kind: ItemType, listing: Listing) {
        self.complete.insert((kind, listing));
    }

    pub fn is_complete(&self, kind: ItemType, listing: Listing) -> bool {
        self.complete.contains(&(kind, listing))
    }

    /// When the first page of a type's listings was read, by the server's clock: what came later may be missing on it.
    pub fn began(&self, kind: ItemType, listing: Listing) -> Option<Timestamp> {
        self.began.get(&(kind, listing)).copied()
    }

    pub fn live(&self, key: &RecordKey) -> Option<&Listed> {
        self.live.get(key)
    }

    pub fn deleted(&self, key: &RecordKey) -> Option<&DeletedMeta> {
        self.deleted.get(key)
    }

    pub fn live_items(&self) -> impl Iterator<Item = (&RecordKey, &Listed)> {
        self.live.iter()
    }

    pub fn deleted_items(&self) -> impl Iterator<Item = (&RecordKey, &DeletedMeta)> {
        self.deleted.iter()
    }

    /// Live items of all types.
    pub fn len(&self) -> usize {
        self.live.len()
    }

    pub fn is_empty(&self) -> bool {
        self.live.is_empty()
    }
}
