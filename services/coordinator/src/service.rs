//! The coordinator's loop: heartbeats, leases, configs, and the actors that follow from them.
//!
//! Level-triggered: each look compares the configs there are with the slots that are held and the actors that run, and
//! mends the difference. What the live feed says only brings a look forward.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use broker::{Entry, Incoming, LiveEntry};
use domain::timing::HEARTBEAT_EVERY;
use futures::{StreamExt, stream::BoxStream};
use proto_msgs::{
    Config, ConfigId, Epoch, Revision, Slot, Timestamp, hash,
    vault::VaultIdentity,
    worker::{Heartbeat, Role},
};
use runtime::{BootTime, Shutdown};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use crate::{
    CoordinatorError, CoordinatorParts, CoordinatorSettings,
    config_actor::{ConfigHandle, ConfigParts, Loaded, load},
    fleet::{Fleet, LOOK_EVERY},
    slots::{Held, Slots},
    vault_actor::VaultHandle,
};

/// Configs are listed again this often, whatever the live feed said.
const LIST_EVERY: Duration = Duration::from_secs(10);
/// Configs loaded at once: each reads its records.
const LOADS_AT_ONCE: usize = 4;
/// Actors that may stop by themselves within [`RESTART_WINDOW`]; beyond it the process is unwell and ends.
const RESTARTS_MAX: usize = 20;
const RESTART_WINDOW: Duration = Duration::from_secs(60);

/// A config's actor, and what it was started under.
struct Running {
    handle: ConfigHandle,
    epoch: Epoch,
    revision: Revision,
}

type LoadResult = (ConfigId, Epoch, Result<Loaded, CoordinatorError>);

struct Service {
    settings: CoordinatorSettings,
    parts: CoordinatorParts,
    fleet: Fleet,
    slots: Slots,
    configs: BTreeMap<ConfigId, Entry<Config>>,
    listed_at: Option<BootTime>,
    running: BTreeMap<ConfigId, Running>,
    loading: BTreeSet<ConfigId>,
    loads: JoinSet<LoadResult>,
    /// One budget per vault, whichever configs use it.
    vaults: BTreeMap<String, VaultHandle>,
    /// When actors stopped by themselves.
    stopped: VecDeque<BootTime>,
    started: Timestamp,
    beat: u64,
}

pub(crate) async fn run(
    settings: CoordinatorSettings,
    parts: CoordinatorParts,
    shutdown: Shutdown,
) -> Result<(), CoordinatorError> {
    let (mut heartbeats, mut changes) = subscribe(&parts).await?;
    let mut service = Service::new(settings, parts);
    tracing::info!(coordinator_id = %service.parts.origin.member(), "coordinator serves");
    let mut beat = interval(HEARTBEAT_EVERY);
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let result = loop {
        tokio::select! {
            biased;
            () = shutdown.draining() => break Ok(()),
            heard = heartbeats.next() => match heard {
                Some(incoming) => service.hear(&incoming),
                None => break Err(CoordinatorError::SubscriptionEnded),
            },
            _ = beat.tick() => service.heartbeat().await,
            change = changes.next() => match change {
                Some(change) => service.changed(change),
                None => break Err(CoordinatorError::SubscriptionEnded),
            },
            Some(loaded) = service.loads.join_next() => service.loaded(loaded),
            _ = look.tick() => if let Err(error) = service.look().await {
                break Err(error);
            },
        }
    };
    service.leave().await;
    result
}

type Heartbeats = BoxStream<'static, Incoming>;
type Changes = BoxStream<'static, LiveEntry<Config>>;

async fn subscribe(parts: &CoordinatorParts) -> Result<(Heartbeats, Changes), CoordinatorError> {
    let heartbeats = parts.broker.bus.subscribe(&parts.broker.subjects.heartbeats(), None).await?;
    let changes = parts.broker.configs().follow().await?;
    parts.broker.bus.flush().await?;
    Ok((heartbeats, changes))
}

impl Service {
    fn new(settings: CoordinatorSettings, parts: CoordinatorParts) -> Self {
        Self {
            settings,
            fleet: Fleet::new(parts.origin.member().clone(), parts.origin.boot()),
            slots: Slots::new(parts.clone()),
            configs: BTreeMap::new(),
            listed_at: None,
            running: BTreeMap::new(),
            loading: BTreeSet::new(),
            loads: JoinSet::new(),
            vaults: BTreeMap::new(),
            stopped: VecDeque::new(),
            started: parts.origin.now(),
            beat: 0,
            parts,
        }
    }

    fn hear(&self, incoming: &Incoming) {
        match broker::read::<Heartbeat>(incoming) {
            Ok(envelope) => self.fleet.hear(envelope.body, self.parts.origin.boot()),
            Err(error) => tracing::warn!(subject = incoming.subject, error = %error, "heartbeat could not be read"),
        }
    }

