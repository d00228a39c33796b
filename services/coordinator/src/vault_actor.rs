//! The budget of one vault: who may call it, and when.
//!
//! One actor per vault and process. It gives permits in turns between the configs that wait, and learns from each
//! attempt's end what was called and whether the vault throttled. Beside it lies how the vault fares, which all configs
//! that use it look at before they ask for a permit. Deliberately absent: calls, and what they are for.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
    rc::Rc,
    time::Duration,
};

use actix::{Actor, Addr, AsyncContext, Context, Handler, Message, SpawnHandle};
use domain::{
    backoff::RETRY_AFTER_MAX,
    health::{Health, Held, Turn},
    pacing::{WeightedRoundRobin, Window},
};
use proto_msgs::{ConfigId, ErrorCode};
use runtime::{BootTime, Origin};
use tokio::sync::oneshot;

use crate::settings::CoordinatorSettings;

/// Every config has a few hundred dispatches waiting at most; a mailbox this full means that the actor is stuck.
const MAILBOX_CAPACITY: usize = 4_096;
/// Longest between two looks while somebody waits: a window frees places by itself, seldom exactly then.
const LOOK_LIMIT: Duration = Duration::from_millis(250);
/// Shortest: a window of thousands frees many places a second.
const LOOK_LEAST: Duration = Duration::from_millis(2);
/// A vault that asks for less than this is not worth telling of.
const TOLD_FROM: Duration = Duration::from_secs(10);
/// Every config counts alike.
const WEIGHT: u32 = 1;

/// Calls of an attempt, by what Azure counts them as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Need {
    pub creating: u32,
    pub reads: u32,
}

/// The right to make calls. Dropped without word, all of them count as made.
#[derive(Debug)]
pub(crate) struct Permit {
    vault: Addr<VaultActor>,
    need: Need,
    is_ended: bool,
}

impl Permit {
    /// The attempt ended, having made these calls.
    pub(crate) fn end(mut self, made: Need, throttled: Option<Option<Duration>>) {
        self.is_ended = true;
        self.vault.do_send(Ended { permitted: self.need, made, throttled });
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.is_ended {
            self.vault.do_send(Ended { permitted: self.need, made: self.need, throttled: None });
        }
    }
}

/// A permit that was asked for. Whoever gives up waiting leaves the queue, and gives back what came too late.
struct Asked(oneshot::Receiver<Permit>);

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.close();
        if let Ok(permit) = self.0.try_recv() {
            permit.end(Need::default(), None);
        }
    }
}

/// A handle to one vault's budget and health. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct VaultHandle {
    actor: Addr<VaultActor>,
    health: Rc<RefCell<Health>>,
    left_alone_until: Rc<Cell<Option<BootTime>>>,
}

impl VaultHandle {
    pub(crate) fn start(uri: String, origin: Origin, settings: &CoordinatorSettings) -> Self {
        let left_alone_until = Rc::default();
        let actor = VaultActor {
            uri,
            left_alone_until: Rc::clone(&left_alone_until),
            origin,
            creating: Window::new(settings.creating_writes_per_10s),
            reads: Window::new(settings.reads_per_10s),
            turns: WeightedRoundRobin::default(),
            waiting: BTreeMap::new(),
            held_until: None,
            look: None,
        };
        Self { actor: actor.start(), health: Rc::default(), left_alone_until }
    }

    /// Somebody else may have called this vault until now.
    pub(crate) fn go_cautiously(&self) {
        self.actor.do_send(GoCautiously);
    }

    /// Waits for a permit, as long as it is polled. None: the actor is gone, with the rest of this coordinator.
    pub(crate) async fn acquire(&self, config: ConfigId, need: Need, is_urgent: bool) -> Option<Permit> {
        let (answer, permit) = oneshot::channel();
        let mut asked = Asked(permit);
        self.actor.send(Acquire { config, is_urgent, waiting: Waiting { need, answer } }).await.ok()?;
        (&mut asked.0).await.ok()
    }

    /// What may be dispatched to the vault.
    pub(crate) fn turn(&self, now: BootTime) -> Turn {
        self.health.borrow().turn(now.as_duration())
    }

    /// Why nothing but probes is dispatched to it.
    pub(crate) fn held(&self) -> Option<Held> {
        self.health.borrow().held().cloned()
    }

    /// How long nothing is sent to it, since it throttles and asked for that; none: it did not, or only for a moment.
    pub(crate) fn left_alone_for(&self, now: BootTime) -> Option<Duration> {
        let until = self.left_alone_until.get().filter(|until| now < *until)?;
        Some(until.as_duration().saturating_sub(now.as_duration()))
    }

    /// The one attempt that decides for all is on its way.
    pub(crate) fn probe(&self, now: BootTime) {
        self.health.borrow_mut().probe(now.as_duration());
    }

