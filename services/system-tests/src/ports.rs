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
