//! The state file: everything that shall outlive the process, written whole and put in place at once.
//!
//! Only a vault that changed is written out anew. A vault that the estate of this start does not name stays in the file as
//! it was, so that starting with another estate loses nothing. Deliberately absent: settings, clocks, firewalls and roles,
//! which begin as the command line and the estate say.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fs,
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::Duration,
};

use actix_web::web;
use serde::{Deserialize, Serialize};

use crate::{
    error::EmulatorError,
    estate::Estate,
    keyring::Keyring,
    seed,
    state::{VaultState, attributes::Protection},
    world::World,
};

/// How often changes are written: what a crash may lose.
const EVERY: Duration = Duration::from_secs(1);

/// What is kept; vaults by their names in lower case.
#[derive(Serialize, Deserialize)]
pub struct Kept {
    pub keyring: Keyring,
    pub vaults: BTreeMap<String, VaultState>,
}

impl Kept {
    /// What was kept, and what the estate adds to it; `now` is in seconds since 1970.
    pub fn load(path: Option<&Path>, estate: &Estate, now: i64) -> Result<Self, EmulatorError> {
        let mut kept = match path.map(read).transpose()?.flatten() {
            Some(kept) => kept,
            None => Self { keyring: Keyring::generate(now)?, vaults: BTreeMap::new() },
        };
        for (_, spec) in estate.vaults() {
            let protection =
                Protection { days: spec.soft_delete_retention_days, purge_protection: spec.purge_protection };
            if let Entry::Vacant(entry) = kept.vaults.entry(spec.name.to_ascii_lowercase()) {
                entry.insert(seed::items(&spec.name, &spec.items, now, protection)?);
            }
        }
        Ok(kept)
    }
}

/// Reads the file; none: there is none yet.
fn read(path: &Path) -> Result<Option<Kept>, EmulatorError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(EmulatorError::Read { path: path.to_owned(), source }),
    };
    let kept = serde_json::from_slice(&bytes);
    kept.map(Some).map_err(|source| EmulatorError::Corrupt { path: path.to_owned(), source: source.into() })
}

/// A part of the file.
struct Part {
    /// The vault's count of changes when it was written out.
    changes: u64,
    json: Vec<u8>,
}

/// The only writer of the file.
pub struct Keeper {
    path: PathBuf,
    world: web::Data<World>,
    keyring: Vec<u8>,
    vaults: BTreeMap<String, Part>,
    /// The file is not what the parts say.
    is_due: bool,
}

impl Keeper {
    /// A keeper that has written nothing yet; `others` are kept vaults that the world does not have.
    pub fn new(
        path: PathBuf,
        world: web::Data<World>,
        keyring: &Keyring,
        others: &BTreeMap<String, VaultState>,
    ) -> Result<Self, EmulatorError> {
        let part = |state| json(&path, state).map(|json| Part { changes: 0, json });
        let vaults = others.iter().map(|(name, state)| Ok((name.clone(), part(state)?)));
        let vaults = vaults.collect::<Result<_, EmulatorError>>()?;
        Ok(Self { keyring: json(&path, keyring)?, path, world, vaults, is_due: true })
    }

    /// Writes what changed, again and again, and once more when the other end of `stop` is gone. Blocks its thread.
    pub fn follow(mut self, stop: &Receiver<()>) -> Result<(), EmulatorError> {
        while stop.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
            if let Err(error) = self.write() {
                tracing::warn!(error = &error as &dyn std::error::Error, "state is not kept; it is tried again");
            }
        }
        self.write()
    }

    /// Writes everything as it is now, if it changed.
    pub fn write(&mut self) -> Result<(), EmulatorError> {
        for vault in &self.world.vaults {
            // Read first: a change that comes meanwhile is written twice rather than never.
            let (name, changes) = (vault.name.to_ascii_lowercase(), vault.changes());
            if self.vaults.get(&name).is_none_or(|part| part.changes != changes) {
                let state = vault.state.lock().clone();
                self.vaults.insert(name, Part { changes, json: json(&self.path, &state)? });
                self.is_due = true;
            }
        }
        if self.is_due {
            write_private(&self.path, &self.whole()?)?;
            self.is_due = false;
        }
        Ok(())
    }

    /// A [`Kept`] out of its parts.
    fn whole(&self) -> Result<Vec<u8>, EmulatorError> {
        let mut whole = [b"{\"keyring\":", &*self.keyring, b",\"vaults\":{"].concat();
        for (place, (name, part)) in self.vaults.iter().enumerate() {
            whole.extend_from_slice(if place == 0 { b"" } else { b"," });
            whole.extend_from_slice(&json(&self.path, name)?);
            whole.push(b':');
            whole.extend_from_slice(&part.json);
        }
        whole.extend_from_slice(b"}}");
        Ok(whole)
    }
}

fn json(path: &Path, part: &impl Serialize) -> Result<Vec<u8>, EmulatorError> {
    serde_json::to_vec(part).map_err(|source| EmulatorError::Corrupt { path: path.to_owned(), source: source.into() })
}

/// Writes a file that only its owner may read, whole or not at all.
fn write_private(path: &Path, bytes: &[u8]) -> Result<(), EmulatorError> {
    let failed = |source| EmulatorError::Write { path: path.to_owned(), source };
    let beside = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&beside).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&beside, path).map_err(failed)
}

#[cfg(test)]
mod tests;
