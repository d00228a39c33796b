//! The budget of one vault: who may call it, and when.
//!
//! One actor per vault and process. It gives permits in turns between the configs that wait, and learns from each
//! attempt's end what was called and whether the vault throttled. Deliberately absent: calls, and what they are for.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use actix::{Actor, Addr, AsyncContext, Context, Handler, Message, ResponseFuture, SpawnHandle};
use domain::pacing::{WeightedRoundRobin, Window};
use proto_msgs::ConfigId;
use runtime::{BootTime, Origin};
use tokio::sync::oneshot;

use crate::settings::CoordinatorSettings;

/// Every config has a few hundred dispatches waiting at most; a mailbox this full means that the actor is stuck.
const MAILBOX_CAPACITY: usize = 4_096;
/// Longest between two looks while somebody waits: a window frees places by itself, seldom exactly then.
const LOOK_LIMIT: Duration = Duration::from_millis(250);
/// Shortest: a window of thousands frees many places a second.
const LOOK_LEAST: Duration = Duration::from_millis(2);
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

/// A handle to one vault's budget. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct VaultHandle(Addr<VaultActor>);

impl VaultHandle {
    pub(crate) fn start(origin: Origin, settings: &CoordinatorSettings, is_cautious: bool) -> Self {
        let now = origin.boot();
        let mut actor = VaultActor {
            origin,
            creating: Window::new(settings.creating_writes_per_10s),
            reads: Window::new(settings.reads_per_10s),
            turns: WeightedRoundRobin::default(),
            waiting: BTreeMap::new(),
            held_until: None,
            look: None,
        };
        if is_cautious {
            actor.creating.start_cautiously(now.as_duration());
            actor.reads.start_cautiously(now.as_duration());
        }
        Self(actor.start())
    }

    /// Waits for a permit. None: the actor is gone, with the rest of this coordinator.
    pub(crate) async fn acquire(&self, config: ConfigId, need: Need) -> Option<Permit> {
        self.0.send(Acquire { config, need }).await.ok()?
    }
}

/// The budget of one vault.
pub(crate) struct VaultActor {
    origin: Origin,
    creating: Window,
    reads: Window,
    turns: WeightedRoundRobin<ConfigId>,
    waiting: BTreeMap<ConfigId, VecDeque<Waiting>>,
    /// Azure asked to be left alone until then.
    held_until: Option<BootTime>,
    look: Option<SpawnHandle>,
}

struct Waiting {
    need: Need,
    answer: oneshot::Sender<Option<Permit>>,
}

#[derive(Message)]
#[rtype(result = "Option<Permit>")]
struct Acquire {
    config: ConfigId,
    need: Need,
}

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
    type Result = ResponseFuture<Option<Permit>>;

    fn handle(&mut self, message: Acquire, context: &mut Self::Context) -> Self::Result {
        let (answer, permit) = oneshot::channel();
        self.turns.set(message.config, WEIGHT);
        self.waiting.entry(message.config).or_default().push_back(Waiting { need: message.need, answer });
        self.give(context);
        Box::pin(async { permit.await.ok().flatten() })
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
            let until = now.plus(retry_after.unwrap_or_default());
            self.held_until = self.held_until.max(Some(until));
        }
        self.give(context);
    }
}

impl VaultActor {
    /// Gives what can be given, and looks again when more may be.
    fn give(&mut self, context: &mut Context<Self>) {
        let now = self.origin.boot();
        let is_held = self.held_until.is_some_and(|until| now < until);
        while !is_held && self.give_one(now, context) {}
        self.look_again(now, context);
    }

    fn give_one(&mut self, now: BootTime, context: &mut Context<Self>) -> bool {
        let waiting = &self.waiting;
        let has_work = |config: &ConfigId| waiting.get(config).is_some_and(|queue| !queue.is_empty());
        let Some(config) = self.turns.peek(has_work) else { return false };
        let Some(need) = self.waiting.get(&config).and_then(|queue| queue.front()).map(|waiting| waiting.need) else {
            return false;
        };
        let now = now.as_duration();
        if !self.creating.try_take(need.creating, now) {
            return false;
        }
        if !self.reads.try_take(need.reads, now) {
            self.creating.end(need.creating, 0, now);
            return false;
        }
        self.turns.next(has_work);
        let queue = self.waiting.entry(config).or_default();
        if let Some(first) = queue.pop_front() {
            let permit = Permit { vault: context.address(), need, is_ended: false };
            // Whoever waited may have gone; the permit comes back by being dropped, as calls that were not made.
            if let Err(Some(permit)) = first.answer.send(Some(permit)) {
                permit.end(Need::default(), None);
            }
        }
        if self.waiting.get(&config).is_some_and(VecDeque::is_empty) {
            self.waiting.remove(&config);
            self.turns.remove(&config);
        }
        true
    }

    fn look_again(&mut self, now: BootTime, context: &mut Context<Self>) {
        if let Some(look) = self.look.take() {
            context.cancel_future(look);
        }
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
