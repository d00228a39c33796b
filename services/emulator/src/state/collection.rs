//! The live and the soft-deleted items of one kind, in the order of their lower-cased names.
//!
//! Invariants: a name is live, or deleted, or neither, never both; what is past its retention is gone. Deleting and
//! recovering take a while, as in Azure: until then an item is in neither listing and its name cannot be used.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Unbounded},
};

use serde::{Deserialize, Serialize};

use crate::{error::ApiError, state::attributes::Protection};

/// The kinds of items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Secret,
    Key,
    Certificate,
}

impl Kind {
    /// As Azure's messages write it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Secret => "Secret",
            Self::Key => "Key",
            Self::Certificate => "Certificate",
        }
    }

    /// As paths write it.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Secret => "secrets",
            Self::Key => "keys",
            Self::Certificate => "certificates",
        }
    }

    /// 404 for a live item.
    pub fn not_found(self, name: &str) -> ApiError {
        let word = self.word().to_ascii_lowercase();
        ApiError::new(
            404,
            format!("{}NotFound", self.word()),
            format!(
                "A {word} with (name/id) {name} was not found in this key vault. If you recently deleted this {word} you \
                 may be able to recover it using the correct recovery command. For help resolving this issue, please see \
                 https://go.microsoft.com/fwlink/?linkid=2125182"
            ),
        )
    }

    /// 404 for a deleted item.
    pub fn deleted_not_found(self, name: &str) -> ApiError {
        let word = self.word();
        ApiError::new(404, format!("{word}NotFound"), format!("Deleted {word} not found: {name}"))
    }

    /// 409 for a name that is taken by a live item.
    pub fn exists(self, name: &str) -> ApiError {
        let word = self.word();
        ApiError::new(409, "Conflict", format!("{word} {name} already exists in this key vault."))
    }
}

/// How long deleting and recovering take, in milliseconds.
pub type Phase = i64;

#[derive(Clone, Serialize, Deserialize)]
struct Live<I> {
    item: I,
    /// Being recovered until then, by the emulator's clock.
    ready_at_ms: i64,
}

/// A soft-deleted item.
#[derive(Clone, Serialize, Deserialize)]
pub struct Deleted<I> {
    pub item: I,
    /// Seconds since 1970.
    pub deleted_at: i64,
    pub purge_at: i64,
    /// Being deleted until then.
    ready_at_ms: i64,
}

impl<I> Deleted<I> {
    fn is_there(&self, now_ms: i64) -> bool {
        now_ms < self.purge_at.saturating_mul(1_000)
    }

    fn is_ready(&self, now_ms: i64) -> bool {
        self.ready_at_ms <= now_ms && self.is_there(now_ms)
    }
}

/// The items of one kind.
#[derive(Clone, Serialize, Deserialize)]
pub struct Collection<I> {
    live: BTreeMap<String, Live<I>>,
    deleted: BTreeMap<String, Deleted<I>>,
}

impl<I> Default for Collection<I> {
    fn default() -> Self {
        Self { live: BTreeMap::new(), deleted: BTreeMap::new() }
    }
}

impl<I> Collection<I> {
    /// A live item that is not just being recovered.
    pub fn find(&self, name: &str, now_ms: i64) -> Option<&I> {
        self.live.get(&key(name)).filter(|live| live.ready_at_ms <= now_ms).map(|live| &live.item)
    }

    pub fn find_mut(&mut self, name: &str, now_ms: i64) -> Option<&mut I> {
        self.live.get_mut(&key(name)).filter(|live| live.ready_at_ms <= now_ms).map(|live| &mut live.item)
    }

    /// Whether the name may be written: not while it is deleted, or on its way from or to that.
    pub fn writable(&self, kind: Kind, name: &str, now_ms: i64) -> Result<(), ApiError> {
        let (word, lower) = (kind.word(), key(name));
        if let Some(deleted) = self.deleted.get(&lower).filter(|deleted| deleted.is_there(now_ms)) {
            return Err(if deleted.is_ready(now_ms) { recoverable(kind, name) } else { being_deleted(kind, name) });
        }
        match self.live.get(&lower) {
            Some(live) if live.ready_at_ms > now_ms => Err(ApiError::conflict(
                "ObjectIsBeingRecovered",
                format!("{word} {name} is currently being recovered and cannot be re-created; retry later."),
            )),
            _ => Ok(()),
        }
    }

    /// Whether the name is neither live nor deleted.
    pub fn free(&self, kind: Kind, name: &str, now_ms: i64) -> Result<(), ApiError> {
        self.writable(kind, name, now_ms)?;
        match self.live.contains_key(&key(name)) {
            true => Err(kind.exists(name)),
            false => Ok(()),
        }
    }

    /// The live item of that name, made if there is none; the caller made sure that the name is writable.
    pub fn find_or_insert(&mut self, name: &str, make: impl FnOnce() -> I) -> &mut I {
        let lower = key(name);
        self.deleted.remove(&lower);
        &mut self.live.entry(lower).or_insert_with(|| Live { item: make(), ready_at_ms: i64::MIN }).item
    }

