//! Twin.
pub struct MemoryBroker;
