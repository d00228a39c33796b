//! The folder that everything lives in, held by one process at a time; ports; and where nats-server is.

use std::{
    fs::{self, File, TryLockError},
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::Command,
};

use proto_msgs::RequestCode;

use crate::{cli::Up, failure::Failure};

/// Older ones lack per-message expiry.
const OLDEST_SERVER: (u32, u32) = (2, 12);

/// A folder that is ours as long as this lives.
pub struct Place {
    dir: PathBuf,
    nats_server: PathBuf,
    /// Dropped last, it lets the next one in.
    _lock: File,
}

impl Place {
    /// Makes the folder and takes it, and makes sure that everything needed is there.
    pub fn take(args: &Up) -> Result<Self, Failure> {
        let unwritable = |error: std::io::Error| {
            let fix = format!("make {} writable, or choose another folder with --dir", args.dir.display());
            Failure::of(RequestCode::InvalidInput, &error, fix)
        };
        // Only its owner may look in: the emulator's vaults are kept here.
        fs::DirBuilder::new().recursive(true).mode(0o700).create(args.dir.join("logs")).map_err(unwritable)?;
        let dir = args.dir.canonicalize().map_err(unwritable)?;
        let lock = File::create(dir.join("lock")).map_err(unwritable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let detail = format!("another `keyferry up` works in {}", dir.display());
                return Err(Failure::new(RequestCode::Busy, detail, "stop it, or choose another folder with --dir"));
            }
            Err(TryLockError::Error(error)) => return Err(unwritable(error)),
        }
        let ports = [
            ("the gateway", args.port, "--port"),
            ("NATS", args.nats_port, "--nats-port"),
            ("the emulated Azure", args.emulator_port, "--emulator-port"),
            ("the emulator's admin listener", args.emulator_port.wrapping_add(1), "--emulator-port"),
        ];
        for (who, port, option) in ports {
            if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_err() {
                let detail = format!("port {port}, for {who}, is taken");
                return Err(Failure::new(
                    RequestCode::Unavailable,
                    detail,
                    format!("stop what listens there, or give another {option}"),
                ));
            }
        }
        Ok(Self { dir, nats_server: nats_server(args.nats_server.as_deref())?, _lock: lock })
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub fn log(&self, process: &str) -> PathBuf {
        self.dir.join("logs").join(format!("{process}.log"))
    }

    /// What a process of this start wrote.
    pub fn output(&self, process: &str) -> String {
        fs::read_to_string(self.log(process)).unwrap_or_default()
    }

    pub fn nats_server(&self) -> &Path {
        &self.nats_server
    }
}

fn nats_server(given: Option<&Path>) -> Result<PathBuf, Failure> {
    let fix = "put nats-server 2.12 or newer on the PATH, name one with --nats-server, or run `cargo xtask up`, which installs one";
    if let Some(given) = given {
        return match version(given) {
            Some(found) if found >= OLDEST_SERVER => Ok(given.to_owned()),
            Some(_) => {
                Err(Failure::new(RequestCode::InvalidInput, format!("{} is older than 2.12", given.display()), fix))
            }
            None => Err(Failure::new(
                RequestCode::InvalidInput,
                format!("{} is no nats-server that runs here", given.display()),
                fix,
            )),
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

/// `nats-server: v2.12.1`
fn version(program: &Path) -> Option<(u32, u32)> {
    let output = Command::new(program).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut numbers = text.split('v').next_back()?.trim().split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// A path as a person would write it here.
pub fn short(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).map_or_else(|_| path.display().to_string(), |path| format!("./{}", path.display()))
}
