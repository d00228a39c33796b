//! Where the programs under test are.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// The programs a cluster is made of.
#[derive(Debug, Clone)]
pub struct Tools {
    pub keyferry: PathBuf,
    pub nats_server: PathBuf,
}

impl Tools {
    /// From `KEYFERRY_BIN`, `KEYFERRY_NATS_SERVER` and `KEYFERRY_PYTHON`, else where `cargo xtask` puts them.
    pub fn find() -> Result<Self> {
        let target = workspace().join("target");
        Ok(Self {
            keyferry: tool("KEYFERRY_BIN", target.join("debug/keyferry"))?,
            nats_server: tool("KEYFERRY_NATS_SERVER", target.join("tools/nats/bin/nats-server"))?,
        })
    }

    /// The Python that has Microsoft's clients; the load test needs none.
    pub fn python() -> Result<PathBuf> {
        tool("KEYFERRY_PYTHON", workspace().join("target/tools/python/bin/python"))
    }
}

/// The root of the source tree.
pub fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

fn tool(variable: &str, usual: PathBuf) -> Result<PathBuf> {
    let path = std::env::var_os(variable).map_or(usual, PathBuf::from);
    if !path.is_file() {
        bail!("{} is missing: run `cargo xtask test`, or set {variable}", path.display());
    }
    Ok(path)
}
