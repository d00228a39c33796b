//! Listings of items and of versions.

use std::collections::BTreeSet;

use proto_msgs::{
    ItemType,
    vault::{DeletedMeta, ItemMeta},
    worker::Listing,
};

use super::{Broken, Claim, Stage, correlation, fails, holds, name, pair, stage};
use crate::{Vault, VaultErrorKind};

/// More pages than any listing of the stage has.
const PAGES_MAX: usize = 20;

pub(super) async fn live(vault: &dyn Vault, kind: ItemType) -> Result<Vec<ItemMeta>, Broken> {
    Ok(all(vault, kind, Listing::Live).await?.0)
}

pub(super) async fn deleted(vault: &dyn Vault, kind: ItemType) -> Result<Vec<DeletedMeta>, Broken> {
    Ok(all(vault, kind, Listing::Deleted).await?.1)
}

/// All pages of a listing, and how many there were.
async fn all(
    vault: &dyn Vault,
    kind: ItemType,
    listing: Listing,
) -> Result<(Vec<ItemMeta>, Vec<DeletedMeta>, usize), Broken> {
    let (mut live, mut deleted, mut continuation) = (Vec::new(), Vec::new(), None);
    for pages in 1..=PAGES_MAX {
        let page = vault.list(kind, listing, continuation, correlation()).await?;
        live.extend(page.live);
        deleted.extend(page.deleted);
        match page.next {
            Some(next) => continuation = Some(next),
            None => return Ok((live, deleted, pages)),
        }
    }
    Err(Broken::new("the listing has no end"))
}

fn find<'a>(items: &'a [ItemMeta], wanted: &str) -> Result<&'a ItemMeta, Broken> {
    let found = items.iter().find(|item| item.name == name(wanted));
    found.ok_or_else(|| Broken::new(format!("{wanted} is not listed")))
}

pub async fn a_listing_comes_in_pages_with_metadata(stage: &dyn Stage) -> Claim {
    let vault = pair(stage).await?.from;
    let (live, deleted, pages) = all(vault.as_ref(), ItemType::Secrets, Listing::Live).await?;
    // Plain ones, and those of five issued certificates.
    let expected = usize::try_from(stage::BULK).unwrap_or_default() + 4 + 5;
    holds!(live.len() == expected && deleted.is_empty(), "{} items, not {expected}", live.len());
    holds!(pages == expected.div_ceil(25), "{expected} items on {pages} pages");
    let names: BTreeSet<_> = live.iter().map(|item| item.name.key()).collect();
    holds!(names.len() == expected, "an item is listed twice");
    let db = find(&live, "db")?;
    holds!(db.attributes.content_type.as_deref() == Some("text/plain"), "{db:?}");
    holds!(db.attributes.tags.get("a").is_some_and(|value| value == "b"), "{db:?}");
    holds!(db.created.is_some() && db.updated.is_some() && !db.managed && db.x5t.is_none(), "{db:?}");
    holds!(!find(&live, "off")?.attributes.enabled, "a disabled secret is listed as enabled");
    let read = vault.list(ItemType::Secrets, Listing::Live, None, correlation()).await?;
    holds!(read.read_at.unix_seconds() > 0 && read.read_at.unix_millis() % 1000 == 0, "{:?}", read.read_at);
    Ok(())
}

pub async fn an_empty_page_is_not_the_end(stage: &dyn Stage) -> Claim {
    let vault = pair(stage).await?.from;
    let before = live(vault.as_ref(), ItemType::Keys).await?;
    stage.begin_with_empty_pages().await?;
    let first = vault.list(ItemType::Keys, Listing::Live, None, correlation()).await?;
    holds!(first.live.is_empty() && first.next.is_some(), "the first page is not empty");
    holds!(live(vault.as_ref(), ItemType::Keys).await? == before, "the listing differs");
    Ok(())
}

