//! Every data action of a vault, those of calls that are not emulated included: a role may name them.

use crate::roles::{PREFIX, matches};

/// Without their prefix.
const ACTIONS: &[&str] = &[
    "certificatecas/delete",
    "certificatecas/read",
    "certificatecas/write",
    "certificatecontacts/write",
    "certificates/backup/action",
    "certificates/create/action",
    "certificates/delete",
    "certificates/import/action",
    "certificates/purge/action",
    "certificates/read",
    "certificates/recover/action",
    "certificates/restore/action",
    "certificates/update/action",
    "keyrotationpolicies/read",
    "keyrotationpolicies/write",
    "keys/backup/action",
    "keys/create/action",
    "keys/decrypt/action",
    "keys/delete",
    "keys/encrypt/action",
    "keys/import/action",
    "keys/purge/action",
    "keys/read",
    "keys/recover/action",
    "keys/release/action",
    "keys/restore/action",
    "keys/rotate/action",
    "keys/sign/action",
    "keys/unwrap/action",
    "keys/update/action",
    "keys/verify/action",
    "keys/wrap/action",
    "secrets/backup/action",
    "secrets/delete",
    "secrets/getSecret/action",
    "secrets/purge/action",
    "secrets/readMetadata/action",
    "secrets/recover/action",
    "secrets/restore/action",
    "secrets/setSecret/action",
    "secrets/update/action",
    "storageaccounts/backup/action",
    "storageaccounts/delete",
    "storageaccounts/listsas/action",
    "storageaccounts/read",
    "storageaccounts/recover/action",
    "storageaccounts/regeneratekey/action",
    "storageaccounts/restore/action",
    "storageaccounts/sas/set/action",
    "storageaccounts/set/action",
];

/// Whether a pattern of a role stands for any action there is.
pub fn is_known(pattern: &str) -> bool {
    ACTIONS.iter().any(|action| matches(pattern, &format!("{PREFIX}{action}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::Operation;

    #[test]
    fn every_call_to_a_vault_needs_an_action_that_roles_can_grant() {
        for operation in Operation::ALL.iter().filter(|operation| !operation.facts().action.is_empty()) {
            assert!(is_known(&format!("{PREFIX}{}", operation.facts().action)), "{}", operation.name());
        }
    }
}
