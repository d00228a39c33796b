//! The processes of one start: begun in order, watched, begun again where they died, and ended in the opposite order.

use std::{
    ffi::OsString,
    fs::File,
    future::Future,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use proto_msgs::RequestCode;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, Command},
    time::Instant,
};

use super::{LOOK_EVERY, Up};
use crate::{
    failure::{FIX_INTERNAL, Failure},
    output::tell,
    up::place::{Place, short},
};

/// What the workers find their client secret under.
pub const SECRET_VARIABLE: &str = "KEYFERRY_UP_CLIENT_SECRET";
/// Longest a process gets to end by itself.
const END_LIMIT: Duration = Duration::from_secs(10);
/// A part that dies more often than this within a minute is broken, and somebody must look.
const RESTARTS_MAX: usize = 5;
const RESTARTS_WITHIN: Duration = Duration::from_secs(60);

const NATS: &str = "nats";
const EMULATOR: &str = "emulator";
/// It keeps its state once a second.
const EMULATOR_LOSES: &str = ", without what was written to its vaults in the last second";

/// How a part is begun, the first time and every other.
struct Recipe {
    name: String,
    args: Vec<OsString>,
    needs_secret: bool,
}

struct Running {
    recipe: Recipe,
    child: Child,
    log: PathBuf,
    /// When it was begun again.
    restarts: Vec<Instant>,
}

/// All of them.
pub struct Children<'a> {
    place: &'a Place,
    /// This program, which all of them are at first.
    program: PathBuf,
    client_secret: String,
    running: Vec<Running>,
}

impl<'a> Children<'a> {
    /// None yet; workers will find this client secret in their environment.
    pub fn new(place: &'a Place, client_secret: String) -> Result<Self, Failure> {
        let program =
            std::env::current_exe().map_err(|error| Failure::of(RequestCode::Internal, &error, FIX_INTERNAL))?;
        Ok(Self { place, program, client_secret, running: Vec::new() })
    }

    pub fn nats(&mut self, args: &Up) -> Result<(), Failure> {
        let config = self.place.file("nats.conf");
        let store = self.place.file("nats");
        let listen = format!("listen: 127.0.0.1:{}", args.nats_port);
        self.place
            .write("nats.conf", &format!("{listen}\njetstream {{ store_dir: {store:?}, sync_interval: always }}\n"))?;
        let parent = std::process::id().to_string();
        let mut list: Vec<OsString> = ["with-parent", "--parent", &parent].map(OsString::from).into();
        list.extend([self.place.nats_server().into(), "-c".into(), config.into()]);
        self.begin(NATS, list, false)
    }

    pub fn emulator(&mut self, args: &Up) -> Result<(), Failure> {
        let address = |port: u16| OsString::from(format!("127.0.0.1:{port}"));
        let mut list: Vec<OsString> = ["emulator", "--exit-with-stdin", "--limits", "azure"].map(OsString::from).into();
        list.extend(["--listen".into(), address(args.emulator_port)]);
        list.extend(["--admin-listen".into(), address(args.admin_port())]);
        list.extend(["--ca-out".into(), self.place.file("ca.pem").into()]);
        list.extend(["--state".into(), self.place.file("emulator.json").into()]);
        if let Some(estate) = &args.estate {
            list.extend(["--estate".into(), estate.into()]);
        }
        self.begin(EMULATOR, list, false)
    }

    pub fn role(&mut self, role: &str, name: &str, settings: &Path) -> Result<(), Failure> {
        let list = [role.into(), "--exit-with-stdin".into(), "--settings".into(), settings.into()];
        self.begin(name, list.into(), role == "worker")
    }

    fn begin(&mut self, name: &str, args: Vec<OsString>, needs_secret: bool) -> Result<(), Failure> {
        let (recipe, log) = (Recipe { name: name.to_owned(), args, needs_secret }, self.place.log(name));
        let file = File::create(&log).map_err(|error| unwritable(&log, &error))?;
        let child = self.spawn(&recipe, file)?;
        self.running.push(Running { recipe, child, log, restarts: Vec::new() });
        Ok(())
    }

