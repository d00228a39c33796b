//! The coordinator's loop: configs, and the actors that follow from them.
//!
//! Level-triggered: each look compares the configs there are with the slots that are held and the actors that run, and
//! mends the difference. What the live feed says only brings a look forward.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use broker::{Entry, LiveEntry, LogError};
use futures::{StreamExt, stream::BoxStream};
use proto_msgs::{
    Config, ConfigId, Epoch, Revision, Slot, hash,
    vault::{VaultIdentity, uri_key},
};
use runtime::{BootTime, Shutdown};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use crate::{
    CoordinatorError, CoordinatorParts, CoordinatorSettings,
    brake::{self, Brake},
    claims::TargetClaims,
    config_actor::{ConfigHandle, ConfigParts, Loaded, load},
    fleet::LOOK_EVERY,
    membership::Membership,
    tenure::Tenure,
    vault_actor::VaultHandle,
};

/// Configs are listed again this often, whatever the live feed said.
const LIST_EVERY: Duration = Duration::from_secs(10);
/// Configs loaded at once: each reads its records.
const LOADS_AT_ONCE: usize = 4;
/// A config that could not be loaded is tried again after this.
const LOAD_AGAIN: Duration = Duration::from_secs(5);
/// One that stopped by itself is started again after this.
const START_AGAIN: Duration = Duration::from_secs(1);
/// Actors that may stop by themselves within [`RESTART_WINDOW`]; beyond it the process is unwell and ends.
const RESTARTS_MAX: usize = 20;
const RESTART_WINDOW: Duration = Duration::from_secs(60);

/// A config's actor, and what it was started under.
struct Running {
    handle: ConfigHandle,
    slot: Slot,
    epoch: Epoch,
    revision: Revision,
    vaults: [String; 2],
}

type LoadResult = (ConfigId, Epoch, Result<Loaded, CoordinatorError>);
type Listing = Result<Vec<Entry<Config>>, LogError>;
type Changes = BoxStream<'static, LiveEntry<Config>>;

struct Service {
    settings: CoordinatorSettings,
    parts: CoordinatorParts,
    membership: Membership,
    configs: BTreeMap<ConfigId, Entry<Config>>,
    listed_at: Option<BootTime>,
    /// Every config there is is known: before, one could be dispatched that does not know of another's claims.
    has_listed: bool,
    listing: JoinSet<Listing>,
    running: BTreeMap<ConfigId, Running>,
    loading: BTreeSet<ConfigId>,
    loads: JoinSet<LoadResult>,
    /// Configs that could not be loaded or stopped by themselves, and when they are tried again.
    failed: BTreeMap<ConfigId, BootTime>,
    /// One budget per vault, whichever configs use it.
    vaults: BTreeMap<String, VaultHandle>,
    /// Who owns which item of a target vault, in the tenure of its slot.
    claims: BTreeMap<String, (Epoch, TargetClaims)>,
    brake: Brake,
    /// Keeps the brake as the store has it.
    following: JoinSet<()>,
    /// When actors stopped by themselves.
    stopped: VecDeque<BootTime>,
}

pub(crate) async fn run(
    settings: CoordinatorSettings,
    parts: CoordinatorParts,
    shutdown: Shutdown,
) -> Result<(), CoordinatorError> {
    let mut changes = parts.broker.configs().follow().await?;
    let control = parts.broker.configs().follow_control().await?;
    let membership = Membership::join(&parts).await?;
    let mut service = Service::new(settings, parts, membership);
    service.following.spawn_local(brake::follow(service.parts.clone(), service.brake.clone(), control));
    tracing::info!(coordinator_id = %service.parts.origin.member(), "coordinator serves");
    let result = service.serve(&mut changes, &shutdown).await;
    service.leave().await;
    result
}

impl Service {
    fn new(settings: CoordinatorSettings, parts: CoordinatorParts, membership: Membership) -> Self {
        Self {
            settings,
            parts,
            membership,
            configs: BTreeMap::new(),
            listed_at: None,
            has_listed: false,
            listing: JoinSet::new(),
            running: BTreeMap::new(),
            loading: BTreeSet::new(),
            loads: JoinSet::new(),
            failed: BTreeMap::new(),
            vaults: BTreeMap::new(),
            claims: BTreeMap::new(),
            brake: Brake::default(),
            following: JoinSet::new(),
            stopped: VecDeque::new(),
        }
    }

