//! The whole system in one process, simulated: real coordinators and workers, a NATS server and an Azure in memory, time
//! that is paused, and one seed that decides everything.
//!
//! Each seed has a runtime of its own, on one thread. A story has two parts. In the first, owners change sources and
//! targets, operators edit configs and ask for syncs, calls and messages fail, are late, doubled and lost, and processes
//! are drained, killed, frozen, cut off and their clocks jump. Then everything stops going wrong, and within fifteen
//! minutes of simulated time the system must be right. What is checked:
//! * that it converges: `converged.rs` says of every record which states are right, from the vaults and the config alone;
//! * what must hold whatever happened: `invariants.rs` lists the rules;
//! * that the same seed stores the same messages, byte for byte;
//! * that each rule's mutant is caught: a switch in the product's own code, compiled for tests only, that breaks the rule.
//!
//! Deliberately absent: gateways, which have no state and decide nothing. `KEYFERRY_SIM_SEEDS` and `KEYFERRY_SIM_FIRST`
//! choose the seeds; `cargo xtask sim` sets them.

mod chance;
mod converged;
mod faults;
mod history;
mod invariants;
mod owners;
mod process;
mod report;
mod scenario;
mod seeds;
mod story;
mod world;
