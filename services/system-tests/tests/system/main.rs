//! The whole system, from outside: real processes, a real NATS server, the emulator over TLS, the official Azure SDK.
//!
//! One test binary, so that linking happens once. Tests are independent: each has a cluster and ports of its own.

mod azure_sdk;
mod bad_input;
mod canary;
mod command_line;
mod decisions;
mod demo;
mod edits;
mod every_code;
mod faults;
mod first_write;
mod fixtures;
mod frozen_worker;
mod identities;
mod killed_coordinator;
mod killed_worker;
mod later_write;
mod openapi;
mod rules;
mod runs;
mod steady;
mod streams;
mod terminal;
mod unreachable;
mod up;