    async fn serve(&mut self, changes: &mut Changes, shutdown: &Shutdown) -> Result<(), CoordinatorError> {
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = shutdown.draining() => return Ok(()),
                error = self.membership.ended() => return Err(error),
                Some(_) = self.following.join_next() => return Err(CoordinatorError::SubscriptionEnded),
                change = changes.next() => match change {
                    Some(change) => self.changed(change),
                    None => return Err(CoordinatorError::SubscriptionEnded),
                },
                Some(loaded) = self.loads.join_next() => self.loaded(loaded),
                Some(listed) = self.listing.join_next() => self.listed(listed),
                _ = look.tick() => self.look()?,
            }
        }
    }

    fn changed(&mut self, change: LiveEntry<Config>) {
        match change {
            LiveEntry::Entry(entry) => {
                self.take_in(entry);
                self.mend();
            }
            LiveEntry::Gap => self.listed_at = None,
        }
    }

    fn take_in(&mut self, entry: Entry<Config>) {
        let id = entry.envelope.body.id;
        if self.configs.get(&id).is_none_or(|known| known.sequence < entry.sequence) {
            self.configs.insert(id, entry);
        }
    }

    fn look(&mut self) -> Result<(), CoordinatorError> {
        let now = self.parts.origin.boot();
        if self.listing.is_empty() && self.listed_at.is_none_or(|at| now - at >= LIST_EVERY) {
            let configs = self.parts.broker.configs();
            self.listing.spawn_local(async move { configs.list().await });
        }
        self.bury(now)?;
        self.mend();
        let busy = self.running.values().filter(|running| running.handle.is_busy()).map(|running| running.slot);
        *self.membership.busy.borrow_mut() = busy.collect();
        Ok(())
    }

    fn listed(&mut self, joined: Result<Listing, tokio::task::JoinError>) {
        match joined {
            Ok(Ok(configs)) => {
                (self.listed_at, self.has_listed) = (Some(self.parts.origin.boot()), true);
                self.configs.retain(|id, _| configs.iter().any(|entry| entry.envelope.body.id == *id));
                configs.into_iter().for_each(|entry| self.take_in(entry));
                self.mend();
            }
            Ok(Err(error)) => tracing::warn!(error = %error, "configs could not be listed"),
            Err(error) => tracing::error!(error = %error, "the listing of configs broke off"),
        }
    }

    /// Actors that stopped by themselves are started again from stored state, within a budget.
    fn bury(&mut self, now: BootTime) -> Result<(), CoordinatorError> {
        while self.stopped.front().is_some_and(|&at| now - at > RESTART_WINDOW) {
            self.stopped.pop_front();
        }
        let gone: Vec<ConfigId> =
            self.running.iter().filter(|(_, running)| !running.handle.is_running()).map(|(&id, _)| id).collect();
        for id in gone {
            let Some(running) = self.running.remove(&id) else { continue };
            let is_removed = self.configs.get(&id).is_none_or(|entry| entry.envelope.body.deleted);
            if is_removed {
                // It took its config out of the store; the listing that still shows it is old.
                self.configs.remove(&id);
                self.listed_at = None;
                continue;
            }
            tracing::warn!(config_id = %id, "a config's coordinator stopped by itself: started again");
            // One that heard of a newer owner did what it should; many of them at once are one lost lease.
            let is_lost = running.handle.was_overtaken();
            if !is_lost {
                self.stopped.push_back(now);
            }
            self.failed.insert(id, now.plus(if is_lost { LOAD_AGAIN } else { START_AGAIN }));
        }
        if self.stopped.len() > RESTARTS_MAX { Err(CoordinatorError::TooManyRestarts) } else { Ok(()) }
    }

    /// Starts, updates and stops actors, so that exactly the configs of the held slots have one.
    fn mend(&mut self) {
        if !self.has_listed {
            return;
        }
        let held = self.membership.slots.held();
        let wanted: BTreeMap<ConfigId, Tenure> = self
            .configs
            .iter()
            .filter_map(|(id, entry)| held.get(&slot_of(&entry.envelope.body)).map(|held| (*id, held.clone())))
            .collect();
        self.running.retain(|id, running| {
            let stays = wanted.get(id).is_some_and(|tenure| tenure.epoch == running.epoch);
            if !stays {
                tracing::info!(config_id = %id, epoch = running.epoch.0, "config is left to its next owner");
                running.handle.stop();
            }
            stays
        });
        self.expect_claims(&wanted);
        for (id, tenure) in wanted {
            let Some(entry) = self.configs.get(&id) else { continue };
            let revision = Revision(entry.sequence.0);
            match self.running.get_mut(&id) {
                Some(running) if running.revision < revision => {
                    running.revision = revision;
                    running.handle.update(entry.clone());
                }
                Some(_) => {}
                None => self.load(id, tenure.epoch),
            }
        }
        let used: BTreeSet<&String> = self.running.values().flat_map(|running| &running.vaults).collect();
        self.vaults.retain(|uri, _| used.contains(uri));
    }

    /// Says to each target vault's claims which configs write there; another tenure begins with none.
    fn expect_claims(&mut self, wanted: &BTreeMap<ConfigId, Tenure>) {
        let mut writers: BTreeMap<String, (Epoch, BTreeSet<ConfigId>)> = BTreeMap::new();
        for (id, tenure) in wanted {
            let Some(entry) = self.configs.get(id) else { continue };
            let vault = uri_key(&entry.envelope.body.target.uri);
            writers.entry(vault).or_insert((tenure.epoch, BTreeSet::new())).1.insert(*id);
        }
        self.claims.retain(|vault, (epoch, _)| writers.get(vault).is_some_and(|(newest, _)| newest == epoch));
        for (vault, (epoch, configs)) in writers {
            self.claims.entry(vault).or_insert_with(|| (epoch, TargetClaims::default())).1.expect(&configs);
        }
    }

    fn load(&mut self, id: ConfigId, epoch: Epoch) {
        let now = self.parts.origin.boot();
        let has_to_wait = self.failed.get(&id).is_some_and(|&until| now < until);
        if self.loading.len() >= LOADS_AT_ONCE || self.loading.contains(&id) || has_to_wait {
            return;
        }
        let Some(entry) = self.configs.get(&id).cloned() else { return };
        let parts = self.parts.clone();
        self.loading.insert(id);
        self.loads.spawn_local(async move { (id, epoch, load(&parts, entry).await) });
    }

    fn loaded(&mut self, joined: Result<LoadResult, tokio::task::JoinError>) {
        let (id, epoch, loaded) = match joined {
            Ok(result) => result,
            Err(error) => {
                tracing::error!(error = %error, "a config's load broke off");
                self.loading.clear();
                return;
            }
        };
        self.loading.remove(&id);
        self.failed.remove(&id);
        let entry = self.configs.get(&id).map(|entry| slot_of(&entry.envelope.body));
        let tenure = entry.and_then(|slot| self.membership.slots.held().remove(&slot));
        match (loaded, tenure) {
            (Ok(loaded), Some(tenure)) if tenure.epoch == epoch => self.start(id, tenure, loaded),
            // The slot was lost meanwhile.
            (Ok(_), _) => {}
            (Err(error), _) => {
                tracing::warn!(config_id = %id, error = %error, "config could not be loaded: tried again");
                self.failed.insert(id, self.parts.origin.boot().plus(LOAD_AGAIN));
            }
        }
        self.mend();
    }

    fn start(&mut self, id: ConfigId, tenure: Tenure, loaded: Loaded) {
        let (revision, epoch, slot) = (loaded.revision, tenure.epoch, slot_of(&loaded.config));
        let vaults = [&loaded.config.source, &loaded.config.target].map(|vault| uri_key(&vault.uri));
        let claims = self.claims.entry(vaults[1].clone()).or_insert_with(|| (epoch, TargetClaims::default()));
        if claims.0 != epoch {
            *claims = (epoch, TargetClaims::default());
        }
        let claims = claims.1.clone();
        let parts = ConfigParts {
            claims,
            brake: self.brake.clone(),
            source: self.vault(&loaded.config.source, &tenure),
            target: self.vault(&loaded.config.target, &tenure),
            parts: self.parts.clone(),
            fleet: self.membership.fleet.clone(),
            tenure,
        };
        tracing::info!(config_id = %id, epoch = epoch.0, revision = revision.0, "config is coordinated here");
        let handle = ConfigHandle::start(parts, loaded);
        self.running.insert(id, Running { handle, slot, epoch, revision, vaults });
    }

    fn vault(&mut self, vault: &VaultIdentity, tenure: &Tenure) -> VaultHandle {
        let handle = self.vaults.entry(uri_key(&vault.uri));
        let start = || VaultHandle::start(vault.uri.clone(), self.parts.origin.clone(), &self.settings);
        let handle = handle.or_insert_with(start);
        if tenure.was_anothers {
            handle.go_cautiously();
        }
        handle.clone()
    }

    /// Decides nothing more, and gives the slots to whoever is next.
    async fn leave(mut self) {
        self.running.values().for_each(|running| running.handle.stop());
        self.loads.shutdown().await;
        self.listing.shutdown().await;
        self.following.shutdown().await;
        self.membership.leave().await;
        tracing::info!(coordinator_id = %self.parts.origin.member(), "coordinator leaves");
    }
}

fn slot_of(config: &Config) -> Slot {
    hash::slot(&config.target.uri)
}