pub async fn what_a_certificate_keeps_is_listed_as_managed(stage: &dyn Stage) -> Claim {
    let vault = pair(stage).await?.from;
    for kind in [ItemType::Secrets, ItemType::Keys] {
        let live = live(vault.as_ref(), kind).await?;
        let own = find(&live, "tls")?;
        holds!(own.managed && own.x5t.is_none(), "{own:?}");
        holds!(!live.iter().any(|item| item.name == name("waiting")), "a pending certificate keeps {kind}");
        let content_type = (kind == ItemType::Secrets).then_some("application/x-pkcs12");
        holds!(own.attributes.content_type.as_deref() == content_type, "{own:?}");
    }
    holds!(!find(&live(vault.as_ref(), ItemType::Keys).await?, "signer")?.managed, "a plain key is managed");
    Ok(())
}

pub async fn certificates_are_listed_with_thumbprints_and_pending_ones_without(stage: &dyn Stage) -> Claim {
    let vault = pair(stage).await?.from;
    let live = live(vault.as_ref(), ItemType::Certificates).await?;
    holds!(live.len() == 6, "{live:?}");
    let read = vault.read_certificate(&name("tls"), correlation()).await?.value.state;
    let tls = find(&live, "tls")?;
    holds!(tls.x5t.is_some() && tls.x5t == read.x5t && tls.attributes == read.attributes, "{tls:?} {read:?}");
    holds!(tls.attributes.expires.is_some() && !tls.managed, "{tls:?}");
    holds!(find(&live, "waiting")?.x5t.is_none(), "a pending certificate has a thumbprint");
    Ok(())
}

pub async fn deleted_items_are_listed_apart_with_their_end(stage: &dyn Stage) -> Claim {
    let vault = pair(stage).await?.from;
    for (kind, gone) in
        [(ItemType::Secrets, "gone"), (ItemType::Certificates, "gone-cert"), (ItemType::Keys, "gone-key")]
    {
        let (live, deleted, _) = all(vault.as_ref(), kind, Listing::Deleted).await?;
        holds!(live.is_empty() && deleted.len() == 1, "{kind}: {live:?} {deleted:?}");
        let meta = &deleted[0];
        holds!(meta.item.name == name(gone) && meta.deleted.is_some(), "{meta:?}");
        holds!(meta.purge_due > meta.deleted, "{meta:?}");
        let read = vault.read_deleted(kind, &name(gone), correlation()).await?.value;
        holds!(read == *meta, "{read:?} {meta:?}");
    }
    Ok(())
}

pub async fn a_continuation_elsewhere_is_not_followed(stage: &dyn Stage) -> Claim {
    let vault = pair(stage).await?.from;
    for link in ["https://evil.example/secrets?$skiptoken=x", "http://from-kv.vault.localhost/secrets", "nonsense"] {
        let listed = vault.list(ItemType::Secrets, Listing::Live, Some(link.to_owned()), correlation()).await;
        fails(link, listed, VaultErrorKind::Unknown)?;
    }
    Ok(())
}

pub async fn versions_are_listed_for_every_type(stage: &dyn Stage) -> Claim {
    let vault = pair(stage).await?.from;
    for (kind, item, count) in [
        (ItemType::Secrets, "many", 3),
        (ItemType::Certificates, "tls", 1),
        (ItemType::Keys, "signer", 3),
        (ItemType::Keys, "endless", 501),
        // What a certificate keeps has its versions.
        (ItemType::Secrets, "tls", 1),
        (ItemType::Keys, "tls", 1),
    ] {
        let versions = vault.versions(kind, &name(item), correlation()).await?.value;
        let ids: BTreeSet<_> = versions.iter().map(|version| version.version.as_str()).collect();
        holds!(versions.len() == count && ids.len() == count, "{kind}/{item}: {} versions", versions.len());
        holds!(versions.iter().all(|version| version.created.is_some() && version.enabled), "{kind}/{item}");
        holds!(versions.is_sorted_by_key(|version| version.created), "{kind}/{item}: not by age");
    }
    Ok(())
}

pub async fn no_item_has_no_versions(stage: &dyn Stage) -> Claim {
    let vault = pair(stage).await?.from;
    for kind in ItemType::ALL {
        let versions = vault.versions(kind, &name("absent"), correlation()).await?.value;
        holds!(versions.is_empty(), "{versions:?}");
    }
    Ok(())
}
