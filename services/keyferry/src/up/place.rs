//! The folder that everything lives in, held by one process at a time; ports; and where nats-server is.

use std::{
    fs::{self, File, TryLockError},
    io::ErrorKind,
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use proto_msgs::RequestCode;
use sha2::{Digest, Sha256};

use super::Up;
use crate::failure::Failure;

/// Older ones lack per-message expiry.
const OLDEST_SERVER: (u32, u32) = (2, 12);
/// A program that says its version does so at once; within five seconds on the slowest machine.
const VERSION_LOOKS: u32 = 500;
const VERSION_LOOK_EVERY: Duration = Duration::from_millis(10);

/// What is left of a start that was killed hears of it, and is gone within three seconds.
const PORT_LOOKS: u32 = 30;
const PORT_LOOK_EVERY: Duration = Duration::from_millis(100);

/// A folder that is ours as long as this lives.
pub struct Place {
    dir: PathBuf,
    nats_server: PathBuf,
    /// Dropped last, it lets the next one in.
    _lock: File,
}

/// A port that is going to be listened on.
struct Port {
    number: u16,
    who: &'static str,
    option: &'static str,
}

impl Place {
    /// Makes sure that everything needed is there, makes the folder and takes it.
    pub fn take(args: &Up) -> Result<Self, Failure> {
        let ports = ports(args)?;
        let nats_server = nats_server(args.nats_server.as_deref())?;
        let unusable = |error: std::io::Error| {
            Failure::path(&args.dir, "used", &error, "make it writable, or choose another folder with --dir")
        };
        // Only its owner may look in: the emulator's vaults are kept here.
        fs::DirBuilder::new().recursive(true).mode(0o700).create(args.dir.join("logs")).map_err(unusable)?;
        let dir = args.dir.canonicalize().map_err(unusable)?;
        let was_used = dir.join("lock").exists();
        let lock = File::create(dir.join("lock")).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let detail = format!("another `keyferry up` works in {}", dir.display());
                return Err(Failure::new(RequestCode::Busy, detail, "stop it, or choose another folder with --dir"));
            }
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
        }
        ports.iter().try_for_each(|port| if was_used { port.check_patiently() } else { port.check() })?;
        Ok(Self { dir, nats_server, _lock: lock })
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Writes a file of the folder.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf, Failure> {
        let file = self.file(name);
        let written = fs::write(&file, text);
        written
            .map_err(|error| Failure::path(&file, "written", &error, "make it writable, or choose another --dir"))?;
        Ok(file)
    }

    /// The lines of a file of the folder; none where there is no such file yet.
    pub fn lines(&self, name: &str) -> Result<Vec<String>, Failure> {
        let file = self.file(name);
        match fs::read_to_string(&file) {
            Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(Failure::path(&file, "read", &error, "make it readable, or choose another --dir")),
        }
    }

    /// Whether the estate is the one that the folder was begun with. The emulated vaults keep their items from then on:
    /// what the file lists otherwise by now is not followed.
    pub fn was_begun_with(&self, estate: &str) -> Result<bool, Failure> {
        let (file, hash) = (self.file("estate.sha256"), hex::encode(Sha256::digest(estate.as_bytes())));
        match fs::read_to_string(&file) {
            Ok(first) => Ok(first == hash),
            Err(error) if error.kind() == ErrorKind::NotFound => self.write("estate.sha256", &hash).map(|_| true),
            Err(error) => Err(Failure::path(&file, "read", &error, "make it readable, or choose another --dir")),
        }
    }

    pub fn log(&self, process: &str) -> PathBuf {
        self.dir.join("logs").join(format!("{process}.log"))
    }

    /// What a process of this start wrote.
    pub fn output(&self, process: &str) -> Result<String, Failure> {
        let log = self.log(process);
        fs::read_to_string(&log)
            .map_err(|error| Failure::path(&log, "read", &error, "make it readable, or choose another --dir"))
    }

    pub fn nats_server(&self) -> &Path {
        &self.nats_server
    }
}