    pub(crate) fn answered(&self) {
        self.health.borrow_mut().answered();
    }

    /// An attempt failed at this vault. True: it is held from now on.
    pub(crate) fn failed(&self, code: ErrorCode, now: BootTime) -> bool {
        self.health.borrow_mut().failed(code, now.as_duration())
    }
}

/// The budget of one vault.
pub(crate) struct VaultActor {
    uri: String,
    origin: Origin,
    creating: Window,
    reads: Window,
    turns: WeightedRoundRobin<ConfigId>,
    waiting: BTreeMap<ConfigId, Queue>,
    /// Azure asked to be left alone until then.
    held_until: Option<BootTime>,
    /// The same, where it is long enough to be told.
    left_alone_until: Rc<Cell<Option<BootTime>>>,
    look: Option<SpawnHandle>,
}

struct Waiting {
    need: Need,
    answer: oneshot::Sender<Permit>,
}

/// What one config waits for: what somebody asked for goes before bulk work.
#[derive(Default)]
struct Queue {
    urgent: VecDeque<Waiting>,
    bulk: VecDeque<Waiting>,
}

impl Queue {
    fn push(&mut self, waiting: Waiting, is_urgent: bool) {
        if is_urgent { self.urgent.push_back(waiting) } else { self.bulk.push_back(waiting) }
    }

    fn next_need(&self) -> Option<Need> {
        self.urgent.front().or(self.bulk.front()).map(|waiting| waiting.need)
    }

    fn pop(&mut self) -> Option<Waiting> {
        self.urgent.pop_front().or_else(|| self.bulk.pop_front())
    }

    /// Forgets who no longer waits, so that nobody's turn is spent on them.
    fn drop_gone(&mut self) {
        self.urgent.retain(|waiting| !waiting.answer.is_closed());
        while self.bulk.front().is_some_and(|waiting| waiting.answer.is_closed()) {
            self.bulk.pop_front();
        }
    }
}

/// Answered by what waits: a future of this actor's own would go on waiting when nobody does.
#[derive(Message)]
#[rtype(result = "()")]
struct Acquire {
    config: ConfigId,
    is_urgent: bool,
    waiting: Waiting,
}

#[derive(Message)]
#[rtype(result = "()")]
struct GoCautiously;

#[derive(Message)]
#[rtype(result = "()")]
struct Ended {
    permitted: Need,
    made: Need,
    /// The vault throttled; how long it asked for, if it said.
    throttled: Option<Option<Duration>>,
}

impl Actor for VaultActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(MAILBOX_CAPACITY);
    }
}

impl Handler<Acquire> for VaultActor {
    type Result = ();

    fn handle(&mut self, Acquire { config, is_urgent, waiting }: Acquire, context: &mut Self::Context) {
        self.turns.set(config, WEIGHT);
        self.waiting.entry(config).or_default().push(waiting, is_urgent);
        self.give(context);
    }
}

impl Handler<GoCautiously> for VaultActor {
    type Result = ();

    fn handle(&mut self, _: GoCautiously, _: &mut Context<Self>) {
        let now = self.origin.boot().as_duration();
        self.creating.go_cautiously(now);
        self.reads.go_cautiously(now);
    }
}

impl Handler<Ended> for VaultActor {
    type Result = ();

    fn handle(&mut self, message: Ended, context: &mut Self::Context) {
        let now = self.origin.boot();
        self.creating.end(message.permitted.creating, message.made.creating, now.as_duration());
        self.reads.end(message.permitted.reads, message.made.reads, now.as_duration());
        if let Some(retry_after) = message.throttled {
            self.creating.throttled(now.as_duration());
            self.reads.throttled(now.as_duration());
            self.leave_alone(retry_after.unwrap_or_default().min(RETRY_AFTER_MAX), now);
        }
        self.give(context);
    }
}

impl VaultActor {
    fn leave_alone(&mut self, wait: Duration, now: BootTime) {
        self.held_until = self.held_until.max(Some(now.plus(wait)));
        if wait >= TOLD_FROM && self.left_alone_until.get() < self.held_until {
            tracing::warn!(vault = self.uri, seconds = wait.as_secs(), "vault throttles and asked to be left alone");
            self.left_alone_until.set(self.held_until);
        }
    }

    /// Gives what can be given, and looks again when more may be.
    fn give(&mut self, context: &mut Context<Self>) {
        let now = self.origin.boot();
        let is_held = self.held_until.is_some_and(|until| now < until);
        while !is_held && self.give_one(now, context) {}
        self.look_again(now, context);
    }

