//! How messages get from one client to others: lines, subscriptions, queue groups, answers.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use proto_msgs::{Encoding, Sequence};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::{
    pattern::Pattern,
    state::{Client, ClientId, Line, State},
    weather::{Fate, What},
};
use crate::{
    error::AppendError,
    nats::SUBSCRIPTION_CAPACITY,
    ports::{Append, Incoming, Stored},
};

/// What a client of NATS keeps for later while its line is cut.
const WAITING_MAX: usize = 2_048;
/// How the subject begins that an answer is sent to.
const INBOX: &str = "_INBOX.";

/// What a client sends.
#[derive(Clone)]
pub(super) struct Command {
    pub(super) client: ClientId,
    pub(super) body: Body,
}

#[derive(Clone)]
pub(super) enum Body {
    Append { append: Append, inbox: u64 },
    Message { what: What, subject: String, payload: Bytes, encoding: Encoding, inbox: Option<u64> },
}

/// What subscribers hear.
#[derive(Clone)]
pub(super) enum Post {
    Message(Incoming),
    /// As the server republishes it.
    Stored(Stored),
    /// The line was cut, or the subscriber was slow: something may have been missed.
    Gap,
}

pub(super) struct Subscription {
    client: ClientId,
    pattern: Pattern,
    group: Option<String>,
    /// Follows what is stored, and wants to know of gaps.
    follows: bool,
    /// What is late on its way; what comes after it waits.
    held_until: Instant,
    /// How often its line was cut: what was on its way over the line before is gone.
    cuts: u64,
    /// It was full when something came.
    missed: bool,
    to: mpsc::Sender<Post>,
}

/// Who waits for an answer.
struct Inbox<T> {
    client: ClientId,
    late: Duration,
    to: oneshot::Sender<T>,
}

pub(super) struct Inboxes<T>(BTreeMap<u64, Inbox<T>>);

impl<T> Default for Inboxes<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> Inboxes<T> {
    pub(super) fn open(&mut self, id: u64, client: ClientId) -> oneshot::Receiver<T> {
        let (to, answer) = oneshot::channel();
        self.0.insert(id, Inbox { client, late: Duration::ZERO, to });
        answer
    }

    pub(super) fn close(&mut self, id: u64) {
        self.0.remove(&id);
    }

    fn delay(&mut self, id: u64, by: Duration) {
        if let Some(inbox) = self.0.get_mut(&id) {
            inbox.late = by;
        }
    }
}

impl<T: Send + 'static> Inbox<T> {
    /// Hands the answer over, now or when it is due; not over a line that is cut then.
    fn answer(self, state: &mut State, answer: T) {
        let hand_over = move |state: &mut State| {
            if state.is_up(self.client) {
                // Whoever asked may have stopped waiting.
                let _ = self.to.send(answer);
            }
        };
        if self.late.is_zero() { hand_over(state) } else { state.later(self.late, hand_over) }
    }
}

impl Post {
    fn subject(&self) -> &str {
        match self {
            Self::Message(message) => &message.subject,
            Self::Stored(stored) => &stored.subject,
            Self::Gap => "",
        }
    }

    fn payload(&self) -> &[u8] {
        match self {
            Self::Message(message) => &message.payload,
            Self::Stored(stored) => &stored.payload,
            Self::Gap => &[],
        }
    }
}

/// What a follower's or a subscriber's end needs.
pub(super) struct Subscribe {
    pub(super) pattern: Pattern,
    pub(super) group: Option<String>,
    pub(super) follows: bool,
}

impl State {
    // Lines.

    pub(super) fn connect(&mut self, name: &str) -> ClientId {
        let (up, waiting) = (Default::default(), Default::default());
        self.clients.push(Client { name: name.into(), line: Line::Up, up, waiting });
        self.clients.len() - 1
    }

    pub(super) fn is_up(&self, client: ClientId) -> bool {
        self.clients[client].line == Line::Up
    }

    pub(super) fn cut(&mut self, client: ClientId) {
        if self.is_up(client) {
            self.clients[client].line = Line::Cut;
            let now = self.now();
            for subscription in self.subscriptions.values_mut().filter(|one| one.client == client) {
                (subscription.held_until, subscription.cuts) = (now, subscription.cuts + 1);
            }
        }
    }

    /// What was sent meanwhile goes out now, however late that is.
    pub(super) fn reconnect(&mut self, client: ClientId) {
        if self.clients[client].line != Line::Cut {
            return;
        }
        self.clients[client].line = Line::Up;
        self.clients[client].up.notify_waiters();
        for subscription in self.subscriptions.values_mut().filter(|one| one.client == client && one.follows) {
            subscription.push(Post::Gap);
        }
        for command in std::mem::take(&mut self.clients[client].waiting) {
            self.depart(command);
        }
    }

    pub(super) fn remove(&mut self, client: ClientId) {
        self.clients[client].line = Line::Removed;
        self.clients[client].waiting.clear();
        self.subscriptions.retain(|_, one| one.client != client);
    }

    // From a client.

    pub(super) fn send(&mut self, command: Command) {
        let client = &mut self.clients[command.client];
        match client.line {
            Line::Up => self.depart(command),
            Line::Cut if client.waiting.len() < WAITING_MAX => client.waiting.push_back(command),
            Line::Cut | Line::Removed => {}
        }
    }

