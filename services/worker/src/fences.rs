//! The newest epoch and revision of each config.
//!
//! One map for the whole worker, not one per actor, so that passivation forgets nothing.

use dashmap::DashMap;
use proto_msgs::{ConfigId, Epoch, Revision};

use crate::error::RecordError;

/// Refuses commands of earlier owners, and of earlier edits.
#[derive(Debug, Default)]
pub struct Fences(DashMap<ConfigId, (Epoch, Revision)>);

impl Fences {
    /// Lets a command in if nothing newer was seen, and remembers it. Both only ever rise: a new owner reads the
    /// config's newest revision when it takes over.
    pub fn admit(&self, config: &ConfigId, epoch: Epoch, revision: Revision) -> Result<(), RecordError> {
        let mut seen = self.0.entry(*config).or_insert((epoch, revision));
        if epoch < seen.0 || revision < seen.1 {
            return Err(RecordError::Stale { epoch: seen.0, revision: seen.1 });
        }
        *seen = (epoch, revision);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_epochs_and_revisions_are_refused_and_equal_ones_let_in() {
        let (fences, config) = (Fences::default(), ConfigId::from_random(1));
        assert!(fences.admit(&config, Epoch(7), Revision(3)).is_ok());
        assert!(fences.admit(&config, Epoch(7), Revision(3)).is_ok());
        assert!(fences.admit(&config, Epoch(6), Revision(4)).is_err());
        assert!(fences.admit(&config, Epoch(8), Revision(2)).is_err());
        assert!(fences.admit(&config, Epoch(8), Revision(3)).is_ok());
        assert!(fences.admit(&ConfigId::from_random(2), Epoch(1), Revision(1)).is_ok());
    }
}