    async fn heartbeat(&mut self) {
        self.beat += 1;
        let origin = &self.parts.origin;
        let heartbeat = Heartbeat {
            member: origin.member().clone(),
            role: Role::Coordinator,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: self.started,
            beat: self.beat,
            slots: self.slots.held().into_keys().collect(),
            room: 0,
            in_flight: 0,
            draining: false,
        };
        let subject = self.parts.broker.subjects.heartbeat(Role::Coordinator, origin.member());
        let envelope = origin.envelope(origin.correlation_id(), heartbeat);
        if let Err(error) = broker::tell(self.parts.broker.bus.as_ref(), &subject, &envelope).await {
            tracing::debug!(error = %error, "heartbeat could not be sent");
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

    async fn look(&mut self) -> Result<(), CoordinatorError> {
        let now = self.parts.origin.boot();
        self.fleet.look(now);
        let busy = self.busy_slots().await;
        if let Err(error) = self.slots.tend(&self.fleet, &busy).await {
            tracing::warn!(error = %error, "leases could not be looked at");
        }
        if self.listed_at.is_none_or(|at| now - at >= LIST_EVERY) {
            match self.parts.broker.configs().list().await {
                Ok(configs) => {
                    self.listed_at = Some(now);
                    self.configs.retain(|id, _| configs.iter().any(|entry| entry.envelope.body.id == *id));
                    configs.into_iter().for_each(|entry| self.take_in(entry));
                }
                Err(error) => tracing::warn!(error = %error, "configs could not be listed"),
            }
        }
        self.bury(now)?;
        self.mend();
        Ok(())
    }

    async fn busy_slots(&self) -> BTreeSet<Slot> {
        let mut busy = BTreeSet::new();
        for (id, running) in &self.running {
            if let Some(config) = self.configs.get(id)
                && running.handle.is_busy().await
            {
                busy.insert(slot_of(&config.envelope.body));
            }
        }
        busy
    }

    /// Actors that stopped by themselves are started again from stored state, within a budget.
    fn bury(&mut self, now: BootTime) -> Result<(), CoordinatorError> {
        while self.stopped.front().is_some_and(|&at| now - at > RESTART_WINDOW) {
            self.stopped.pop_front();
        }
        let gone: Vec<ConfigId> =
            self.running.iter().filter(|(_, running)| !running.handle.is_running()).map(|(&id, _)| id).collect();
        for id in gone {
            self.running.remove(&id);
            let is_removed = self.configs.get(&id).is_none_or(|entry| entry.envelope.body.deleted);
            if is_removed {
                // It took its config out of the store; the listing that still shows it is old.
                self.configs.remove(&id);
                self.listed_at = None;
                continue;
            }
            tracing::warn!(config_id = %id, "a config's coordinator stopped by itself: started again");
            self.stopped.push_back(now);
        }
        if self.stopped.len() > RESTARTS_MAX { Err(CoordinatorError::TooManyRestarts) } else { Ok(()) }
    }

    /// Starts, updates and stops actors, so that exactly the configs of the held slots have one.
    fn mend(&mut self) {
        let held = self.slots.held();
        let wanted: BTreeMap<ConfigId, Held> = self
            .configs
            .iter()
            .filter_map(|(id, entry)| held.get(&slot_of(&entry.envelope.body)).map(|held| (*id, *held)))
            .collect();
        self.running.retain(|id, running| {
            let stays = wanted.get(id).is_some_and(|held| held.epoch == running.epoch);
            if !stays {
                tracing::info!(config_id = %id, epoch = running.epoch.0, "config is left to its next owner");
                running.handle.stop();
            }
            stays
        });
        for (id, held) in wanted {
            let Some(entry) = self.configs.get(&id) else { continue };
            let revision = Revision(entry.sequence.0);
            match self.running.get_mut(&id) {
                Some(running) if running.revision < revision => {
                    running.revision = revision;
                    running.handle.update(entry.clone());
                }
                Some(_) => {}
                None => self.load(id, held.epoch),
            }
        }
    }

    fn load(&mut self, id: ConfigId, epoch: Epoch) {
        if self.loading.len() >= LOADS_AT_ONCE || self.loading.contains(&id) {
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
        let held =
            self.configs.get(&id).and_then(|entry| self.slots.held().get(&slot_of(&entry.envelope.body)).copied());
        match (loaded, held) {
            (Ok(loaded), Some(held)) if held.epoch == epoch => self.start(id, held, loaded),
            // The slot was lost meanwhile.
            (Ok(_), _) => {}
            // The next look tries again.
            (Err(error), _) => tracing::warn!(config_id = %id, error = %error, "config could not be loaded"),
        }
        self.mend();
    }

    fn start(&mut self, id: ConfigId, held: Held, loaded: Loaded) {
        let revision = loaded.revision;
        let parts = ConfigParts {
            source: self.vault(&loaded.config.source, held.was_anothers),
            target: self.vault(&loaded.config.target, held.was_anothers),
            parts: self.parts.clone(),
            fleet: self.fleet.clone(),
            epoch: held.epoch,
        };
        tracing::info!(config_id = %id, epoch = held.epoch.0, revision = revision.0, "config is coordinated here");
        self.running.insert(id, Running { handle: ConfigHandle::start(parts, loaded), epoch: held.epoch, revision });
    }

    fn vault(&mut self, vault: &VaultIdentity, is_cautious: bool) -> VaultHandle {
        let handle = self.vaults.entry(vault.uri.to_ascii_lowercase());
        handle.or_insert_with(|| VaultHandle::start(self.parts.origin.clone(), &self.settings, is_cautious)).clone()
    }

    /// Decides nothing more, and gives the slots to whoever is next.
    async fn leave(mut self) {
        self.running.values().for_each(|running| running.handle.stop());
        self.loads.shutdown().await;
        self.slots.release_all().await;
        tracing::info!(coordinator_id = %self.parts.origin.member(), "coordinator leaves");
    }
}

fn slot_of(config: &Config) -> Slot {
    hash::slot(&config.target.uri)
}
