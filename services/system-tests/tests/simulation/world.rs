//! The world of one seed: a NATS server and an Azure in memory, and the processes between them.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, sync::Arc, time::Duration};

use broker::{
    Broker,
    memory::{MemoryClient, MemoryServer},
};
use coordinator::CoordinatorParts;
use proto_msgs::{
    ItemName, MemberId, RecordId, Sequence, Timestamp,
    api::LeaveBody,
    subject::Subjects,
    vault::{Side, VaultIdentity},
    worker::Role,
};
use runtime::{Origin, SeededEntropy, Shutdown, TokioClock};
use tokio::{task::JoinSet, time::Instant};
use vault::memory::{MemoryAzure, Owner};
use worker::{WorkerParts, WorkerSettings};

use crate::{
    faults::Faults,
    history::History,
    process::{Ice, Process},
    scenario::{Ask, Change, Scenario},
};

/// When every story begins.
pub fn beginning() -> Timestamp {
    Timestamp::from_unix_seconds(1_800_000_000)
}

pub struct World {
    pub scenario: Rc<Scenario>,
    pub server: MemoryServer,
    pub azure: MemoryAzure,
    pub faults: Faults,
    pub operator: Broker,
    pub origin: Origin,
    pub members: Vec<Member>,
    pub history: RefCell<History>,
    /// What owners did, in order.
    pub touches: Vec<Touch>,
    pub windows: Vec<Window>,
    /// What operators asked about single records, in order.
    pub decisions: Vec<(Timestamp, Ask)>,
    /// Leave that operators gave, whatever became of it.
    pub leaves: Vec<(RecordId, LeaveBody)>,
    /// Held deletes as they were listed for somebody who then released them, whatever became of it.
    pub releases: Vec<(RecordId, Sequence)>,
    /// What operators asked, and what they were told.
    pub answers: Rc<RefCell<Vec<String>>>,
    /// When something first happened to a member, whose clock or ear is not to be relied on from then on.
    pub struck: BTreeMap<String, Timestamp>,
    /// Members that were killed, who tell nothing any more.
    pub killed: BTreeMap<String, Timestamp>,
    processes: JoinSet<()>,
    started: Instant,
}

/// One of the scenario's members, in whichever process it lives now.
pub struct Member {
    pub role: Role,
    pub id: String,
    pub client: MemoryClient,
    pub clock: Arc<TokioClock>,
    pub shutdown: Shutdown,
    /// None: it is down on purpose.
    pub process: Option<Process>,
    generation: u32,
}

/// An owner's hand on an item.
#[derive(Debug, Clone)]
pub struct Touch {
    pub at: Timestamp,
    pub side: Side,
    /// Of the scenario.
    pub item: usize,
    pub change: Change,
}

/// A time in which a member could not reach NATS.
#[derive(Debug, Clone)]
pub struct Window {
    pub member: String,
    pub from: Timestamp,
    pub until: Option<Timestamp>,
    /// It saw that.
    pub is_known: bool,
}

impl World {
    pub fn new(scenario: Rc<Scenario>) -> Self {
        let (seed, started) = (scenario.seed, Instant::now());
        let server = MemoryServer::new(Subjects::default(), beginning());
        let azure = MemoryAzure::new(Arc::new(move || beginning().plus(started.elapsed())), seed);
        (0..scenario.vaults.len()).for_each(|number| azure.add_vault(identity(&scenario, number)));
        let faults = Faults::new(seed, scenario.rates);
        server.set_weather(faults.weather());
        let clock = Arc::new(TokioClock::new(beginning()));
        let origin = Origin::new(clock, Arc::new(SeededEntropy::new(seed ^ 0x0be2)), member_id("operator"));
        let operator = server.client("operator").broker();
        let mut world = Self {
            operator,
            origin,
            faults,
            azure,
            server,
            members: Vec::new(),
            history: RefCell::default(),
            touches: Vec::new(),
            windows: Vec::new(),
            decisions: Vec::new(),
            leaves: Vec::new(),
            releases: Vec::new(),
            answers: Rc::default(),
            struck: BTreeMap::new(),
            killed: BTreeMap::new(),
            processes: JoinSet::new(),
            started,
            scenario,
        };
        let roles = [(Role::Coordinator, world.scenario.coordinators), (Role::Worker, world.scenario.workers)];
        for (role, count) in roles {
            for _ in 0..count {
                let member = world.member(role, world.members.len(), 0);
                world.members.push(member);
            }
        }
        world
    }

