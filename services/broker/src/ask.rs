//! Typed requests and answers over the bus.

use std::time::Duration;

use proto_msgs::{Encoding, Envelope, Message, envelope::EnvelopeError};

use crate::{
    error::BusError,
    ports::{Bus, Incoming, Outgoing},
};

/// Asks a question and reads the answer.
pub async fn ask<Q: Message, A: Message>(
    bus: &dyn Bus,
    subject: &str,
    question: &Envelope<Q>,
    deadline: Duration,
) -> Result<Envelope<A>, BusError> {
    let answer = bus.request(subject, outgoing(question, Encoding::default())?, deadline).await?;
    Ok(read(&answer)?)
}

/// Publishes a message nobody answers.
pub async fn tell<T: Message>(bus: &dyn Bus, subject: &str, message: &Envelope<T>) -> Result<(), BusError> {
    bus.publish(subject, outgoing(message, Encoding::default())?).await
}

/// Reads what came in.
pub fn read<Q: Message>(incoming: &Incoming) -> Result<Envelope<Q>, EnvelopeError> {
    Envelope::decode(&incoming.payload, incoming.encoding)
}

/// Answers in the encoding of the question.
pub async fn answer<A: Message>(bus: &dyn Bus, to: &Incoming, answer: &Envelope<A>) -> Result<(), BusError> {
    bus.respond(to, outgoing(answer, to.encoding)?).await
}

fn outgoing<T: Message>(message: &Envelope<T>, encoding: Encoding) -> Result<Outgoing, EnvelopeError> {
    Ok(Outgoing { payload: message.encode(encoding)?.into(), encoding, correlation: Some(message.correlation_id) })
}