    /// Gives the next permit to whose turn it is among those whose need fits: one whose calls do not fit yet must not
    /// stand in the way of those that do.
    fn give_one(&mut self, now: BootTime, context: &mut Context<Self>) -> bool {
        let at = now.as_duration();
        self.waiting.values_mut().for_each(Queue::drop_gone);
        let fitting: BTreeMap<ConfigId, Need> = self
            .waiting
            .iter()
            .filter_map(|(config, queue)| queue.next_need().map(|need| (*config, need)))
            .filter(|(_, need)| self.creating.has_room(need.creating, at) && self.reads.has_room(need.reads, at))
            .collect();
        let Some(config) = self.turns.next(|config| fitting.contains_key(config)) else { return false };
        let Some(queue) = self.waiting.get_mut(&config) else { return false };
        if let Some(first) = queue.pop() {
            let need = first.need;
            self.creating.take(need.creating);
            self.reads.take(need.reads);
            let permit = Permit { vault: context.address(), need, is_ended: false };
            if let Err(permit) = first.answer.send(permit) {
                permit.end(Need::default(), None);
            }
        }
        if queue.next_need().is_none() {
            self.waiting.remove(&config);
            self.turns.remove(&config);
        }
        true
    }

    fn look_again(&mut self, now: BootTime, context: &mut Context<Self>) {
        if let Some(look) = self.look.take() {
            context.cancel_future(look);
        }
        self.waiting.retain(|_, queue| queue.next_need().is_some());
        if self.waiting.is_empty() {
            return;
        }
        let free = [self.creating.next_free(), self.reads.next_free()].into_iter().flatten().min();
        let wait = free.map_or(LOOK_LIMIT, |free| free.saturating_sub(now.as_duration()));
        self.look = Some(context.run_later(wait.clamp(LOOK_LEAST, LOOK_LIMIT), |actor, context| {
            actor.look = None;
            actor.give(context);
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::config_id;
    use runtime::{SeededEntropy, TokioClock};
    use std::sync::Arc;
    use tokio::time::timeout;

    const ONE: Need = Need { creating: 0, reads: 1 };

    fn vault(reads_per_10s: u32) -> VaultHandle {
        let clock = Arc::new(TokioClock::new(crate::fixtures::at(0)));
        let origin = Origin::new(clock, Arc::new(SeededEntropy::new(1)), "coordinator-1".parse().unwrap());
        VaultHandle::start(
            "https://a-kv".to_owned(),
            origin,
            &CoordinatorSettings { reads_per_10s, ..CoordinatorSettings::default() },
        )
    }

    #[actix_rt::test]
    async fn who_waits_no_longer_takes_nobodys_place() {
        tokio::time::pause();
        let vault = vault(2);
        let acquire = || vault.acquire(config_id(1), ONE, false);
        let held = [acquire().await.unwrap(), acquire().await.unwrap()];
        for _ in 0..100 {
            assert!(timeout(Duration::from_millis(10), acquire()).await.is_err());
        }
        let waits = acquire();
        held.into_iter().for_each(|permit| permit.end(Need::default(), None));
        assert!(timeout(Duration::from_secs(1), waits).await.unwrap().is_some());
        assert!(timeout(Duration::from_secs(1), acquire()).await.unwrap().is_some());
    }

    #[actix_rt::test]
    async fn a_vault_that_throttles_is_left_alone_as_long_as_it_asks_and_never_for_hours() {
        tokio::time::pause();
        let vault = vault(9);
        let throttled = async |wait: Duration| {
            vault.acquire(config_id(1), ONE, false).await.unwrap().end(ONE, Some(Some(wait)));
            tokio::time::sleep(Duration::from_millis(1)).await;
        };
        throttled(Duration::from_secs(2)).await;
        assert_eq!(vault.left_alone_until.get(), None, "not worth telling");
        throttled(Duration::from_secs(3_600)).await;
        assert!(vault.left_alone_until.get().is_some());
        let since = tokio::time::Instant::now();
        assert!(vault.acquire(config_id(1), ONE, false).await.is_some());
        assert!((RETRY_AFTER_MAX - TOLD_FROM..RETRY_AFTER_MAX + TOLD_FROM).contains(&since.elapsed()));
    }

    #[actix_rt::test]
    async fn a_permit_that_comes_to_who_has_gone_counts_as_no_call() {
        tokio::time::pause();
        let vault = vault(1);
        for _ in 0..10 {
            // Asked for, given, and never looked at.
            let mut asked = Box::pin(vault.acquire(config_id(1), ONE, false));
            assert!(futures::poll!(&mut asked).is_pending());
            tokio::time::sleep(Duration::from_millis(10)).await;
            drop(asked);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let permit = vault.acquire(config_id(1), ONE, false);
        assert!(timeout(Duration::from_secs(1), permit).await.unwrap().is_some());
    }
}
