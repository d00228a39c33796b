//! Both ports over async-nats.
//!
//! Every wait has an end: the client reconnects for ever and buffers while it is away. Appends are plain requests with
//! JetStream's headers, so that "nobody listens" (certainly not stored), "refused" and "no answer" stay apart.

mod client;
pub(crate) mod definitions;
mod headers;
mod provision;
mod settings;
mod streams;

pub use client::NatsClient;
pub(crate) use client::{API_LIMIT, SUBSCRIPTION_CAPACITY};
pub use provision::provision;
pub use settings::NatsSettings;