    pub fn now(&self) -> Timestamp {
        beginning().plus(self.elapsed())
    }

    pub fn begun(&self) -> Instant {
        self.started
    }

    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub fn owner(&self, vault: usize) -> Owner {
        self.azure.owner(&vault_name(vault))
    }

    /// Takes in what was stored since.
    pub fn look(&self) -> std::cell::RefMut<'_, History> {
        let mut history = self.history.borrow_mut();
        let news = self.server.written_after(history.all.len());
        history.take_in(news);
        history
    }

    fn member(&self, role: Role, number: usize, generation: u32) -> Member {
        let id = format!("{}-{number}-{generation}", role.as_str());
        Member {
            client: self.server.client(&id),
            clock: Arc::new(TokioClock::new(self.now())),
            shutdown: Shutdown::new(),
            process: None,
            id,
            role,
            generation,
        }
    }

    /// Starts a new process in a member's place.
    pub fn start(&mut self, number: usize) {
        let (role, generation) = (self.members[number].role, self.members[number].generation + 1);
        let mut member = self.member(role, number, generation);
        let seed = self.scenario.seed.wrapping_mul(1_000_003) ^ ((number as u64) << 32) ^ u64::from(generation);
        let origin = Origin::new(member.clock.clone(), Arc::new(SeededEntropy::new(seed)), member_id(&member.id));
        let (broker, shutdown) = (member.client.broker(), member.shutdown.clone());
        let ice = Ice::default();
        let process = match role {
            Role::Coordinator => {
                let (parts, budget) = (CoordinatorParts { broker, origin }, self.scenario.budget);
                Process::start(&mut self.processes, ice, async move {
                    // A role that cannot go on ends, and is started again.
                    _ = coordinator::run(budget, parts, shutdown).await;
                })
            }
            Role::Worker | Role::Gateway => {
                let vaults = self.azure.with_fates(self.faults.fates(&member.id, ice.clone())).with_caller(&member.id);
                let parts = WorkerParts { broker, vaults: Arc::new(vaults), origin, metrics: Arc::default() };
                Process::start(&mut self.processes, ice, async move {
                    _ = worker::run(WorkerSettings::default(), parts, shutdown).await;
                })
            }
        };
        member.process = Some(process);
        self.members[number] = member;
    }

    /// Ends a member's process without a word.
    pub fn kill(&mut self, number: usize) {
        let now = self.now();
        let member = &mut self.members[number];
        member.client.remove();
        if let Some(process) = member.process.take() {
            process.kill();
        }
        let id = member.id.clone();
        self.killed.entry(id.clone()).or_insert(now);
        self.mend_window(&id);
    }

    pub fn open_window(&mut self, member: &str, is_known: bool) {
        let (from, member) = (self.now(), member.to_owned());
        self.windows.push(Window { member, from, until: None, is_known });
    }

    pub fn is_cut_off(&self, member: &str) -> bool {
        self.windows.iter().any(|window| window.member == member && window.until.is_none())
    }

    pub fn mend_window(&mut self, member: &str) {
        let now = self.now();
        let open = self.windows.iter_mut().filter(|window| window.member == member && window.until.is_none());
        open.for_each(|window| window.until = Some(now));
        self.faults.mend(member);
    }

    /// Starts what ended by itself, or after a drain.
    pub fn restart_ended(&mut self) {
        let ended = |member: &Member| member.process.as_ref().is_some_and(Process::has_ended);
        for number in 0..self.members.len() {
            if ended(&self.members[number]) && !self.members[number].shutdown.is_draining() {
                self.members[number].client.remove();
                self.start(number);
            }
        }
    }
}

pub fn vault_name(number: usize) -> String {
    format!("vault-{number}")
}

pub fn identity(scenario: &Scenario, number: usize) -> VaultIdentity {
    let (plan, name) = (scenario.vaults[number], vault_name(number));
    VaultIdentity {
        uri: format!("https://{name}.vault.memory"),
        resource_id: Some(format!("/vaults/{name}")),
        subscription: Some(format!("00000000-0000-4000-8000-00000000000{}", plan.subscription)),
        region: Some("westeurope".to_owned()),
        geography: Some(plan.geography.to_owned()),
        tenant: "5f0c1d4e-0000-4000-8000-000000000001".to_owned(),
        verified: true,
        name,
    }
}

pub fn member_id(text: &str) -> MemberId {
    text.parse().expect("it is a member id")
}

pub fn item_name(text: &str) -> ItemName {
    text.parse().expect("it is an item's name")
}
