//! Who may do what in a vault: firewall, roles, policy, in the order in which Azure asks them.

use std::collections::BTreeSet;

use proto_msgs::vault::Side;

use super::{fate::MemoryCall, refusal::Refusal};
use crate::{Operation, VaultErrorKind};

/// Whether a vault lets calls through. At first it lets all through.
#[derive(Debug, Clone, Default)]
pub(super) struct Access {
    pub is_shut: bool,
    /// Azure Policy refuses whatever is written.
    pub denies_by_policy: bool,
    /// Data actions taken from a side's identity.
    revoked: BTreeSet<(Side, String)>,
    /// Sides that have no role at all.
    strangers: BTreeSet<Side>,
    /// Sides that discovery does not show the vault to.
    blind: BTreeSet<Side>,
}

impl Access {
    pub(super) fn revoke(&mut self, side: Side, action: &str) {
        self.revoked.insert((side, action.to_ascii_lowercase()));
    }

    pub(super) fn revoke_all(&mut self, side: Side) {
        self.strangers.insert(side);
    }

    /// Gives back everything that was taken.
    pub(super) fn grant_all(&mut self, side: Side) {
        self.strangers.remove(&side);
        self.revoked.retain(|(revoked, _)| *revoked != side);
    }

    pub(super) fn set_visible(&mut self, side: Side, is_visible: bool) {
        if is_visible {
            self.blind.remove(&side);
        } else {
            self.blind.insert(side);
        }
    }

    pub(super) fn is_visible(&self, side: Side) -> bool {
        !self.blind.contains(&side)
    }

    pub(super) fn check(&self, call: &MemoryCall) -> Result<(), Refusal> {
        if self.is_shut {
            let message = "403 ForbiddenByFirewall: client address is not authorized";
            return Err(Refusal::new(VaultErrorKind::NetworkDenied, message));
        }
        let action = call.kind.and_then(|kind| call.operation.data_action(kind));
        let is_revoked = |action: &str| {
            self.strangers.contains(&call.side) || self.revoked.contains(&(call.side, action.to_ascii_lowercase()))
        };
        if let Some(action) = action.filter(|action| is_revoked(action)) {
            let message = format!("403 ForbiddenByRbac: caller is not authorized to perform action {action}");
            return Err(Refusal { missing_action: Some(action), ..Refusal::new(VaultErrorKind::Forbidden, message) });
        }
        // Policy looks at what an item will be; a delete leaves none.
        if self.denies_by_policy && call.operation.writes() && call.operation != Operation::Delete {
            let message = "403 ForbiddenByPolicy: disallowed by policy";
            return Err(Refusal::new(VaultErrorKind::PolicyDenied, message));
        }
        Ok(())
    }
}
