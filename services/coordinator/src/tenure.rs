//! The right to decide, and until when.
//!
//! Whoever decides or sends asks it right before: a lease that could not be renewed is over by the own clock, whatever
//! the loop that renews it is waiting for.

use std::{cell::Cell, rc::Rc};

use proto_msgs::Epoch;
use runtime::BootTime;

/// The ownership of one slot. Cheap to clone; every clone sees the same end.
#[derive(Debug, Clone)]
pub(crate) struct Tenure {
    pub epoch: Epoch,
    /// Whether anybody owned it before: what they called in the last ten seconds is not known.
    pub was_anothers: bool,
    until: Rc<Cell<BootTime>>,
}

impl Tenure {
    pub(crate) fn new(epoch: Epoch, was_anothers: bool, until: BootTime) -> Self {
        Self { epoch, was_anothers, until: Rc::new(Cell::new(until)) }
    }

    pub(crate) fn holds(&self, now: BootTime) -> bool {
        now < self.until.get()
    }

    pub(crate) fn extend(&self, until: BootTime) {
        self.until.set(until);
    }

    /// Over for good: a slot that is taken again has another tenure.
    pub(crate) fn end(&self) {
        self.until.set(BootTime::default());
    }
}
