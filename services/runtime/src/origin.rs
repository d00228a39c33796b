//! Who is speaking, when, and under which ids.

use std::sync::Arc;

use proto_msgs::{ConfigId, CorrelationId, Envelope, MemberId, Message, MessageId, RunId, Timestamp, worker::Role};

use crate::{
    clock::{BootTime, Clock, SystemClock},
    entropy::{Entropy, SystemEntropy},
};

/// What a role stamps its messages with. Cheap to clone.
#[derive(Clone)]
pub struct Origin {
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    member: MemberId,
}

impl Origin {
    pub fn new(clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>, member: MemberId) -> Self {
        Self { clock, entropy, member }
    }

    /// The machine's clock and the system's randomness, under a new member id.
    pub fn system(role: Role) -> Self {
        Self::new(Arc::new(SystemClock), Arc::new(SystemEntropy), new_member_id(role, &SystemEntropy))
    }

    pub fn member(&self) -> &MemberId {
        &self.member
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub fn boot(&self) -> BootTime {
        self.clock.boot()
    }

    pub fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }

    pub fn message_id(&self) -> MessageId {
        MessageId::from_random(self.entropy.bits())
    }

    pub fn correlation_id(&self) -> CorrelationId {
        CorrelationId::from_random(self.entropy.bits())
    }

    pub fn run_id(&self) -> RunId {
        RunId::from_random(self.entropy.bits())
    }

    pub fn config_id(&self) -> ConfigId {
        ConfigId::from_random(self.entropy.bits())
    }

    /// Wraps a body in an envelope of its own.
    pub fn envelope<T: Message>(&self, correlation: CorrelationId, body: T) -> Envelope<T> {
        Envelope::new(self.message_id(), correlation, self.now(), body)
    }

    /// A number in 0..1.
    pub fn jitter(&self) -> f64 {
        // 53 bits are what a double holds exactly.
        ((self.entropy.bits() as u64) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// A new id for a process of a role, such as `worker-3f9a1c2b`.
pub fn new_member_id(role: Role, entropy: &dyn Entropy) -> MemberId {
    let text = format!("{}-{:08x}", role.as_str(), entropy.bits() as u32);
    text.parse().expect("a role's name and hex digits are a member id")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SeededEntropy;

    #[test]
    fn the_same_seed_gives_the_same_ids() {
        let origin =
            |seed| Origin::new(Arc::new(SystemClock), Arc::new(SeededEntropy::new(seed)), "worker-1".parse().unwrap());
        assert_eq!(origin(1).message_id(), origin(1).message_id());
        assert_ne!(origin(1).message_id(), origin(2).message_id());
        let jitter = origin(3).jitter();
        assert!((0.0..1.0).contains(&jitter));
    }
}
