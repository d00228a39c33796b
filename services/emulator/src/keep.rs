//! The state file: everything that shall outlive the process, written whole and put in place at once.

use std::{
    collections::BTreeMap,
    fs,
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use actix_web::web;
use serde::{Deserialize, Serialize};

use crate::{error::EmulatorError, keyring::Keyring, state::VaultState, world::World};

/// How often changes are written: what a crash may lose.
const EVERY: Duration = Duration::from_secs(1);

/// What is kept.
#[derive(Serialize, Deserialize)]
pub struct Kept {
    pub keyring: Keyring,
    pub vaults: BTreeMap<String, VaultState>,
}

/// Reads the file; none: there is none yet.
pub fn read(path: &Path) -> Result<Option<Kept>, EmulatorError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(EmulatorError::Read { path: path.to_owned(), source }),
    };
    let kept = serde_json::from_slice(&bytes);
    kept.map(Some).map_err(|source| EmulatorError::Corrupt { path: path.to_owned(), source: source.into() })
}

/// Writes a file that only its owner may read, whole or not at all.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), EmulatorError> {
    let failed = |source| EmulatorError::Write { path: path.to_owned(), source };
    let beside = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&beside).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&beside, path).map_err(failed)
}

/// Writes everything as it is now.
pub fn write(path: &Path, keyring: &Keyring, world: &World) -> Result<(), EmulatorError> {
    let vaults = world.vaults.iter().map(|vault| (vault.name.to_ascii_lowercase(), vault.state.lock().clone()));
    let kept = Kept { keyring: keyring.clone(), vaults: vaults.collect() };
    let bytes = serde_json::to_vec(&kept)
        .map_err(|source| EmulatorError::Corrupt { path: path.to_owned(), source: source.into() })?;
    write_private(path, &bytes)
}

/// Writes what changed, again and again.
pub async fn follow(path: PathBuf, keyring: Keyring, world: web::Data<World>) {
    let mut written = world.changes();
    loop {
        tokio::time::sleep(EVERY).await;
        let changes = world.changes();
        if changes == written {
            continue;
        }
        let (path, keyring, world) = (path.clone(), keyring.clone(), world.clone());
        match tokio::task::spawn_blocking(move || write(&path, &keyring, &world)).await {
            Ok(Ok(())) => written = changes,
            Ok(Err(error)) => tracing::warn!(%error, "state is not kept; it is tried again"),
            Err(error) => tracing::warn!(%error, "state is not kept; it is tried again"),
        }
    }
}