    /// Puts an item in place; the caller made sure that its name is writable.
    pub fn insert(&mut self, name: &str, item: I) {
        let lower = key(name);
        self.deleted.remove(&lower);
        self.live.insert(lower, Live { item, ready_at_ms: i64::MIN });
    }

    /// Takes a live item away for good, without keeping it.
    pub fn remove(&mut self, name: &str) {
        self.live.remove(&key(name));
    }

    /// Soft-deletes an item.
    pub fn delete(&mut self, kind: Kind, name: &str, at: Moment) -> Result<&Deleted<I>, ApiError> {
        self.writable(kind, name, at.now_ms).map_err(|error| match error.inner.as_deref() {
            Some("ObjectIsDeletedButRecoverable") => kind.not_found(name),
            _ => error,
        })?;
        let lower = key(name);
        let live = self.live.remove(&lower).ok_or_else(|| kind.not_found(name))?;
        let deleted_at = at.now_ms.div_euclid(1_000);
        let deleted = Deleted {
            item: live.item,
            deleted_at,
            purge_at: deleted_at + i64::from(at.protection.days) * 86_400,
            ready_at_ms: at.ready_at_ms(),
        };
        // What is past its retention is forgotten at each doubling, so that it cannot pile up and costs next to nothing.
        if self.deleted.len().is_power_of_two() {
            self.deleted.retain(|_, deleted| deleted.is_there(at.now_ms));
        }
        self.deleted.remove(&lower);
        Ok(self.deleted.entry(lower).or_insert(deleted))
    }

    /// A deleted item, once deleting it is over.
    pub fn find_deleted(&self, name: &str, now_ms: i64) -> Option<&Deleted<I>> {
        self.deleted.get(&key(name)).filter(|deleted| deleted.is_ready(now_ms))
    }

    /// Brings a deleted item back.
    pub fn recover(&mut self, kind: Kind, name: &str, at: Moment) -> Result<&I, ApiError> {
        let lower = key(name);
        self.settled(kind, name, at.now_ms)?;
        let deleted = self.deleted.remove(&lower).ok_or_else(|| kind.deleted_not_found(name))?;
        let live = Live { item: deleted.item, ready_at_ms: at.ready_at_ms() };
        self.live.remove(&lower);
        Ok(&self.live.entry(lower).or_insert(live).item)
    }

    /// Forgets a deleted item.
    pub fn purge(&mut self, kind: Kind, name: &str, at: Moment) -> Result<(), ApiError> {
        self.settled(kind, name, at.now_ms)?;
        if at.protection.purge_protection {
            let message = format!(
                "Operation \"purge\" is not allowed because purge protection is enabled for this vault. Key Vault service \
                 will automatically purge it after the retention period has passed.\r\n{} {name}",
                kind.word()
            );
            return Err(ApiError::new(403, "Forbidden", message));
        }
        self.deleted.remove(&key(name));
        Ok(())
    }

    /// Live items after `cursor`, in order.
    pub fn after<'a>(
        &'a self,
        cursor: Option<&str>,
        now_ms: i64,
    ) -> impl Iterator<Item = (&'a str, &'a I)> + use<'a, I> {
        let from = cursor.map_or(Unbounded, |cursor| Excluded(cursor.to_owned()));
        let ready = self.live.range((from, Unbounded)).filter(move |(_, live)| live.ready_at_ms <= now_ms);
        ready.map(|(name, live)| (name.as_str(), &live.item))
    }

    /// Deleted items after `cursor`, in order.
    pub fn deleted_after<'a>(
        &'a self,
        cursor: Option<&str>,
        now_ms: i64,
    ) -> impl Iterator<Item = (&'a str, &'a Deleted<I>)> + use<'a, I> {
        let from = cursor.map_or(Unbounded, |cursor| Excluded(cursor.to_owned()));
        let ready = self.deleted.range((from, Unbounded)).filter(move |(_, deleted)| deleted.is_ready(now_ms));
        ready.map(|(name, deleted)| (name.as_str(), deleted))
    }

    /// The deleted item is there, and deleting it is over.
    fn settled(&self, kind: Kind, name: &str, now_ms: i64) -> Result<(), ApiError> {
        match self.deleted.get(&key(name)).filter(|deleted| deleted.is_there(now_ms)) {
            None => Err(kind.deleted_not_found(name)),
            Some(deleted) if !deleted.is_ready(now_ms) => Err(being_deleted(kind, name)),
            Some(_) => Ok(()),
        }
    }
}

/// When something happens, and how the vault keeps what is deleted.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    pub now_ms: i64,
    pub phase_ms: Phase,
    pub protection: Protection,
}

impl Moment {
    /// Seconds since 1970.
    pub const fn now(&self) -> i64 {
        self.now_ms.div_euclid(1_000)
    }

    /// When what begins now is over.
    const fn ready_at_ms(&self) -> i64 {
        self.now_ms.saturating_add(self.phase_ms)
    }
}

