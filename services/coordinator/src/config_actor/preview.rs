//! What the next run would do, for somebody who wants to see it first: lists both vaults as a run does, plans, and
//! writes nothing.
//!
//! One listing at a time: whoever asks meanwhile gets its answer. The whole plan is kept for a while, so that its pages
//! are of one plan under one hash.

use std::time::Duration;

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use broker::Incoming;
use proto_msgs::{
    CorrelationId, RecordKey, RequestCode, Revision, Timestamp,
    api::{ConfigReply, PAGE_MAX},
    error::Refusal,
    plan::PlanView,
};

use super::{
    ConfigActor,
    inventory::{self, Inventories},
};

/// Longest that both vaults may be listed: whoever asks gives up soon after.
const LISTING_LIMIT: Duration = Duration::from_secs(35);
/// How long the pages of a plan can be turned.
const KEPT_FOR: Duration = Duration::from_secs(120);
/// Askers that wait for one listing.
const WAITING_MAX: usize = 64;

/// A plan that is shown, and those who wait for one.
#[derive(Default)]
pub(super) struct Preview {
    waiting: Vec<Waiting>,
    shown: Option<Shown>,
}

struct Waiting {
    incoming: Incoming,
    correlation: CorrelationId,
    limit: u32,
}

struct Shown {
    /// With all of its items.
    whole: PlanView,
    until: Timestamp,
}

impl Preview {
    /// The config is another one.
    pub(super) fn forget(&mut self) {
        self.shown = None;
    }
}

impl ConfigActor {
    /// Answers with one page of a plan: the first of a new one, or a later one of the plan that was shown last.
    pub(super) fn show_plan(
        &mut self,
        incoming: &Incoming,
        correlation: CorrelationId,
        after: Option<RecordKey>,
        limit: u32,
        context: &mut Context<Self>,
    ) {
        let refusal = match (after, &self.preview.shown) {
            (Some(after), Some(shown)) => {
                let plan = Box::new(page(&shown.whole, Some(&after), limit));
                return self.reply(incoming, correlation, ConfigReply::Plan { plan }, context);
            }
            (Some(_), None) => {
                let detail = "the plan that this page is of is not kept any more";
                Some(Refusal::new(RequestCode::PlanChanged, detail, "begin with the first page again"))
            }
            (None, _) => self.refuse_plan(),
        };
        if let Some(refusal) = refusal {
            return self.reply(incoming, correlation, ConfigReply::Refused { refusal }, context);
        }
        let is_listing = !self.preview.waiting.is_empty();
        self.preview.waiting.push(Waiting { incoming: incoming.clone(), correlation, limit });
        if !is_listing {
            self.list_for_plan(correlation, context);
        }
    }

    fn refuse_plan(&self) -> Option<Refusal> {
        if !self.parts.claims.are_whole() || self.preview.waiting.len() >= WAITING_MAX {
            let detail = "the config's coordinator is not ready to plan";
            return Some(Refusal::new(RequestCode::Busy, detail, "try again in a moment"));
        }
        self.refusal().or_else(|| self.refuse_without_workers())
    }

    fn list_for_plan(&mut self, correlation: CorrelationId, context: &mut Context<Self>) {
        let (revision, address) = (self.revision, context.address());
        let listing = inventory::list(self.parts.clone(), self.config.clone(), correlation, address);
        let listing = async move { tokio::time::timeout(LISTING_LIMIT, listing).await.ok() };
        context.spawn(listing.into_actor(self).map(move |listed, actor, context| {
            let whole = actor.whole_plan(listed, revision);
            actor.preview.shown =
                whole.as_ref().ok().map(|whole| Shown { whole: whole.clone(), until: actor.now().plus(KEPT_FOR) });
            for Waiting { incoming, correlation, limit } in std::mem::take(&mut actor.preview.waiting) {
                let reply = match &whole {
                    Ok(whole) => ConfigReply::Plan { plan: Box::new(page(whole, None, limit)) },
                    Err(refusal) => ConfigReply::Refused { refusal: refusal.clone() },
                };
                actor.reply(&incoming, correlation, reply, context);
            }
        }));
    }

    fn whole_plan(&self, listed: Option<Inventories>, revision: Revision) -> Result<PlanView, Refusal> {
        let refuse = |code, detail: String, fix: &str| Err(Refusal::new(code, detail, fix));
        let Some(listed) = listed else {
            let detail = format!("the vaults could not be listed within {} s", LISTING_LIMIT.as_secs());
            return refuse(
                RequestCode::Unavailable,
                detail,
                "try again; the config's conditions say what is in the way",
            );
        };
        if self.revision != revision {
            return refuse(RequestCode::Busy, "the config was edited meanwhile".to_owned(), "ask again");
        }
        if let Some(unseen) = listed.unseen.as_ref().filter(|_| listed.replaced.is_none()) {
            let detail = format!("a vault could not be listed: {}: {}", unseen.code, unseen.detail.message);
            return refuse(
                RequestCode::Unavailable,
                detail,
                &format!("`keyferry explain {}` says what to do", unseen.code),
            );
        }
        let run = self.parts.parts.origin.run_id();
        let plan = self.plan_of(run, &listed).map_err(|error| {
            Refusal::new(RequestCode::InvalidInput, error.to_string(), "edit the config's rule and excludes")
        })?;
        let is_complete = listed.failures.is_empty() && listed.replaced.is_none();
        Ok(self.parts.claims.with(|claims| {
            let given = self.given(run, &listed, claims);
            plan.view(&given, is_complete)
        }))
    }

    pub(super) fn forget_old_plan(&mut self) {
        let now = self.now();
        if self.preview.shown.as_ref().is_some_and(|shown| shown.until <= now) {
            self.preview.forget();
        }
    }
}

/// One page, of no more than a page may have.
fn page(whole: &PlanView, after: Option<&RecordKey>, limit: u32) -> PlanView {
    domain::plan::page(whole, after, limit.clamp(1, PAGE_MAX) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::key;
    use proto_msgs::{
        SetHash,
        plan::{PlanAction, PlanItem},
    };

    fn whole(names: &[&str]) -> PlanView {
        let item = |name: &&str| PlanItem { key: key(name), action: PlanAction::Make, code: None, message: None };
        PlanView {
            items: names.iter().map(item).collect(),
            next: None,
            counts: [(PlanAction::Make, names.len() as u64)].into(),
            not_found: Vec::new(),
            complete: true,
            hash: SetHash(7),
        }
    }

    #[test]
    fn the_pages_of_a_plan_are_the_whole_plan_once_under_one_hash() {
        let whole = whole(&["a", "b", "c", "d", "e"]);
        for limit in 1..=6 {
            let (mut items, mut after) = (Vec::new(), None);
            loop {
                let page = page(&whole, after.as_ref(), limit);
                assert_eq!((page.hash, &page.counts), (whole.hash, &whole.counts));
                items.extend(page.items);
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(items, whole.items, "in pages of {limit}");
        }
    }
}
