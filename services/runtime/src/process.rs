//! What a process may leave behind.

use rustix::process::{Resource, Rlimit, setrlimit};

/// Lets the process leave no core file behind: a worker's memory holds values.
pub fn forbid_core_dumps() -> std::io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    // Also keeps other processes of the same user from attaching.
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}