    fn depart(&mut self, command: Command) {
        let (what, subject, payload) = match &command.body {
            Body::Append { append, .. } => (What::Append, &append.subject, &append.payload),
            Body::Message { what, subject, payload, .. } => (*what, subject, payload),
        };
        match self.fate(command.client, what, subject, payload) {
            Fate::Fine => self.arrive(command),
            Fate::Late(by) => self.later(by, move |state| state.arrive(command)),
            Fate::AnsweredLate(by) => self.arrive_and_answer_late(command, by),
            Fate::Lost => {}
            Fate::Unanswered => {
                self.forget_inbox(&command);
                self.arrive(command);
            }
            Fate::Twice => {
                self.arrive(command.clone());
                self.arrive(command);
            }
        }
    }

    fn arrive_and_answer_late(&mut self, command: Command, by: Duration) {
        match &command.body {
            Body::Append { inbox, .. } => self.acks.delay(*inbox, by),
            Body::Message { inbox: Some(inbox), .. } => self.answers.delay(*inbox, by),
            Body::Message { inbox: None, .. } => return self.later(by, move |state| state.arrive(command)),
        }
        self.arrive(command);
    }

    fn forget_inbox(&mut self, command: &Command) {
        match &command.body {
            Body::Append { inbox, .. } => self.acks.close(*inbox),
            Body::Message { inbox: Some(inbox), .. } => self.answers.close(*inbox),
            Body::Message { inbox: None, .. } => {}
        }
    }

    fn arrive(&mut self, Command { client, body }: Command) {
        match body {
            Body::Append { append, inbox } => {
                let stored = self.append(client, append);
                self.acknowledge(inbox, stored);
            }
            Body::Message { subject, payload, encoding, inbox, .. } => {
                let reply = inbox.map(|inbox| format!("{INBOX}{inbox}"));
                self.publish(Incoming { subject, payload, encoding, reply }, inbox);
            }
        }
    }

    fn acknowledge(&mut self, inbox: u64, stored: Result<Sequence, AppendError>) {
        if let Some(inbox) = self.acks.0.remove(&inbox) {
            inbox.answer(self, stored);
        }
    }

    fn publish(&mut self, message: Incoming, asked_by: Option<u64>) {
        if let Some(inbox) = message.subject.strip_prefix(INBOX) {
            self.answer(inbox.parse().ok(), Some(message));
        } else if !self.route(&Post::Message(message)) {
            self.answer(asked_by, None);
        }
    }

    fn answer(&mut self, inbox: Option<u64>, answer: Option<Incoming>) {
        if let Some(inbox) = inbox.and_then(|inbox| self.answers.0.remove(&inbox)) {
            inbox.answer(self, answer);
        }
    }

    // To clients.

    pub(super) fn subscribe(&mut self, client: ClientId, wanted: Subscribe) -> mpsc::Receiver<Post> {
        let (to, posts) = mpsc::channel(SUBSCRIPTION_CAPACITY);
        if self.clients[client].line != Line::Removed {
            let Subscribe { pattern, group, follows } = wanted;
            let (id, held_until) = (self.new_id(), self.now());
            let one = Subscription { client, pattern, group, follows, held_until, cuts: 0, missed: false, to };
            self.subscriptions.insert(id, one);
        }
        posts
    }

    /// Gives a message to all who subscribed to its subject, of each queue group to one. False: nobody did.
    pub(super) fn route(&mut self, post: &Post) -> bool {
        self.subscriptions.retain(|_, one| !one.to.is_closed());
        let (mut chosen, mut groups) = (Vec::new(), BTreeMap::<&str, Vec<u64>>::new());
        for (id, one) in &self.subscriptions {
            if self.clients[one.client].line == Line::Up && one.pattern.matches(post.subject()) {
                match &one.group {
                    None => chosen.push(*id),
                    Some(group) => groups.entry(group).or_default().push(*id),
                }
            }
        }
        for members in groups.values() {
            chosen.push(members[self.turn % members.len()]);
            self.turn += 1;
        }
        for id in &chosen {
            self.deliver(*id, post);
        }
        !chosen.is_empty()
    }

    fn deliver(&mut self, id: u64, post: &Post) {
        let Some(one) = self.subscriptions.get(&id) else { return };
        let what = if one.follows { What::Live } else { What::Delivery };
        let (times, by) = match self.fate(one.client, what, post.subject(), post.payload()) {
            Fate::Fine | Fate::Unanswered => (1, Duration::ZERO),
            Fate::Late(by) | Fate::AnsweredLate(by) => (1, by),
            Fate::Lost => (0, Duration::ZERO),
            Fate::Twice => (2, Duration::ZERO),
        };
        for _ in 0..times {
            self.hold(id, post.clone(), by);
        }
    }

    fn hold(&mut self, id: u64, post: Post, by: Duration) {
        let now = self.now();
        let Some(one) = self.subscriptions.get_mut(&id) else { return };
        let due = one.held_until.max(now + by);
        if due <= now {
            return one.push(post);
        }
        one.held_until = due;
        let cuts = one.cuts;
        self.later(due - now, move |state| {
            if let Some(one) = state.subscriptions.get_mut(&id)
                && state.clients[one.client].line == Line::Up
                && one.cuts == cuts
            {
                one.push(post);
            }
        });
    }
}

impl Subscription {
    fn push(&mut self, post: Post) {
        if self.missed && self.to.try_send(Post::Gap).is_ok() {
            self.missed = false;
        }
        // Closed: it is taken out before the next message.
        if let Err(mpsc::error::TrySendError::Full(_)) = self.to.try_send(post) {
            self.missed = true;
        }
    }
}
