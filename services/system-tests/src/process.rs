//! One process of a cluster: started, watched, killed, stopped and continued.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result};
use proto_msgs::MemberId;
use rustix::process::{Pid, Signal, kill_process};

use crate::wait::until;

/// A process whose output goes to a file. Killed when it is dropped.
pub struct Process {
    name: String,
    log: PathBuf,
    child: Child,
}

impl Process {
    /// Starts `command`; both its outputs go to `<folder>/<name>.log`.
    pub fn start(name: &str, mut command: Command, folder: &Path) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let file = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("{} cannot be written", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("{name} could not be started"))?;
        Ok(Self { name: name.to_owned(), log, child })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written so far.
    pub fn output(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The id a role goes by in records and runs; waits until it serves.
    pub async fn member(&self, limit: Duration) -> Result<MemberId> {
        until(&format!("{} to serve", self.name), limit, || async {
            let output = self.output();
            let Some((_, rest)) = output.split_once(" serves ") else { return Ok(None) };
            let id =
                rest.lines().next().and_then(|fields| fields.split_once("_id=")).context("no id where it serves")?;
            Ok(Some(id.1.parse()?))
        })
        .await
    }

    /// `kill -9`: no chance to say good-bye.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// `SIGSTOP`: as if its machine froze.
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// `SIGCONT`: as if its machine woke up.
    pub fn thaw(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// `SIGINT`: as if somebody pressed Ctrl-C.
    pub fn interrupt(&self) -> Result<()> {
        self.signal(Signal::INT)
    }

    /// Waits for it to end by itself.
    pub async fn ended(&mut self, limit: Duration) -> Result<ExitStatus> {
        let (name, child) = (self.name.clone(), &mut self.child);
        let mut look = move || child.try_wait();
        until(&format!("the end of {name}"), limit, || std::future::ready(look().map_err(Into::into))).await
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// The most memory it ever held, in bytes (`VmHWM`).
    pub fn peak_memory_bytes(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line =
            status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM: the process has ended")?;
        let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kilobytes * 1024)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).context("the process has no pid")?;
        kill_process(pid, signal).with_context(|| format!("{} could not be signalled", self.name))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already; there is nobody left to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
