//! The processes of one start: begun in order, watched, and ended in the opposite order.

use std::{
    fs::File,
    future::Future,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use proto_msgs::RequestCode;
use tokio::process::{Child, Command};

use super::LOOK_EVERY;
use crate::{cli::Up, failure::Failure, up::place::Place};

/// What the workers find their client secret under.
pub const SECRET_VARIABLE: &str = "KEYFERRY_UP_CLIENT_SECRET";
/// Longest a process gets to end by itself.
const END_LIMIT: Duration = Duration::from_secs(10);

struct Running {
    name: String,
    child: Child,
    log: PathBuf,
}

/// All of them.
pub struct Children<'a> {
    place: &'a Place,
    client_secret: String,
    running: Vec<Running>,
}

impl<'a> Children<'a> {
    /// None yet; workers will find this client secret in their environment.
    pub fn new(place: &'a Place, client_secret: String) -> Self {
        Self { place, client_secret, running: Vec::new() }
    }

    pub fn nats(&mut self, args: &Up) -> Result<(), Failure> {
        let config = self.place.file("nats.conf");
        let store = self.place.file("nats");
        let text = format!("listen: 127.0.0.1:{}\njetstream {{ store_dir: {store:?} }}\n", args.nats_port);
        write(&config, &text)?;
        let mut command = Command::new(self.place.nats_server());
        command.arg("-c").arg(&config);
        self.start("nats", command)
    }

    pub fn emulator(&mut self, args: &Up) -> Result<(), Failure> {
        let mut command = own(&["emulator", "--exit-with-stdin", "--limits", "azure"])?;
        command
            .arg("--listen")
            .arg(format!("127.0.0.1:{}", args.emulator_port))
            .arg("--admin-listen")
            .arg(format!("127.0.0.1:{}", args.emulator_port + 1))
            .arg("--ca-out")
            .arg(self.place.file("ca.pem"))
            .arg("--state")
            .arg(self.place.file("emulator.json"));
        if let Some(estate) = &args.estate {
            command.arg("--estate").arg(estate);
        }
        self.start("emulator", command)
    }

    pub fn role(&mut self, role: &str, name: &str, settings: &Path) -> Result<(), Failure> {
        let mut command = own(&[role, "--exit-with-stdin"])?;
        command.arg("--settings").arg(settings);
        if role == "worker" {
            command.env(SECRET_VARIABLE, &self.client_secret);
        }
        self.start(name, command)
    }

    fn start(&mut self, name: &str, mut command: Command) -> Result<(), Failure> {
        let log = self.place.log(name);
        let failed = |error: std::io::Error| {
            Failure::of(RequestCode::Unavailable, &error, format!("{name} could not be started"))
        };
        let file = File::create(&log).map_err(failed)?;
        let child = command
            // Ends when this process does, however that happens.
            .stdin(Stdio::piped())
            .stdout(file.try_clone().map_err(failed)?)
            .stderr(file)
            .kill_on_drop(true)
            // Ctrl-C reaches this process alone, which ends the others in order.
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        self.running.push(Running { name: name.to_owned(), child, log });
        Ok(())
    }

    /// Waits until something is so, unless a process ends first.
    pub async fn until<F: Future<Output = bool>>(
        &mut self,
        what: &str,
        limit: Duration,
        mut is_so: impl FnMut() -> F,
    ) -> Result<(), Failure> {
        let started = tokio::time::Instant::now();
        while !is_so().await {
            self.check()?;
            if started.elapsed() > limit {
                let fix = format!("the logs are in {}", self.place.file("logs").display());
                return Err(Failure::new(RequestCode::Unavailable, format!("{what} did not start in time"), fix));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Fails if a process has ended.
    pub fn check(&mut self) -> Result<(), Failure> {
        for running in &mut self.running {
            if let Ok(Some(status)) = running.child.try_wait() {
                return Err(ended(running, status));
            }
        }
        Ok(())
    }

    /// Waits until a process ends, which none should.
    pub async fn first_end(&mut self) -> Result<u8, Failure> {
        loop {
            self.check()?;
            tokio::time::sleep(LOOK_EVERY * 10).await;
        }
    }

    /// Ends all, the last started first.
    pub async fn stop(mut self) {
        while let Some(mut running) = self.running.pop() {
            // Closing its input tells one of ours to end; nats-server wants a signal.
            drop(running.child.stdin.take());
            if running.name == "nats"
                && let Some(id) = running.child.id()
            {
                terminate(id);
            }
            if tokio::time::timeout(END_LIMIT, running.child.wait()).await.is_err() {
                // It is killed when it is dropped.
                eprintln!("{} did not end by itself and is killed", running.name);
            }
        }
    }
}

fn terminate(id: u32) {
    // A process that is gone already needs no signal.
    let _ = std::process::Command::new("kill").arg("-TERM").arg(id.to_string()).status();
}

fn ended(running: &Running, status: std::process::ExitStatus) -> Failure {
    let text = std::fs::read_to_string(&running.log).unwrap_or_default();
    let last: Vec<&str> = text.lines().rev().take(3).collect();
    let last = last.into_iter().rev().collect::<Vec<_>>().join("\n    ");
    let detail = format!("{} ended ({status}):\n    {last}", running.name);
    Failure::new(RequestCode::Unavailable, detail, format!("its log is {}", running.log.display()))
}

/// This program again.
fn own(args: &[&str]) -> Result<Command, Failure> {
    let program = std::env::current_exe().map_err(|error| Failure::of(RequestCode::Internal, &error, ""))?;
    let mut command = Command::new(program);
    command.args(args);
    Ok(command)
}

/// Writes a file of the folder.
pub fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(|error| {
        Failure::of(
            RequestCode::InvalidInput,
            &error,
            format!("make {} writable, or choose another --dir", path.display()),
        )
    })
}