/// All ports, which must differ.
fn ports(args: &Up) -> Result<[Port; 4], Failure> {
    let ports = [
        Port { number: args.port, who: "the gateway", option: "--port" },
        Port { number: args.nats_port, who: "NATS", option: "--nats-port" },
        Port { number: args.emulator_port, who: "the emulated Azure", option: "--emulator-port" },
        Port { number: args.admin_port(), who: "the emulator's admin listener", option: "--emulator-port" },
    ];
    for (index, port) in ports.iter().enumerate() {
        if let Some(other) = ports[..index].iter().find(|other| other.number == port.number) {
            let detail = format!("port {} is given twice: for {} and for {}", port.number, other.who, port.who);
            return Err(Failure::input(detail, format!("give another {}", port.option)));
        }
    }
    Ok(ports)
}

impl Port {
    fn check_patiently(&self) -> Result<(), Failure> {
        for _ in 0..PORT_LOOKS {
            if self.check().is_ok() {
                return Ok(());
            }
            std::thread::sleep(PORT_LOOK_EVERY);
        }
        self.check()
    }

    /// Whether it can be listened on.
    fn check(&self) -> Result<(), Failure> {
        let Self { number, who, option } = self;
        let Err(error) = TcpListener::bind((Ipv4Addr::LOCALHOST, *number)) else { return Ok(()) };
        let (what, fix) = if error.kind() == ErrorKind::AddrInUse {
            ("is taken".to_owned(), format!("stop what listens there, or give another {option}"))
        } else if error.kind() == ErrorKind::PermissionDenied {
            ("is not for everybody".to_owned(), format!("give {option} a port from 1024 on"))
        } else {
            (format!("cannot be listened on: {error}"), format!("give another {option}"))
        };
        Err(Failure::new(RequestCode::Unavailable, format!("port {number}, for {who}, {what}"), fix))
    }
}

fn nats_server(given: Option<&Path>) -> Result<PathBuf, Failure> {
    let fix = "put nats-server 2.12 or newer on the PATH, name one with --nats-server, or run `cargo xtask up`, which installs one";
    if let Some(given) = given {
        return match version(given) {
            Some(found) if found >= OLDEST_SERVER => Ok(given.to_owned()),
            Some(_) => Err(Failure::input(format!("{} is older than 2.12", given.display()), fix)),
            None => Err(Failure::input(format!("{} is no nats-server that runs here", given.display()), fix)),
        };
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join("nats-server"));
    // Where the build puts one: target/tools, next to target/debug or target/release.
    let installed = std::env::current_exe().ok().and_then(|program| {
        Some(program.parent()?.parent()?.join("tools").join("nats").join("bin").join("nats-server"))
    });
    let found =
        on_path.chain(installed).find(|candidate| version(candidate).is_some_and(|found| found >= OLDEST_SERVER));
    found.ok_or_else(|| Failure::new(RequestCode::Unavailable, "there is no nats-server 2.12 or newer", fix))
}

/// `nats-server: v2.12.1`; none for a program that says something else, or nothing for five seconds.
fn version(program: &Path) -> Option<(u32, u32)> {
    let mut command = Command::new(program);
    let mut asked =
        command.arg("--version").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    let has_ended = (0..VERSION_LOOKS).any(|_| {
        std::thread::sleep(VERSION_LOOK_EVERY);
        !matches!(asked.try_wait(), Ok(None))
    });
    if !has_ended {
        // It is no nats-server, whatever it is; an error here means that it ended after all.
        let _ = asked.kill();
    }
    let text = String::from_utf8(asked.wait_with_output().ok()?.stdout).ok()?;
    let mut numbers = text.split('v').next_back()?.trim().split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// A path as a person would write it here.
pub fn short(path: &Path) -> String {
    let below = std::env::current_dir().ok().and_then(|here| path.strip_prefix(here).map(Path::to_owned).ok());
    below.map_or_else(|| path.display().to_string(), |path| format!("./{}", path.display()))
}
