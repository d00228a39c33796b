//! How fast a vault may be called, and whose turn it is.
//!
//! Times are durations since any fixed point of one process's monotonic clock. Deliberately absent: waiting. The
//! vault's actor waits; these types say for how long.

use std::{collections::VecDeque, time::Duration};

/// Azure counts calls over this long.
pub const WINDOW: Duration = Duration::from_secs(10);
/// Creating writes in ten seconds: all of Azure's 300. A place is held until ten seconds after the end of its call, which
/// Azure counted before that: so there is something to spare in each, and one place less would cost a whole window
/// wherever the items come out even.
pub const CREATING_WRITES: u32 = 300;
/// A quarter of Azure's 4,000: the customer's own programs read there too.
pub const READS: u32 = 1_000;

/// At most so many calls in any ten seconds.
///
/// A call holds its place from the moment it is permitted until ten seconds after its end was reported: when Azure
/// counted it is not known better than that, and counting it too long is what keeps throttling away.
#[derive(Debug)]
pub struct Window {
    /// 0: no limit.
    capacity: u32,
    in_flight: u32,
    ended: VecDeque<Duration>,
    pace: Pace,
    /// At most half until then.
    cautious_until: Option<Duration>,
}

impl Window {
    pub fn new(capacity: u32) -> Self {
        Self { capacity, in_flight: 0, ended: VecDeque::new(), pace: Pace::default(), cautious_until: None }
    }

    /// Whether `calls` places are free. More than there are at all fit into an empty window: a caller who needs two calls
    /// where one is allowed must not wait for ever.
    pub fn has_room(&mut self, calls: u32, now: Duration) -> bool {
        self.expire(now);
        let taken = self.in_flight.saturating_add(u32::try_from(self.ended.len()).unwrap_or(u32::MAX));
        self.capacity == 0 || taken.saturating_add(calls) <= self.allowed(now) || (taken == 0 && calls > 0)
    }

    /// Takes places, free or not.
    pub fn take(&mut self, calls: u32) {
        self.in_flight = self.in_flight.saturating_add(calls);
    }

    /// Takes `calls` places at once; false: none was taken.
    pub fn try_take(&mut self, calls: u32, now: Duration) -> bool {
        let fits = self.has_room(calls, now);
        if fits {
            self.take(calls);
        }
        fits
    }

    /// `made` of `permitted` calls were made and ended at `now`; the others were not made.
    pub fn end(&mut self, permitted: u32, made: u32, now: Duration) {
        self.in_flight = self.in_flight.saturating_sub(permitted);
        if self.capacity != 0 {
            self.ended.extend(std::iter::repeat_n(now, made.min(permitted) as usize));
        }
    }

    /// When the next place falls free by itself; none: only the end of a call in flight frees one, or one is free.
    pub fn next_free(&self) -> Option<Duration> {
        [self.ended.front().map(|&ended| ended + WINDOW), self.cautious_until].into_iter().flatten().min()
    }

    /// Azure said that it was too much.
    pub fn throttled(&mut self, now: Duration) {
        self.pace.slow_down(now);
    }

    /// Goes at half rate for one window: what the owner before has used is not known.
    pub fn go_cautiously(&mut self, now: Duration) {
        self.cautious_until = Some(now + WINDOW);
    }

    fn allowed(&self, now: Duration) -> u32 {
        let most = if self.cautious_until.is_some_and(|until| now < until) { 0.5 } else { 1.0 };
        // At least one, or nothing would ever show that it is well again.
        ((f64::from(self.capacity) * self.pace.share(now).min(most)) as u32).max(1)
    }

    fn expire(&mut self, now: Duration) {
        self.cautious_until = self.cautious_until.filter(|&until| now < until);
        while self.ended.front().is_some_and(|&ended| ended + WINDOW <= now) {
            self.ended.pop_front();
        }
    }
}

/// Which share of a limit is used: halved by each throttling, back to all of it in steps.
#[derive(Debug, Clone, Copy)]
struct Pace {
    share: f64,
    since: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { share: 1.0, since: Duration::ZERO }
    }
}

impl Pace {
    /// Never below this: a vault's budget is shared with others, and a crawl would help nobody.
    const LEAST: f64 = 0.1;
    /// Share won back per second without throttling: half the limit after one window.
    const RECOVERY_PER_SECOND: f64 = 0.05;
    /// Many calls in flight are refused together; that is one event.
    const ONE_EVENT: Duration = Duration::from_secs(1);

    fn share(&self, now: Duration) -> f64 {
        let recovered = now.saturating_sub(self.since).as_secs_f64() * Self::RECOVERY_PER_SECOND;
        (self.share + recovered).min(1.0)
    }

    fn slow_down(&mut self, now: Duration) {
        if self.share < 1.0 && now.saturating_sub(self.since) < Self::ONE_EVENT {
            return;
        }
        *self = Self { share: (self.share(now) / 2.0).max(Self::LEAST), since: now };
    }
}

/// Whose turn it is, by weight: over any stretch each gets its share, and nobody waits behind a crowd.
///
/// Smooth weighted round-robin: each turn every ready member gains its weight, the richest goes and pays the sum.
#[derive(Debug)]
pub struct WeightedRoundRobin<K> {
    members: Vec<Member<K>>,
}

