//! Lists both vaults, page by page, through whichever worker answers.
//!
//! A page that was lost is asked for again, a bounded number of times; a listing that broke off leaves its inventory
//! incomplete, and what depends on absence is then not decided.

use std::time::Duration;

use actix::{Addr, Message};
use domain::{
    backoff, check,
    inventory::Inventory,
    mutant::{self, Mutant},
};
use futures::{StreamExt, future, stream};
use proto_msgs::{
    Config, CorrelationId, ErrorCode, ItemType, Recoverability,
    run::ListingFailure,
    subject::AnyWorker,
    vault::{CallCounts, CallFailure, Detail, Side},
    worker::{InventoryAnswer, InventoryPage, InventoryRequest, Listing, ResolveAnswer, ResolveVault},
};

use super::{ConfigActor, ConfigParts, any_worker};
use crate::vault_actor::Need;

/// From this try on, whoever looks at the config is told: one failure alone is not worth it.
const TELLING_TRY: u32 = 2;
/// A page's call may take ten seconds, and a worker may be busy with others.
const PAGE_LIMIT: Duration = Duration::from_secs(15);
/// Both sides, three types, two listings.
const LISTINGS_AT_ONCE: usize = 12;

/// What both vaults hold, as far as it could be listed.
pub(super) struct Inventories {
    pub source: Inventory,
    pub target: Inventory,
    pub calls: CallCounts,
    /// Listings that broke off.
    pub failures: Vec<ListingFailure>,
    /// Why a side could not be seen at all: no type's live items were listed to the end.
    pub unseen: Option<CallFailure>,
    /// The side whose vault is another one than the config was made for.
    pub replaced: Option<Side>,
}

/// A page could not be had, and not for the first time.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct PageFailed {
    /// Of the run that lists.
    pub correlation: CorrelationId,
    pub side: Side,
    pub failure: CallFailure,
}

/// One listing to make.
#[derive(Clone, Copy)]
struct Wanted {
    side: Side,
    kind: ItemType,
    listing: Listing,
}

/// One listing, as far as it came.
struct Listed {
    wanted: Wanted,
    pages: Vec<InventoryPage>,
    failure: Option<CallFailure>,
    calls: u64,
}

/// Lists both vaults; `told` hears of pages that fail, while the listing goes on.
pub(super) async fn list(
    parts: ConfigParts,
    config: Config,
    correlation: CorrelationId,
    told: Addr<ConfigActor>,
) -> Inventories {
    let kinds: Vec<ItemType> = config.spec.item_types.iter().copied().collect();
    let wanted = [Side::Source, Side::Target].into_iter().flat_map(|side| {
        let listings = [Listing::Live, Listing::Deleted];
        kinds.iter().flat_map(move |&kind| listings.map(|listing| Wanted { side, kind, listing })).collect::<Vec<_>>()
    });
    let listed = stream::iter(wanted).map(|wanted| one(&parts, &config, wanted, correlation, &told));
    let listed = listed.buffer_unordered(LISTINGS_AT_ONCE).collect::<Vec<Listed>>();
    let (listed, replaced) = future::join(listed, replaced(&parts, &config, correlation)).await;
    Inventories { replaced, ..gather(listed) }
}

/// The side whose vault has another id than the one the config was made for. Where nobody can say, none: listings and
/// attempts tell what is wrong with a vault that cannot be reached.
async fn replaced(parts: &ConfigParts, config: &Config, correlation: CorrelationId) -> Option<Side> {
    let sides =
        [(Side::Source, &config.spec.source, &config.source), (Side::Target, &config.spec.target, &config.target)];
    // One that was entered by hand has no id.
    let known = sides.into_iter().filter(|(_, _, before)| before.resource_id.is_some());
    let looked = future::join_all(known.map(|(side, reference, before)| async move {
        let question =
            parts.parts.origin.envelope(correlation, ResolveVault { side, reference: reference.clone() });
        let is_replaced = match any_worker::ask::<_, ResolveAnswer>(parts, AnyWorker::Resolve, &question, PAGE_LIMIT).await {
            Ok(Ok(now)) => check::is_replaced(before, &now),
            Ok(Err(failure)) => {
                tracing::debug!(config_id = %config.id, correlation_id = %correlation, side = side.as_str(), failure = ?failure, "vault could not be looked up");
                false
            }
            Err(error) => {
                tracing::debug!(config_id = %config.id, correlation_id = %correlation, side = side.as_str(), error = %error, "vault could not be looked up");
                false
            }
        };
        is_replaced.then_some(side)
    }));
    looked.await.into_iter().flatten().next()
}

