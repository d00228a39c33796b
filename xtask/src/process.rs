//! Running other programs: to the end, quietly, or watched line by line.
//!
//! Invariants: a program that cannot be started is named in the error; a watched program that says nothing for
//! [`SILENCE_LIMIT`] is ended, so that a hang costs minutes and not the machine's whole time; output that a
//! grandchild keeps open does not hold the caller. Deliberately absent: shells.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// A test binary is silent while one test runs. The longest scenario takes under three minutes on two cores.
const SILENCE_LIMIT: Duration = Duration::from_secs(10 * 60);
/// How often a silent program is looked at.
const POLL: Duration = Duration::from_millis(100);
/// Lines waiting to be printed; a program that writes faster waits for the terminal.
const LINE_BUFFER: usize = 1_024;

/// Runs `command` on this terminal and fails when it does.
pub fn run(mut command: Command, what: &str) -> Result<()> {
    let status = command.status().with_context(|| format!("{what} could not be started"))?;
    if !status.success() {
        bail!("{what} failed ({status})");
    }
    Ok(())
}

/// What a quiet run left: whether it worked, and what it said on both outputs.
pub struct Quiet {
    pub succeeded: bool,
    pub said: String,
}

/// Runs `command` without showing its output. `None`: there is no such program.
pub fn quiet(command: &mut Command) -> Result<Option<Quiet>> {
    match command.stdin(Stdio::null()).output() {
        Ok(output) => {
            let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
            said.push_str(&String::from_utf8_lossy(&output.stderr));
            Ok(Some(Quiet { succeeded: output.status.success(), said }))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{} could not be started", command.get_program().display())),
    }
}

/// Runs `command`, showing every line of its standard output and handing it to `on_line`.
pub fn watched(mut command: Command, what: &str, mut on_line: impl FnMut(&str)) -> Result<ExitStatus> {
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("{what} could not be started"))?;
    let lines = read_lines(&mut child)?;
    let mut silent_for = Duration::ZERO;
    loop {
        match lines.recv_timeout(POLL) {
            Ok(line) => {
                silent_for = Duration::ZERO;
                println!("{line}");
                on_line(&line);
                continue;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(POLL),
        }
        if let Some(status) = child.try_wait().with_context(|| format!("{what} could not be watched"))? {
            // What it wrote last is already in the pipe; a grandchild that holds the pipe open is not waited for.
            while let Ok(line) = lines.recv_timeout(POLL) {
                println!("{line}");
                on_line(&line);
            }
            return Ok(status);
        }
        silent_for += POLL;
        if silent_for >= SILENCE_LIMIT {
            end(&mut child);
            bail!("{what} said nothing for {} minutes and was ended", SILENCE_LIMIT.as_secs() / 60);
        }
    }
}

fn read_lines(child: &mut Child) -> Result<Receiver<String>> {
    let stdout = child.stdout.take().context("the program's output was not captured")?;
    let (sender, receiver) = sync_channel(LINE_BUFFER);
    std::thread::Builder::new()
        .name("output".into())
        .spawn(move || forward(stdout, &sender))
        .context("a thread to read the program's output could not be started")?;
    Ok(receiver)
}

fn forward(stdout: impl Read, lines: &SyncSender<String>) {
    let mut reader = BufReader::new(stdout);
    let mut line = Vec::new();
    // A read error means the same as the end: the program is gone, and its exit status tells how.
    while matches!(reader.read_until(b'\n', &mut line), Ok(read) if read > 0) {
        let text = String::from_utf8_lossy(&line);
        if lines.send(text.trim_end_matches(['\r', '\n']).to_owned()).is_err() {
            return;
        }
        line.clear();
    }
}

fn end(child: &mut Child) {
    if let Err(error) = child.kill().and_then(|()| child.wait()) {
        eprintln!("warning: a program that hangs could not be ended: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_watched_program_hands_over_every_line_and_its_status() {
        let mut lines = Vec::new();

        let status = watched(shell("echo one; printf two; exit 3"), "the script", |line| lines.push(line.to_owned()));

        assert_eq!(status.unwrap().code(), Some(3));
        assert_eq!(lines, ["one", "two"]);
    }

    #[test]
    fn a_grandchild_that_keeps_the_output_open_does_not_hold_the_caller() {
        let status = watched(shell("sleep 30 & echo done"), "the script", |_| {});

        assert!(status.unwrap().success());
    }

    #[test]
    fn a_program_that_does_not_exist_is_told_apart_from_one_that_fails() {
        assert!(quiet(&mut Command::new("keyferry-no-such-program")).unwrap().is_none());
        assert!(!quiet(&mut shell("exit 1")).unwrap().unwrap().succeeded);
    }
}
