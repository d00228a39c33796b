//! Every decision Keyferry takes, as pure functions: which items become records, what each record needs next, how an
//! attempt changes a record, when to try again, how fast, and where things are placed.
//!
//! Equal arguments give equal answers on every member of the fleet, so that a plan can be shown, approved and
//! replayed, and a restarted role goes on where the old one stopped. Deliberately absent: I/O, clocks, randomness, the
//! async runtime. Times and random numbers come in as arguments.

pub mod attempt;
pub mod backoff;
pub mod chain;
pub mod check;
pub mod claims;
pub mod compare;
pub mod deletes;
pub mod drift;
pub mod health;
pub mod index;
pub mod inventory;
pub mod leave;
pub mod lifecycle;
pub mod mutant;
pub mod pacing;
pub mod placement;
pub mod plan;
pub mod rule;
pub mod switched_off;
pub mod timing;

#[cfg(test)]
mod fixtures;