fn gather(listed: Vec<Listed>) -> Inventories {
    let mut all = Inventories {
        source: Inventory::new(),
        target: Inventory::new(),
        calls: CallCounts::default(),
        failures: Vec::new(),
        unseen: None,
        replaced: None,
    };
    for side in [Side::Source, Side::Target] {
        let mut live =
            listed.iter().filter(|listed| listed.wanted.side == side && listed.wanted.listing == Listing::Live);
        let is_unseen = live.clone().all(|listed| listed.failure.is_some());
        all.unseen = all.unseen.or(live.find_map(|listed| listed.failure.clone()).filter(|_| is_unseen));
    }
    for Listed { wanted, pages, failure, calls } in listed {
        let inventory = match wanted.side {
            Side::Source => &mut all.source,
            Side::Target => &mut all.target,
        };
        pages.into_iter().for_each(|page| inventory.add(wanted.kind, page));
        all.calls.list += calls;
        if mutant::is(Mutant::PartialIsComplete) {
            inventory.finish(wanted.kind, wanted.listing);
        }
        match failure {
            None => inventory.finish(wanted.kind, wanted.listing),
            Some(failure) => all.failures.push(ListingFailure {
                side: wanted.side,
                kind: wanted.kind,
                listing: wanted.listing,
                code: failure.code,
                message: failure.detail.message,
            }),
        }
    }
    all.failures.sort_by_key(|failure| (failure.side, failure.kind, failure.listing));
    all
}

async fn one(
    parts: &ConfigParts,
    config: &Config,
    wanted: Wanted,
    correlation: CorrelationId,
    told: &Addr<ConfigActor>,
) -> Listed {
    let mut listed = Listed { wanted, pages: Vec::new(), failure: None, calls: 0 };
    let mut continuation = None;
    loop {
        let request = request(config, wanted, continuation);
        match page(parts, &request, correlation, told, &mut listed.calls).await {
            Ok(page) => {
                continuation = page.next.clone();
                listed.pages.push(page);
                if continuation.is_none() {
                    return listed;
                }
            }
            Err(failure) => {
                tracing::warn!(config_id = %config.id, correlation_id = %correlation, side = wanted.side.as_str(), kind = %wanted.kind, code = %failure.code, error = failure.detail.message, "listing broke off");
                listed.failure = Some(failure);
                return listed;
            }
        }
    }
}

fn request(config: &Config, wanted: Wanted, continuation: Option<String>) -> InventoryRequest {
    let vault = match wanted.side {
        Side::Source => &config.source,
        Side::Target => &config.target,
    };
    InventoryRequest {
        config: config.id,
        side: wanted.side,
        vault: vault.clone(),
        kind: wanted.kind,
        listing: wanted.listing,
        continuation,
    }
}

async fn page(
    parts: &ConfigParts,
    request: &InventoryRequest,
    correlation: CorrelationId,
    told: &Addr<ConfigActor>,
    calls: &mut u64,
) -> Result<InventoryPage, CallFailure> {
    let mut attempt = 1;
    loop {
        *calls += 1;
        let failure = match ask(parts, request, correlation).await {
            Ok(page) => return Ok(page),
            Err(failure) => failure,
        };
        let is_transient = failure.code.recoverability() == Recoverability::Auto;
        let asked = failure.retry_after_ms.map(Duration::from_millis);
        let Some(wait) = backoff::delay(attempt, asked, parts.parts.origin.jitter()).filter(|_| is_transient) else {
            return Err(failure);
        };
        if attempt >= TELLING_TRY {
            told.do_send(PageFailed { correlation, side: request.side, failure });
        }
        attempt += 1;
        tokio::time::sleep(wait).await;
    }
}

async fn ask(
    parts: &ConfigParts,
    request: &InventoryRequest,
    correlation: CorrelationId,
) -> Result<InventoryPage, CallFailure> {
    let vault = match request.side {
        Side::Source => &parts.source,
        Side::Target => &parts.target,
    };
    let need = Need { creating: 0, reads: 1 };
    let Some(permit) = vault.acquire(request.config, need, false).await else {
        return Err(no_answer("this coordinator leaves"));
    };
    let question = parts.parts.origin.envelope(correlation, request.clone());
    match any_worker::ask::<_, InventoryAnswer>(parts, AnyWorker::Inventory, &question, PAGE_LIMIT).await {
        Ok(answer) => {
            let throttled = answer.as_ref().err().filter(|failure| failure.asks_for_rest());
            permit.end(need, throttled.map(|failure| failure.retry_after_ms.map(Duration::from_millis)));
            answer
        }
        Err(error) => Err(no_answer(&error.to_string())),
    }
}

fn no_answer(why: &str) -> CallFailure {
    let message = format!("no worker gave a page of the listing: {why}");
    CallFailure { code: ErrorCode::TransientNetwork, detail: Detail::new(message), retry_after_ms: None }
}