/// Names compare without case, as in Key Vault.
fn key(name: &str) -> String {
    name.to_ascii_lowercase()
}

fn being_deleted(kind: Kind, name: &str) -> ApiError {
    let word = kind.word();
    let message = format!("{word} {name} is currently being deleted and cannot be re-created; retry later.");
    ApiError::conflict("ObjectIsBeingDeleted", message)
}

fn recoverable(kind: Kind, name: &str) -> ApiError {
    let word = kind.word();
    let message = format!(
        "{word} {name} is currently in a deleted but recoverable state, and its name cannot be reused; in this state, the \
         {} can only be recovered or purged.",
        word.to_ascii_lowercase()
    );
    ApiError::conflict("ObjectIsDeletedButRecoverable", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROTECTION: Protection = Protection { days: 7, purge_protection: false };

    fn at(now_ms: i64) -> Moment {
        Moment { now_ms, phase_ms: 200, protection: PROTECTION }
    }

    fn inner(result: Result<(), ApiError>) -> String {
        result.unwrap_err().inner.unwrap_or_default()
    }

    fn filled() -> Collection<&'static str> {
        let mut collection = Collection::default();
        for name in ["Alpha", "beta", "gamma"] {
            collection.insert(name, name);
        }
        collection
    }

    #[test]
    fn deleting_goes_through_being_deleted_to_recoverable_to_gone() {
        let mut collection = filled();
        collection.delete(Kind::Secret, "ALPHA", at(1_000)).unwrap();
        assert!(collection.find("alpha", 1_000).is_none() && collection.find_deleted("alpha", 1_100).is_none());
        assert_eq!(inner(collection.writable(Kind::Secret, "alpha", 1_199)), "ObjectIsBeingDeleted");
        assert_eq!(inner(collection.recover(Kind::Secret, "alpha", at(1_199)).map(|_| ())), "ObjectIsBeingDeleted");
        assert!(collection.find_deleted("alpha", 1_200).is_some());
        assert_eq!(inner(collection.writable(Kind::Secret, "alpha", 1_200)), "ObjectIsDeletedButRecoverable");
        let over = 1_000 + 7 * 86_400_000;
        assert!(collection.find_deleted("alpha", over).is_none());
        assert!(collection.writable(Kind::Secret, "alpha", over).is_ok());
    }

    #[test]
    fn recovering_takes_a_while_and_then_the_item_is_back() {
        let mut collection = filled();
        collection.delete(Kind::Key, "beta", at(0)).unwrap();
        collection.recover(Kind::Key, "beta", at(500)).unwrap();
        assert!(collection.find("beta", 600).is_none());
        assert_eq!(inner(collection.writable(Kind::Key, "beta", 600)), "ObjectIsBeingRecovered");
        assert_eq!(collection.find("beta", 700), Some(&"beta"));
    }

    #[test]
    fn a_purged_name_is_free_and_purge_protection_forbids_it() {
        let mut collection = filled();
        collection.delete(Kind::Secret, "beta", at(0)).unwrap();
        let protected = Moment { protection: Protection { purge_protection: true, ..PROTECTION }, ..at(300) };
        assert_eq!(collection.purge(Kind::Secret, "beta", protected).unwrap_err().status, 403);
        collection.purge(Kind::Secret, "beta", at(300)).unwrap();
        assert!(collection.free(Kind::Secret, "beta", 300).is_ok());
        assert_eq!(collection.free(Kind::Secret, "alpha", 300).unwrap_err().status, 409);
    }

    #[test]
    fn a_listing_goes_on_after_its_cursor() {
        let mut collection = filled();
        collection.delete(Kind::Secret, "gamma", at(0)).unwrap();
        let names = |cursor: Option<&str>| collection.after(cursor, 0).map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(None), ["alpha", "beta"]);
        assert_eq!(names(Some("alpha")), ["beta"]);
        // The cursor's own item may be gone by then.
        assert_eq!(names(Some("azzz")), ["beta"]);
        assert_eq!(collection.deleted_after(None, 200).count(), 1);
        assert_eq!(collection.deleted_after(None, 199).count(), 0);
    }

    #[test]
    fn what_is_past_its_retention_does_not_pile_up() {
        let mut collection = Collection::default();
        for n in 0..1_000_i64 {
            let name = n.to_string();
            collection.insert(&name, n);
            collection.delete(Kind::Secret, &name, at(n * 86_400_000)).unwrap();
        }
        assert!(collection.deleted.len() <= 16, "{} are kept", collection.deleted.len());
        assert_eq!(collection.deleted_after(None, 999 * 86_400_000 + 200).count(), 7);
    }

    #[test]
    fn a_phase_without_end_is_one() {
        let mut collection = filled();
        let endless = Moment { phase_ms: i64::MAX, ..at(1_000) };
        collection.delete(Kind::Secret, "alpha", endless).unwrap();
        assert_eq!(inner(collection.writable(Kind::Secret, "alpha", 2_000)), "ObjectIsBeingDeleted");
    }
}
