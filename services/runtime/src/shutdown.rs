//! The two ways a process ends: drain, then stop.

use tokio_util::sync::CancellationToken;

/// Tells a role to finish what is begun (drain), or to end between messages (stop). Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    drain: CancellationToken,
    stop: CancellationToken,
}

impl Shutdown {
    pub fn new() -> Self {
        Self::default()
    }

    /// Take no more, finish what is begun, leave.
    pub fn drain(&self) {
        self.drain.cancel();
    }

    /// Leave now.
    pub fn stop(&self) {
        self.drain.cancel();
        self.stop.cancel();
    }

    pub fn is_draining(&self) -> bool {
        self.drain.is_cancelled()
    }

    pub fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    pub async fn draining(&self) {
        self.drain.cancelled().await;
    }

    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// Turns the first SIGTERM or SIGINT into a drain and the second into a stop. Runs until the second.
    pub async fn follow_signals(self) -> std::io::Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut term, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        for then in [Self::drain, Self::stop] {
            tokio::select! {
                biased;
                _ = term.recv() => {}
                _ = interrupt.recv() => {}
            }
            then(&self);
        }
        Ok(())
    }
}
