//! Being one of several: the own heartbeat, what is heard of the others, and the slots that follow from both.
//!
//! Three tasks of their own, so that a store that is slow keeps neither the beat from going out nor the lapse of a lease
//! from being noticed. Deliberately absent: what is done with a slot.

use std::{cell::RefCell, collections::BTreeSet, rc::Rc};

use broker::Incoming;
use domain::timing::HEARTBEAT_EVERY;
use futures::{StreamExt, stream::BoxStream};
use proto_msgs::{
    Slot, Timestamp,
    worker::{Heartbeat, Role},
};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use crate::{
    CoordinatorError, CoordinatorParts,
    fleet::{Fleet, LOOK_EVERY},
    slots::Slots,
};

/// The slots in whose configs a run is open.
pub(crate) type Busy = Rc<RefCell<BTreeSet<Slot>>>;

/// One's place among the coordinators. Its tasks end with it.
pub(crate) struct Membership {
    pub fleet: Fleet,
    pub slots: Slots,
    pub busy: Busy,
    tasks: JoinSet<()>,
}

impl Membership {
    /// Listens first and speaks then, so that the own first beat is heard.
    pub(crate) async fn join(parts: &CoordinatorParts) -> Result<Self, CoordinatorError> {
        let heartbeats = parts.broker.bus.subscribe(&parts.broker.subjects.heartbeats(), None).await?;
        parts.broker.bus.flush().await?;
        let fleet = Fleet::new(parts.origin.member().clone(), parts.origin.boot());
        let (slots, busy) = (Slots::new(parts.clone()), Busy::default());
        let mut tasks = JoinSet::new();
        tasks.spawn_local(beat(parts.clone(), slots.clone()));
        tasks.spawn_local(hear(parts.clone(), fleet.clone(), heartbeats));
        tasks.spawn_local(tend(slots.clone(), fleet.clone(), busy.clone()));
        Ok(Self { fleet, slots, busy, tasks })
    }

    /// Waits until one of its tasks ends, which only a lost subscription or a bug makes one do.
    pub(crate) async fn ended(&mut self) -> CoordinatorError {
        if let Some(Err(error)) = self.tasks.join_next().await {
            tracing::error!(error = %error, "a task of the membership broke off");
        }
        CoordinatorError::SubscriptionEnded
    }

    /// Gives the slots to whoever is next.
    pub(crate) async fn leave(mut self) {
        self.tasks.shutdown().await;
        self.slots.release_all().await;
    }
}

async fn beat(parts: CoordinatorParts, slots: Slots) {
    let (origin, started) = (&parts.origin, parts.origin.now());
    let mut ticks = interval(HEARTBEAT_EVERY);
    for beat in 1.. {
        ticks.tick().await;
        let heartbeat = heartbeat(&parts, &slots, started, beat);
        let subject = parts.broker.subjects.heartbeat(Role::Coordinator, origin.member());
        let envelope = origin.envelope(origin.correlation_id(), heartbeat);
        if let Err(error) = broker::tell(parts.broker.bus.as_ref(), &subject, &envelope).await {
            tracing::debug!(error = %error, "heartbeat could not be sent");
        }
    }
}

fn heartbeat(parts: &CoordinatorParts, slots: &Slots, started: Timestamp, beat: u64) -> Heartbeat {
    Heartbeat {
        member: parts.origin.member().clone(),
        role: Role::Coordinator,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started,
        beat,
        slots: slots.held().into_keys().collect(),
        room: 0,
        in_flight: 0,
        draining: false,
    }
}

async fn hear(parts: CoordinatorParts, fleet: Fleet, mut heartbeats: BoxStream<'static, Incoming>) {
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            heard = heartbeats.next() => match heard {
                Some(incoming) => note(&parts, &fleet, &incoming),
                None => return,
            },
            _ = looks.tick() => fleet.look(parts.origin.boot()),
        }
    }
}

fn note(parts: &CoordinatorParts, fleet: &Fleet, incoming: &Incoming) {
    match broker::read::<Heartbeat>(incoming) {
        Ok(envelope) => fleet.hear(envelope.body, parts.origin.boot()),
        Err(error) => tracing::warn!(subject = incoming.subject, error = %error, "heartbeat could not be read"),
    }
}

async fn tend(slots: Slots, fleet: Fleet, busy: Busy) {
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let busy = busy.borrow().clone();
        slots.tend(&fleet, &busy).await;
    }
}
