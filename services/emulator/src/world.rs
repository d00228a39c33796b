//! Everything the emulator knows, shared by all its request handlers.
//!
//! Built once from the estate and what was kept; afterwards only clocks, settings, faults and the vaults' states change.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio_util::task::TaskTracker;

use crate::{
    Limits,
    auth::{Authority, tokens::Tokens},
    clock::Clock,
    counts::Counts,
    crypto::Sealer,
    error::EmulatorError,
    estate::{CustomRole, Estate, IdentitySpec},
    faults::Faults,
    keyring::Keyring,
    regions::Region,
    state::collection::Moment,
    throttle::Throttle,
    vault::{Access, Vault},
};

/// How long deleting, recovering and issuing take unless the admin listener says otherwise. Azure needs seconds; tests
/// have no time for that, but must see the phase.
const DEFAULT_PHASE: Duration = Duration::from_millis(200);

/// Entries in a page of the management plane unless the admin listener says otherwise.
const ARM_PAGE: usize = 100;

/// A subscription as it runs.
pub struct Subscription {
    pub id: String,
    pub name: String,
    pub throttle: Throttle,
}

/// Everything.
pub struct World {
    pub clock: Clock,
    pub knobs: Knobs,
    pub tokens: Tokens,
    pub sealer: Sealer,
    pub faults: Faults,
    pub identities: Vec<IdentitySpec>,
    pub custom_roles: Vec<CustomRole>,
    /// Names of regions that the management plane does not list.
    pub unlisted_regions: Vec<&'static str>,
    pub subscriptions: Vec<Subscription>,
    /// In the order of the estate.
    pub vaults: Vec<Arc<Vault>>,
    by_name: HashMap<String, Arc<Vault>>,
    pub arm_counts: Counts,
    pub login_counts: Counts,
    /// Calls that are being served: one goes on when its client has gone.
    pub calls: TaskTracker,
}

/// What the admin listener can set.
pub struct Knobs {
    latency_ms: AtomicU64,
    phase_ms: AtomicU64,
    limits: AtomicBool,
    pub empty_first_pages: AtomicBool,
    /// Entries in a page of the management plane.
    pub arm_page_size: AtomicUsize,
}

impl Knobs {
    pub fn new(latency: Duration, limits: Limits) -> Self {
        let knobs = Self {
            latency_ms: AtomicU64::new(0),
            phase_ms: AtomicU64::new(0),
            limits: AtomicBool::new(limits == Limits::Azure),
            empty_first_pages: AtomicBool::new(false),
            arm_page_size: AtomicUsize::new(ARM_PAGE),
        };
        knobs.set_latency(latency);
        knobs.set_phase(DEFAULT_PHASE);
        knobs
    }

    pub fn latency(&self) -> Duration {
        Duration::from_millis(self.latency_ms.load(Ordering::Relaxed))
    }

    pub fn set_latency(&self, latency: Duration) {
        self.latency_ms.store(u64::try_from(latency.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub fn phase(&self) -> Duration {
        Duration::from_millis(self.phase_ms.load(Ordering::Relaxed))
    }

    pub fn set_phase(&self, phase: Duration) {
        self.phase_ms.store(u64::try_from(phase.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub fn limits(&self) -> Limits {
        if self.limits.load(Ordering::Relaxed) { Limits::Azure } else { Limits::Off }
    }

    pub fn set_limits(&self, limits: Limits) {
        self.limits.store(limits == Limits::Azure, Ordering::Relaxed);
    }
}

impl World {
    /// Builds the world without items.
    pub fn new(estate: &Estate, keyring: Keyring, knobs: Knobs, port: u16) -> Result<Self, EmulatorError> {
        let authority = Authority { tenant: estate.tenant.clone(), port };
        let tokens = Tokens::new(authority, &keyring.token_key, &estate.identities)?;
        let mut subscriptions = Vec::new();
        let mut vaults = Vec::new();
        for (place, spec) in estate.subscriptions.iter().enumerate() {
            for vault in &spec.vaults {
                let Some(region) = Region::find(&vault.region) else { continue };
                let access = Access::new(
                    vault.authorization,
                    &vault.roles,
                    vault.access_policies.clone(),
                    &estate.identities,
                    &estate.custom_roles,
                );
                vaults.push(Arc::new(Vault::new(vault, region, (place, &spec.id), access, port)));
            }
            subscriptions.push(Subscription {
                id: spec.id.clone(),
                name: spec.name.clone(),
                throttle: Throttle::default(),
            });
        }
        Ok(Self {
            clock: Clock::new(),
            knobs,
            tokens,
            sealer: keyring.sealer,
            faults: Faults::new(),
            identities: estate.identities.clone(),
            custom_roles: estate.custom_roles.clone(),
            unlisted_regions: estate
                .unlisted_regions
                .iter()
                .filter_map(|region| Region::find(region))
                .map(|region| region.name)
                .collect(),
            subscriptions,
            by_name: vaults.iter().map(|vault| (vault.name.to_ascii_lowercase(), Arc::clone(vault))).collect(),
            vaults,
            arm_counts: Counts::new(),
            login_counts: Counts::new(),
            calls: TaskTracker::new(),
        })
    }

    /// The vault of that name.
    pub fn vault(&self, name: &str) -> Option<&Arc<Vault>> {
        self.by_name.get(&name.to_ascii_lowercase())
    }

    /// Now, for an item of this vault.
    pub fn moment(&self, vault: &Vault) -> Moment {
        let phase_ms = i64::try_from(self.knobs.phase().as_millis()).unwrap_or(i64::MAX);
        Moment { now_ms: self.clock.now_ms(), phase_ms, protection: vault.place.protection }
    }
}
