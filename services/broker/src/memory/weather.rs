//! What may become of a message on its way: decided from outside, so that a seed decides it.

use std::time::Duration;

/// Asked for each message that crosses between a client and the server. Runs under the server's lock: it must not call
/// a client or the server.
pub(super) type Weather = Box<dyn FnMut(&Crossing<'_>) -> Fate + Send>;

/// A message on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crossing<'a> {
    /// Who sends it, or whom it is for.
    pub client: &'a str,
    pub what: What,
    /// Where it goes; of a read, what is read.
    pub subject: &'a str,
    /// What is in it; of a read, nothing.
    pub payload: &'a [u8],
}

/// What kind of message it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// From a client: a message to store.
    Append,
    /// From a client: `last`, `read`, or the start of `follow` and `tail`.
    Read,
    /// From a client: a message that nobody answers.
    Publish,
    /// From a client: a question.
    Request,
    /// From a client: the answer to a question.
    Reply,
    /// To a client: a stored message, to a follower.
    Live,
    /// To a client: a message or a question, to a subscriber.
    Delivery,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Fine,
    /// It arrives this much later. What is for the same subscriber waits behind it, as on one connection.
    Late(Duration),
    /// It arrives, and its answer takes this much longer. What has no answer is late itself.
    AnsweredLate(Duration),
    /// It never arrives.
    Lost,
    /// It arrives, and its answer does not. A `read` breaks off half-way; what has no answer is fine.
    Unanswered,
    /// It arrives twice. A read is only asked once.
    Twice,
}