    fn spawn(&self, recipe: &Recipe, log: File) -> Result<Child, Failure> {
        let failed = |error: std::io::Error| {
            let detail = format!("{} could not be started: {error}", recipe.name);
            Failure::new(RequestCode::Unavailable, detail, "check that this machine has memory and processes left")
        };
        let mut command = Command::new(&self.program);
        command.args(&recipe.args);
        if recipe.needs_secret {
            command.env(SECRET_VARIABLE, &self.client_secret);
        }
        command
            // Ends when this process does, however that happens.
            .stdin(Stdio::piped())
            .stdout(log.try_clone().map_err(failed)?)
            .stderr(log)
            .kill_on_drop(true)
            // Ctrl-C reaches this process alone, which ends the others in order.
            .process_group(0)
            .spawn()
            .map_err(failed)
    }

    /// Waits until something is so, unless a process ends first.
    pub async fn until<F: Future<Output = Result<bool, Failure>>>(
        &mut self,
        what: &str,
        limit: Duration,
        mut is_so: impl FnMut() -> F,
    ) -> Result<(), Failure> {
        let started = Instant::now();
        while !is_so().await? {
            self.check()?;
            if started.elapsed() > limit {
                let fix = format!("look into the logs in {}", short(&self.place.file("logs")));
                return Err(Failure::new(RequestCode::Unavailable, format!("{what} did not start in time"), fix));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Fails if a process has ended: while everything starts, none may.
    pub fn check(&mut self) -> Result<(), Failure> {
        for running in &mut self.running {
            if let Some(status) = end_of(running)? {
                return Err(ended(running, status));
            }
        }
        Ok(())
    }

    /// Begins what has ended again, and says so; fails where one does nothing but end.
    pub fn revive(&mut self) -> Result<(), Failure> {
        let now = Instant::now();
        for index in 0..self.running.len() {
            let running = &mut self.running[index];
            let Some(status) = end_of(running)? else { continue };
            running.restarts.retain(|moment| now.duration_since(*moment) < RESTARTS_WITHIN);
            if running.restarts.len() >= RESTARTS_MAX {
                return Err(ended(running, status));
            }
            running.restarts.push(now);
            let lost = if running.recipe.name == EMULATOR { EMULATOR_LOSES } else { "" };
            tell(format_args!("{} ended ({status}); it is started again{lost}", running.recipe.name));
            let running = &self.running[index];
            let log = File::options().append(true).open(&running.log);
            let child = self.spawn(&running.recipe, log.map_err(|error| unwritable(&running.log, &error))?)?;
            self.running[index].child = child;
        }
        Ok(())
    }

    /// Keeps all of them running until one cannot be kept.
    pub async fn keep_up(&mut self) -> Result<u8, Failure> {
        loop {
            self.revive()?;
            tokio::time::sleep(LOOK_EVERY * 10).await;
        }
    }

    /// Ends all, the last started first.
    pub async fn stop(mut self) {
        while let Some(mut running) = self.running.pop() {
            // Closing its input tells one of ours to end; nats-server wants a signal.
            drop(running.child.stdin.take());
            if running.recipe.name == NATS {
                terminate(&running.child);
            }
            if tokio::time::timeout(END_LIMIT, running.child.wait()).await.is_err() {
                // It is killed when it is dropped.
                tell(format_args!("{} did not end by itself and is killed", running.recipe.name));
            }
        }
    }
}

fn terminate(child: &Child) {
    if let Some(pid) = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) {
        // A process that is gone already needs no signal.
        let _ = kill_process(pid, Signal::TERM);
    }
}

fn end_of(running: &mut Running) -> Result<Option<ExitStatus>, Failure> {
    running.child.try_wait().map_err(|error| Failure::of(RequestCode::Internal, &error, FIX_INTERNAL))
}

fn ended(running: &Running, status: ExitStatus) -> Failure {
    const LINES: usize = 3;
    let (name, log) = (&running.recipe.name, short(&running.log));
    let said = match std::fs::read_to_string(&running.log) {
        Ok(text) => {
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(LINES)..].iter().map(|line| format!("\n    {line}")).collect()
        }
        Err(error) => format!(" {log} cannot be read: {error}"),
    };
    let fix = format!("mend what it says, or look into its log, {log}");
    Failure::new(RequestCode::Unavailable, format!("{name} ended ({status}):{said}"), fix)
}

fn unwritable(log: &Path, error: &std::io::Error) -> Failure {
    Failure::path(log, "written", error, "make it writable, or choose another --dir")
}
