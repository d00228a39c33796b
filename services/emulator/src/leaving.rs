//! Items that go while the emulator runs, as owners delete them: `deleted_after_s` of an estate.
//!
//! What is gone already stays as it is; what was recovered in the meantime goes again after the next start.

use std::time::Duration;

use actix_web::web;
use tokio::time::{Instant, sleep_until};

use crate::{
    estate::{Count, Estate, expand},
    state::collection::Kind,
    world::World,
};

/// An item that goes.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leaving {
    after: Duration,
    vault: String,
    kind: Kind,
    name: String,
}

/// All of an estate, the first to go first.
pub fn of(estate: &Estate) -> Vec<Leaving> {
    let mut leaving = Vec::new();
    for (_, vault) in estate.vaults() {
        let mut add = |kind: Kind, name: &str, count: Option<Count>, after: Option<u32>| {
            let Some(after) = after.map(|seconds| Duration::from_secs(seconds.into())) else { return };
            let names = expand(name, count).into_iter();
            leaving.extend(names.map(|name| Leaving { after, vault: vault.name.clone(), kind, name }));
        };
        let items = &vault.items;
        items.secrets.iter().for_each(|spec| add(Kind::Secret, &spec.name, spec.count, spec.deleted_after_s));
        items.keys.iter().for_each(|spec| add(Kind::Key, &spec.name, spec.count, spec.deleted_after_s));
        items.certificates.iter().for_each(|spec| add(Kind::Certificate, &spec.name, spec.count, spec.deleted_after_s));
    }
    leaving.sort();
    leaving
}

/// Deletes each when its time has come.
pub async fn see_off(leaving: Vec<Leaving>, world: web::Data<World>) {
    let started = Instant::now();
    for Leaving { after, vault, kind, name } in leaving {
        sleep_until(started + after).await;
        let Some(vault) = world.vault(&vault) else { continue };
        if vault.state.lock().delete(kind, &name, world.moment(vault)).is_ok() {
            vault.changed();
        }
    }
}
