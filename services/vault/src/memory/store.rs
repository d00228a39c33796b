//! One vault: its items by type and lower-cased name, and the phases they go through.
//!
//! Names are shared between types: a certificate brings a secret and a key of its name, so that none of the three may
//! be made while another owns the name. Deleting and recovering take a while; until then an item is nowhere.

use std::{collections::BTreeMap, time::Duration};

use proto_msgs::{
    ItemName, ItemType, Timestamp,
    vault::{DeletedMeta, VaultIdentity},
};

use super::{
    access::Access,
    item::{Item, Slot, View},
    random::Random,
    refusal::Refusal,
};
use crate::{Operation, VaultErrorKind};

/// Azure's default, and the longest it allows.
const RETENTION: Duration = Duration::from_secs(90 * 86_400);

/// A vault with everything in it.
pub(super) struct Store {
    pub identity: VaultIdentity,
    pub access: Access,
    pub random: Random,
    pub retention: Duration,
    /// Calls that were sent.
    pub calls: BTreeMap<Operation, u64>,
    slots: BTreeMap<(ItemType, String), Slot>,
}

/// When something happens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub now: Timestamp,
    /// How long deleting and recovering take.
    pub phase: Duration,
}

impl Moment {
    /// As Key Vault writes times down.
    pub(super) fn second(self) -> Timestamp {
        Timestamp::from_unix_seconds(self.now.unix_seconds())
    }
}

impl Slot {
    fn is_there(&self, now: Timestamp) -> bool {
        match self {
            Self::Live { .. } => true,
            Self::Deleted { purge_due, .. } => now < *purge_due,
        }
    }
}

impl Store {
    pub(super) fn new(identity: VaultIdentity, random: Random) -> Self {
        Self {
            identity,
            access: Access::default(),
            random,
            retention: RETENTION,
            calls: BTreeMap::new(),
            slots: BTreeMap::new(),
        }
    }

    pub(super) fn slots(&self, now: Timestamp) -> BTreeMap<(ItemType, String), Slot> {
        let there = self.slots.iter().filter(|(_, slot)| slot.is_there(now));
        there.map(|(key, slot)| (key.clone(), slot.clone())).collect()
    }

    pub(super) fn peek(&self, kind: ItemType, name: &ItemName, now: Timestamp) -> Option<Slot> {
        self.slot(kind, &name.key(), now).cloned()
    }

    /// Names under which something of that type may be, in order, after a cursor.
    pub(super) fn names_after(&self, kind: ItemType, cursor: &str) -> Vec<String> {
        let after = |kind| {
            let own = self.slots.keys().filter(move |(of, name)| *of == kind && name.as_str() > cursor);
            own.map(|(_, name)| name.clone())
        };
        let mut names: Vec<_> = match kind {
            ItemType::Certificates => after(kind).collect(),
            ItemType::Secrets | ItemType::Keys => after(kind).chain(after(ItemType::Certificates)).collect(),
        };
        names.sort_unstable();
        names.dedup();
        names
    }

