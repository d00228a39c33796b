//! The gate in front of every write.
//!
//! Azure has no compare-and-set, so time keeps two writers apart: a write may begin only while its attempt is young, its
//! owner is not stopped and NATS can be reached. The gate is asked once the token is there, and again where the body goes
//! onto the wire. What opens or closes it is the caller's business.

use std::{fmt, sync::Arc};

/// Says whether a write may begin now. Cheap to clone; every clone asks the same question.
#[derive(Clone)]
pub struct WriteGate(Arc<dyn Fn() -> bool + Send + Sync>);

impl WriteGate {
    pub fn new(is_open: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(is_open))
    }

    pub fn is_open(&self) -> bool {
        (self.0)()
    }
}

impl fmt::Debug for WriteGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteGate").field("is_open", &self.is_open()).finish()
    }
}
