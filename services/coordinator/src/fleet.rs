//! Who is alive, as far as this coordinator hears.
//!
//! A member believes another silent only while it hears its own heartbeat come back and its own loop was not late: a
//! restart of NATS must not look like the death of everybody else.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};

use domain::{placement, timing};
use proto_msgs::{
    MemberId, Shard, Slot,
    worker::{Heartbeat, Role},
};
use runtime::BootTime;

/// Without one's own beat for this long, nobody else's silence means anything: one beat may be late, not two.
const DEAF_AFTER: Duration = timing::HEARTBEAT_EVERY.saturating_mul(2);

/// What was last heard of every member. Shared by the actors of this process, which all live on one thread.
#[derive(Clone)]
pub(crate) struct Fleet(Rc<RefCell<State>>);

struct State {
    own: MemberId,
    members: BTreeMap<MemberId, Heard>,
    own_heard: BootTime,
    last_look: BootTime,
    /// Counts who was asked.
    turn: usize,
}

struct Heard {
    heartbeat: Heartbeat,
    at: BootTime,
    /// Attempts it can still take: what its last beat said, less what was handed to it and more what ended since. A
    /// beat and an outcome may cross; a worker that is full says so.
    room: u32,
}

impl Fleet {
    pub(crate) fn new(own: MemberId, now: BootTime) -> Self {
        Self(Rc::new(RefCell::new(State { own, members: BTreeMap::new(), own_heard: now, last_look: now, turn: 0 })))
    }

    pub(crate) fn hear(&self, heartbeat: Heartbeat, now: BootTime) {
        let mut state = self.0.borrow_mut();
        if heartbeat.member == state.own {
            state.own_heard = now;
        }
        state.members.insert(heartbeat.member.clone(), Heard { room: heartbeat.room, heartbeat, at: now });
    }

    /// Forgets who has been silent; called by the loop every [`LOOK_EVERY`]. Nobody is, while this member itself was away.
    pub(crate) fn look(&self, now: BootTime) {
        let mut state = self.0.borrow_mut();
        let late = (now - state.last_look).saturating_sub(LOOK_EVERY);
        state.last_look = now;
        let is_deaf = now - state.own_heard > DEAF_AFTER || late > timing::OWN_LATENESS_MAX;
        if is_deaf {
            // What was missed meanwhile is nobody's silence.
            state.members.values_mut().for_each(|heard| heard.at = now);
            return;
        }
        state.members.retain(|_, heard| now - heard.at < timing::SILENT_AFTER);
    }

    pub(crate) fn is_alive(&self, member: &MemberId) -> bool {
        self.0.borrow().members.contains_key(member)
    }

    pub(crate) fn coordinators(&self) -> Vec<MemberId> {
        let state = self.0.borrow();
        let is_here = |heard: &&Heard| heard.heartbeat.role == Role::Coordinator && !heard.heartbeat.draining;
        let mut all: Vec<_> =
            state.members.values().filter(is_here).map(|heard| heard.heartbeat.member.clone()).collect();
        if !all.contains(&state.own) {
            all.push(state.own.clone());
        }
        all
    }

    /// Whether another member that lives says that it owns this slot.
    pub(crate) fn is_owned(&self, slot: Slot) -> bool {
        let state = self.0.borrow();
        let others = state.members.values().filter(|heard| heard.heartbeat.member != state.own);
        others.into_iter().any(|heard| heard.heartbeat.slots.contains(&slot))
    }

    /// Places a record: on its shard's own worker if that has room, else on the next in line.
    pub(crate) fn place(&self, shard: Shard) -> Option<MemberId> {
        let mut state = self.0.borrow_mut();
        let with_room = state.workers().filter(|heard| heard.room > 0);
        let chosen = placement::owner(u64::from(shard.0), with_room.map(|heard| &heard.heartbeat.member))?.clone();
        if let Some(heard) = state.members.get_mut(&chosen) {
            heard.room -= 1;
        }
        Some(chosen)
    }

    /// A worker said that it is full, or leaves: nothing more goes there until an attempt ends or it beats again.
    pub(crate) fn is_full(&self, worker: &MemberId) {
        if let Some(heard) = self.0.borrow_mut().members.get_mut(worker) {
            heard.room = 0;
        }
    }