    /// What is live under that name and type: a plain item, or what a certificate keeps.
    pub(super) fn view(&self, kind: ItemType, name: &str, now: Timestamp) -> Option<View<'_>> {
        let own = self.live(kind, name, now).map(|item| View { item, kind, managed: false });
        own.or_else(|| {
            let issued = self.live(ItemType::Certificates, name, now).filter(|item| !item.versions.is_empty());
            issued.map(|item| View { item, kind, managed: true })
        })
    }

    /// What is soft-deleted under that name and type, once deleting it is over.
    pub(super) fn deleted(&self, kind: ItemType, name: &str, now: Timestamp) -> Option<DeletedMeta> {
        match self.slot(kind, name, now)? {
            Slot::Deleted { item, deleted, purge_due, ready } if *ready <= now => {
                Some(View { item, kind, managed: false }.deleted_meta(*deleted, *purge_due))
            }
            Slot::Deleted { .. } | Slot::Live { .. } => None,
        }
    }

    pub(super) fn live(&self, kind: ItemType, name: &str, now: Timestamp) -> Option<&Item> {
        match self.slot(kind, name, now)? {
            Slot::Live { item, ready } if *ready <= now => Some(item),
            Slot::Live { .. } | Slot::Deleted { .. } => None,
        }
    }

    pub(super) fn live_mut(&mut self, kind: ItemType, name: &ItemName, now: Timestamp) -> Result<&mut Item, Refusal> {
        match self.slots.get_mut(&(kind, name.key())) {
            Some(Slot::Live { item, ready }) if *ready <= now => Ok(item),
            Some(Slot::Live { .. } | Slot::Deleted { .. }) | None => Err(Refusal::not_found(kind, name)),
        }
    }

    /// Puts an item in place; the caller made sure that its name is writable.
    pub(super) fn put(&mut self, kind: ItemType, item: Item) {
        self.slots.insert((kind, item.name.key()), Slot::Live { item, ready: Timestamp::default() });
    }

    /// Whether a plain secret or key of that name may be written.
    pub(super) fn plain_writable(&self, kind: ItemType, name: &ItemName, now: Timestamp) -> Result<(), Refusal> {
        self.settled(ItemType::Certificates, name, now)?;
        if self.live(ItemType::Certificates, &name.key(), now).is_some() {
            return Err(Refusal::managed(kind, name));
        }
        self.settled(kind, name, now)
    }

    /// Whether a certificate of that name may be written: not over a plain secret or key, live or deleted.
    pub(super) fn certificate_writable(&self, name: &ItemName, now: Timestamp) -> Result<(), Refusal> {
        self.settled(ItemType::Certificates, name, now)?;
        for kind in [ItemType::Secrets, ItemType::Keys] {
            self.free(kind, name, now, VaultErrorKind::NameTaken)?;
        }
        Ok(())
    }

    /// The same for an import, which a request under way keeps out.
    pub(super) fn certificate_importable(&self, name: &ItemName, now: Timestamp) -> Result<(), Refusal> {
        self.certificate_writable(name, now)?;
        match self.live(ItemType::Certificates, &name.key(), now).filter(|item| item.versions.is_empty()) {
            Some(_) => Err(Refusal::new(VaultErrorKind::NameTaken, format!("409: a request for {name} is under way"))),
            None => Ok(()),
        }
    }

    /// Whether nothing of that type and name is there, live or deleted.
    pub(super) fn free(
        &self,
        kind: ItemType,
        name: &ItemName,
        now: Timestamp,
        otherwise: VaultErrorKind,
    ) -> Result<(), Refusal> {
        self.settled(kind, name, now)?;
        match self.slot(kind, &name.key(), now) {
            None => Ok(()),
            Some(_) => Err(Refusal::new(otherwise, format!("409: the {} {name} exists already", kind.singular()))),
        }
    }

    /// Whether a plain item is no certificate's; that it is there at all is left to the caller.
    pub(super) fn not_managed(&self, kind: ItemType, name: &ItemName, now: Timestamp) -> Result<(), Refusal> {
        let certificate = self.live(ItemType::Certificates, &name.key(), now);
        let is_issued = certificate.is_some_and(|certificate| !certificate.versions.is_empty());
        if kind != ItemType::Certificates && is_issued { Err(Refusal::managed(kind, name)) } else { Ok(()) }
    }

    pub(super) fn delete(&mut self, kind: ItemType, name: &ItemName, at: Moment) -> Result<DeletedMeta, Refusal> {
        self.not_managed(kind, name, at.now)?;
        match self.settled(kind, name, at.now) {
            Err(refusal) if refusal.kind == VaultErrorKind::SoftDeleted => return Err(Refusal::not_found(kind, name)),
            settled => settled?,
        }
        let key = (kind, name.key());
        let Some(Slot::Live { item, .. }) = self.slots.remove(&key) else {
            return Err(Refusal::not_found(kind, name));
        };
        let (deleted, purge_due) = (at.second(), at.second().plus(self.retention));
        let meta = View { item: &item, kind, managed: false }.deleted_meta(deleted, purge_due);
        self.slots.insert(key, Slot::Deleted { item, deleted, purge_due, ready: at.now.plus(at.phase) });
        Ok(meta)
    }

    pub(super) fn recover(&mut self, kind: ItemType, name: &ItemName, at: Moment) -> Result<(), Refusal> {
        let item = self.take_deleted(kind, name, at.now)?;
        self.slots.insert((kind, name.key()), Slot::Live { item, ready: at.now.plus(at.phase) });
        Ok(())
    }

    pub(super) fn purge(&mut self, kind: ItemType, name: &ItemName, at: Moment) -> Result<(), Refusal> {
        self.take_deleted(kind, name, at.now).map(|_| ())
    }

    fn take_deleted(&mut self, kind: ItemType, name: &ItemName, now: Timestamp) -> Result<Item, Refusal> {
        match self.settled(kind, name, now) {
            Err(refusal) if refusal.kind == VaultErrorKind::SoftDeleted => {}
            Err(refusal) => return Err(refusal),
            Ok(()) => return Err(Refusal::not_found(kind, name)),
        }
        match self.slots.remove(&(kind, name.key())) {
            Some(Slot::Deleted { item, .. } | Slot::Live { item, .. }) => Ok(item),
            None => Err(Refusal::not_found(kind, name)),
        }
    }

    fn slot(&self, kind: ItemType, name: &str, now: Timestamp) -> Option<&Slot> {
        self.slots.get(&(kind, name.to_ascii_lowercase())).filter(|slot| slot.is_there(now))
    }

    /// Refused while an item is deleted, or on its way from or to that.
    fn settled(&self, kind: ItemType, name: &ItemName, now: Timestamp) -> Result<(), Refusal> {
        let word = kind.singular();
        match self.slot(kind, &name.key(), now) {
            Some(Slot::Deleted { ready, .. }) if *ready <= now => {
                let message = format!("409 ObjectIsDeletedButRecoverable: the {word} {name} is soft-deleted");
                Err(Refusal::new(VaultErrorKind::SoftDeleted, message))
            }
            Some(Slot::Deleted { .. }) => {
                let message = format!("409 ObjectIsBeingDeleted: the {word} {name} is being deleted");
                Err(Refusal::new(VaultErrorKind::BeingDeleted, message))
            }
            Some(Slot::Live { ready, .. }) if *ready > now => {
                let message = format!("409 ObjectIsBeingRecovered: the {word} {name} is being recovered");
                Err(Refusal::new(VaultErrorKind::BeingDeleted, message))
            }
            Some(Slot::Live { .. }) | None => Ok(()),
        }
    }
}
