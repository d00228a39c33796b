//! Ports nobody listens on.
//!
//! Below those that systems give to connections which go out, so that none of these takes a port between the moment in
//! which it is found and the one in which somebody listens there.

use std::{
    net::{Ipv4Addr, TcpListener},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Result, ensure};

const FIRST: u32 = 10_000;
/// Linux gives out those from 32,768 on by itself.
const COUNT: u32 = 22_000;
/// How far processes that begin one after the other begin apart, so that their tests meet rarely.
const APART: u32 = 997;

/// Loopback ports that were free a moment ago; no other caller in this process is given the same.
pub fn free(count: usize) -> Result<Vec<u16>> {
    (0..count).map(|_| in_a_row(1)).collect()
}

/// A free port whose next one is free too.
pub fn free_pair() -> Result<u16> {
    in_a_row(2)
}

/// The first of so many free ports in a row.
fn in_a_row(count: u16) -> Result<u16> {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    let begin = process::id().wrapping_mul(APART);
    loop {
        let taken = TAKEN.fetch_add(count.into(), Ordering::Relaxed);
        ensure!(taken < COUNT, "no free port on the loopback is left of {COUNT}");
        let first = u16::try_from(FIRST + begin.wrapping_add(taken) % COUNT)?;
        let is_free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        if (first..first + count).all(is_free) {
            return Ok(first);
        }
    }
}
