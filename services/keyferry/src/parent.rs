//! Becoming a program of somebody else that ends with the process that started it.
//!
//! Our own processes watch their standard input for that. nats-server does not, and would stay behind, holding its
//! port, when `keyferry up` is killed.

use std::{ffi::OsString, os::unix::process::CommandExt, process::Command};

use clap::Args;
use proto_msgs::RequestCode;
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

use crate::failure::{FIX_INTERNAL, Failure};

/// The program to become.
#[derive(Debug, Args)]
pub struct WithParent {
    /// Process id of the parent.
    #[arg(long)]
    parent: i32,
    /// The program and what it is given.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    program: Vec<OsString>,
}

impl WithParent {
    /// Comes back only where that failed.
    pub fn run(self) -> Result<(), Failure> {
        let failed = |error: std::io::Error| Failure::of(RequestCode::Internal, &error, FIX_INTERNAL);
        set_parent_process_death_signal(Some(Signal::TERM)).map_err(|error| failed(error.into()))?;
        // A parent that died before is not told any more.
        if getppid() != Pid::from_raw(self.parent) {
            let detail = format!("process {} has ended", self.parent);
            return Err(Failure::new(RequestCode::Unavailable, detail, "start it again"));
        }
        let Some((program, args)) = self.program.split_first() else {
            return Err(Failure::input("no program is named", "name one"));
        };
        Err(failed(Command::new(program).args(args).exec()))
    }
}