    /// An attempt there came to an end.
    pub(crate) fn gave_back(&self, worker: &MemberId) {
        if let Some(heard) = self.0.borrow_mut().members.get_mut(worker) {
            heard.room = heard.room.saturating_add(1);
        }
    }

    /// The worker whose turn it is to answer a question.
    pub(crate) fn next_worker(&self) -> Option<MemberId> {
        let mut state = self.0.borrow_mut();
        let workers: Vec<_> = state.workers().map(|heard| &heard.heartbeat.member).collect();
        let chosen = workers.get(state.turn % workers.len().max(1)).map(|worker| (*worker).clone());
        state.turn = state.turn.wrapping_add(1);
        chosen
    }

    pub(crate) fn has_workers(&self) -> bool {
        self.0.borrow().workers().next().is_some()
    }
}

impl State {
    /// Workers that are heard and stay.
    fn workers(&self) -> impl Iterator<Item = &Heard> {
        let is_here = |heard: &&Heard| heard.heartbeat.role == Role::Worker && !heard.heartbeat.draining;
        self.members.values().filter(is_here)
    }
}

/// How often each loop looks around: one after the other, they find that somebody is silent, take what is free, and load
/// it, so that each costs whoever waits for a new owner as long.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;
    use proto_msgs::Timestamp;

    fn beat(member: &str, role: Role, room: u32) -> Heartbeat {
        Heartbeat {
            member: member.parse().unwrap(),
            role,
            version: String::new(),
            started: Timestamp::default(),
            beat: 1,
            slots: Vec::new(),
            room,
            in_flight: 0,
            draining: false,
        }
    }

    fn at(seconds: u64) -> BootTime {
        BootTime::default().plus(Duration::from_secs(seconds))
    }

    fn fleet() -> Fleet {
        let fleet = Fleet::new("coordinator-1".parse().unwrap(), at(0));
        fleet.hear(beat("worker-1", Role::Worker, 2), at(0));
        fleet
    }

    #[test]
    fn a_silent_worker_is_forgotten_while_the_own_beat_is_heard() {
        let fleet = fleet();
        for second in 1..=5 {
            fleet.hear(beat("coordinator-1", Role::Coordinator, 0), at(second));
            fleet.look(at(second));
            assert_eq!(fleet.has_workers(), second < 4, "after {second} s");
        }
    }

    #[test]
    fn nobody_is_believed_silent_by_one_who_hears_nothing_or_came_late() {
        let deaf = fleet();
        for second in 1..=9 {
            deaf.look(at(second));
        }
        assert!(deaf.has_workers());
        let late = fleet();
        late.hear(beat("coordinator-1", Role::Coordinator, 0), at(8));
        late.look(at(8));
        assert!(late.has_workers());
    }

    #[test]
    fn questions_go_in_turns_to_workers_that_are_heard_and_stay() {
        let fleet = fleet();
        fleet.hear(beat("worker-2", Role::Worker, 0), at(0));
        fleet.hear(Heartbeat { draining: true, ..beat("worker-3", Role::Worker, 9) }, at(0));
        let asked = |fleet: &Fleet| fleet.next_worker().map(|worker| worker.to_string());
        assert_eq!(
            [asked(&fleet), asked(&fleet), asked(&fleet)].map(Option::unwrap),
            ["worker-1", "worker-2", "worker-1"]
        );
        for second in 1..=5 {
            fleet.hear(beat("coordinator-1", Role::Coordinator, 0), at(second));
            fleet.hear(beat("worker-2", Role::Worker, 0), at(second));
            fleet.look(at(second));
        }
        assert_eq!([asked(&fleet), asked(&fleet)].map(Option::unwrap), ["worker-2", "worker-2"]);
    }

    #[test]
    fn no_more_is_handed_to_a_worker_than_it_has_room_for() {
        let fleet = fleet();
        let placed: Vec<_> = (0..3).map(|n| fleet.place(Shard(n)).is_some()).collect();
        assert_eq!(placed, [true, true, false]);
        fleet.gave_back(&"worker-1".parse().unwrap());
        assert!(fleet.place(Shard(9)).is_some());
    }
}
