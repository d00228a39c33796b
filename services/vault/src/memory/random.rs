//! Ids out of a seed (SplitMix64): enough to look like Azure's, and the same every time.

use proto_msgs::VersionId;

use super::material::PRIVATE;

#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Another one, so that what happens in one vault does not change the ids of the next.
    pub(super) fn split(&mut self) -> Self {
        Self(self.next())
    }

    /// 32 hex digits.
    pub(super) fn id(&mut self) -> String {
        format!("{:016x}{:016x}", self.next(), self.next())
    }

    /// What stands for something private.
    pub(super) fn private(&mut self) -> String {
        format!("{PRIVATE}{}", self.id())
    }

    /// In no order: a version's id does not tell its age.
    pub(super) fn version(&mut self) -> VersionId {
        self.id().parse().expect("32 hex digits are a version id")
    }
}
