//! Listings, page by page, in the order of the lower-cased names.

use proto_msgs::{
    ItemType, Timestamp,
    worker::{InventoryPage, Listing},
};

use super::{refusal::Refusal, store::Store};
use crate::VaultErrorKind;

/// Azure gives at most this many.
const PAGE_MAX: usize = 25;

impl Store {
    /// One page. `is_empty`: the first one shall be, though there is more.
    pub(super) fn page(
        &self,
        kind: ItemType,
        listing: Listing,
        continuation: Option<&str>,
        is_empty: bool,
        now: Timestamp,
    ) -> Result<InventoryPage, Refusal> {
        let link = self.link(kind, listing);
        let cursor = match continuation {
            None => "",
            Some(continuation) => continuation.strip_prefix(&link).ok_or_else(|| {
                let message = "the listing goes on at another host, which is not followed";
                Refusal::new(VaultErrorKind::Unknown, message)
            })?,
        };
        let read_at = Timestamp::from_unix_seconds(now.unix_seconds());
        let mut page = InventoryPage { live: Vec::new(), deleted: Vec::new(), next: None, read_at };
        if is_empty && continuation.is_none() {
            page.next = Some(link);
            return Ok(page);
        }
        let mut last = None;
        for name in self.names_after(kind, cursor) {
            let (live, deleted) = match listing {
                Listing::Live => (self.view(kind, &name, now).map(|view| view.meta()), None),
                Listing::Deleted => (None, self.deleted(kind, &name, now)),
            };
            if live.is_none() && deleted.is_none() {
                continue;
            }
            if page.live.len() + page.deleted.len() == PAGE_MAX {
                page.next = last.map(|last: String| link + &last);
                return Ok(page);
            }
            page.live.extend(live);
            page.deleted.extend(deleted);
            last = Some(name);
        }
        Ok(page)
    }

    /// A continuation, but for the name to go on after.
    fn link(&self, kind: ItemType, listing: Listing) -> String {
        let listing = match listing {
            Listing::Live => "",
            Listing::Deleted => "deleted",
        };
        format!("{}/{listing}{kind}?after=", self.identity.uri)
    }
}
