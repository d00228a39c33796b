//! Ports nobody listens on.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result};

/// A loopback port that was free a moment ago. All of `count` are held together while they are found, so they differ.
pub fn free(count: usize) -> Result<Vec<u16>> {
    let held = (0..count)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on the loopback"))
        .collect::<Result<Vec<_>>>()?;
    held.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}

/// A free port whose next one is free too.
pub fn free_pair() -> Result<u16> {
    const TRIES: usize = 50;
    for port in free(TRIES)? {
        let is_free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        if is_free(port) && port.checked_add(1).is_some_and(is_free) {
            return Ok(port);
        }
    }
    anyhow::bail!("no two free ports in a row among {TRIES}")
}
