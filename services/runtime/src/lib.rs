//! What every role needs to be a process: clocks, ids, settings, telemetry, shutdown.
//!
//! Time, ids and randomness reach the roles only through [`Origin`], so that a test can pause the first and seed the
//! others. Deliberately absent: anything that knows what a role does.

pub mod settings;
pub mod telemetry;

mod clock;
mod duration;
mod entropy;
mod origin;
mod process;
mod shutdown;

pub use clock::{BootTime, Clock, SystemClock, TokioClock};
pub use duration::HumanDuration;
pub use entropy::{Entropy, SeededEntropy, SystemEntropy};
pub use origin::{Origin, new_member_id};
pub use process::forbid_core_dumps;
pub use shutdown::Shutdown;
