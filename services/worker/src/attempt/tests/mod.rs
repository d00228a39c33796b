//! Attempts against a simulated Azure and a log in memory: one record, and what becomes of it.

mod certificates;
mod codes;
mod deletes;
mod drift;
mod keys;
mod overwrite;
mod refused;
mod secrets;
mod switched_off;
mod unresolved;