#[derive(Debug)]
struct Member<K> {
    key: K,
    weight: i64,
    credit: i64,
}

impl<K> Default for WeightedRoundRobin<K> {
    fn default() -> Self {
        Self { members: Vec::new() }
    }
}

impl<K: PartialEq + Clone> WeightedRoundRobin<K> {
    /// Adds a member or changes its weight (at least 1).
    pub fn set(&mut self, key: K, weight: u32) {
        let weight = i64::from(weight.max(1));
        match self.members.iter_mut().find(|member| member.key == key) {
            Some(member) => member.weight = weight,
            None => self.members.push(Member { key, weight, credit: 0 }),
        }
    }

    pub fn remove(&mut self, key: &K) {
        self.members.retain(|member| member.key != *key);
    }

    /// The member whose turn it would be among those that have something to do. Nobody pays yet.
    pub fn peek(&self, is_ready: impl Fn(&K) -> bool) -> Option<K> {
        let ready = self.members.iter().filter(|member| is_ready(&member.key));
        // The first of equals, as in `next`.
        ready.rev().max_by_key(|member| member.credit + member.weight).map(|member| member.key.clone())
    }

    /// The member whose turn it is among those that have something to do.
    pub fn next(&mut self, is_ready: impl Fn(&K) -> bool) -> Option<K> {
        let chosen = self.peek(&is_ready)?;
        let mut total = 0;
        for member in self.members.iter_mut().filter(|member| is_ready(&member.key)) {
            total += member.weight;
            member.credit += member.weight;
        }
        if let Some(member) = self.members.iter_mut().find(|member| member.key == chosen) {
            member.credit -= total;
        }
        Some(chosen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_place_is_held_until_a_window_after_the_call_ended() {
        let mut window = Window::new(1);
        assert!(window.try_take(1, Duration::ZERO));
        assert!(!window.try_take(1, 60 * SECOND));
        window.end(1, 1, 60 * SECOND);
        assert!(!window.try_take(1, 69 * SECOND));
        assert_eq!(window.next_free(), Some(70 * SECOND));
        assert!(window.try_take(1, 70 * SECOND));
    }

    #[test]
    fn a_permit_that_was_not_used_frees_its_place_at_once() {
        let mut window = Window::new(2);
        assert!(window.try_take(2, Duration::ZERO));
        window.end(2, 0, SECOND);
        assert!(window.try_take(2, SECOND));
    }

    #[test]
    fn throttling_halves_once_per_event_and_is_won_back() {
        let mut window = Window::new(100);
        let free = |window: &mut Window, now| {
            let mut taken = 0;
            while window.try_take(1, now) {
                taken += 1;
            }
            window.end(taken, 0, now);
            taken
        };
        window.throttled(10 * SECOND);
        window.throttled(10 * SECOND);
        assert_eq!(free(&mut window, 10 * SECOND), 50);
        window.throttled(12 * SECOND);
        assert_eq!(free(&mut window, 12 * SECOND), 30);
        assert_eq!(free(&mut window, 60 * SECOND), 100);
    }

    #[test]
    fn a_window_taken_over_goes_at_half_rate_until_it_has_passed_once() {
        let mut window = Window::new(10);
        window.go_cautiously(SECOND);
        let take = |window: &mut Window, now| {
            std::iter::repeat_with(|| window.try_take(1, now)).take_while(|&taken| taken).count()
        };
        assert_eq!(take(&mut window, SECOND), 5);
        assert_eq!(take(&mut window, 10 * SECOND), 0);
        assert_eq!(window.next_free(), Some(11 * SECOND));
        assert_eq!(take(&mut window, 11 * SECOND), 5);
    }

    #[test]
    fn turns_follow_the_weights_and_a_small_member_never_waits_behind_a_crowd() {
        let mut turns = WeightedRoundRobin::default();
        turns.set("big", 3);
        turns.set("small", 1);
        let got: Vec<_> = (0..8).filter_map(|_| turns.next(|_| true)).collect();
        assert_eq!(got.iter().filter(|&&key| key == "small").count(), 2);
        assert_eq!(turns.next(|key| *key == "small"), Some("small"));
        assert_eq!(turns.next(|_| false), None);
        for _ in 0..5 {
            let expected = turns.peek(|_| true);
            assert_eq!(turns.next(|_| true), expected);
        }
    }

    proptest! {
        #[test]
        fn no_ten_seconds_see_more_calls_than_the_limit(
            capacity in 1u32..20,
            steps in proptest::collection::vec((0u64..2_000, 0u64..3_000), 1..200),
        ) {
            let mut window = Window::new(capacity);
            let mut now = Duration::ZERO;
            let mut made: Vec<Duration> = Vec::new();
            let mut open: Vec<(Duration, Duration)> = Vec::new();
            for (wait, takes) in steps {
                now += Duration::from_millis(wait);
                open.retain(|&(end, _)| {
                    if end <= now { window.end(1, 1, now); }
                    end > now
                });
                if window.try_take(1, now) {
                    // Azure counts the call somewhere between its permit and its end.
                    made.push(now + Duration::from_millis(takes / 2));
                    open.push((now + Duration::from_millis(takes), now));
                }
            }
            for &start in &made {
                let inside = made.iter().filter(|&&at| at >= start && at < start + WINDOW).count();
                prop_assert!(inside <= capacity as usize);
            }
        }
    }
}
