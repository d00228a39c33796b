//! NATS in memory: both ports, for tests and for the simulation.
//!
//! A [`MemoryServer`] is made of the same stream definitions that are provisioned on a real one, and passes the same
//! [`crate::contract`]. Each member has a [`MemoryClient`] of its own, which can be cut off by itself, and every message
//! that crosses asks the [`Weather`] what becomes of it.
//!
//! Invariants: time is tokio's, chance is the weather's, and no order of an unordered map reaches anybody, so that on one
//! thread under a paused clock the same seed stores the same messages, byte for byte. Once sent, a message has its effect
//! whether or not its sender still waits, as on a network. Deliberately absent: JetStream's own API, storing what was
//! published past the streams port, and replicas: there is one server, and it does not fail; lines do. Kinder than NATS in
//! one thing: a subscription counts for everybody at once, not only when the server has seen it.

mod bus;
mod client;
mod pattern;
mod post;
mod server;
mod state;
mod stream;
mod streams;
mod weather;

#[cfg(test)]
mod tests;

pub use client::MemoryClient;
pub use server::MemoryServer;
pub use state::Written;
pub use weather::{Crossing, Fate, What};
