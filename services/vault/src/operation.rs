//! What can be asked of a vault, and the right that each call needs.

use std::fmt;

use proto_msgs::ItemType;

/// What was being called; together with the side it decides which code a 403 gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    List,
    ListVersions,
    ReadMeta,
    ReadDeleted,
    ReadSecret,
    WriteSecret,
    ReadCertificate,
    ExportCertificate,
    ImportCertificate,
    ReadKey,
    ReadRotation,
    BackupKey,
    RestoreKey,
    Update,
    Delete,
    Resolve,
}

impl Operation {
    /// Whether the call may change the vault.
    pub fn writes(self) -> bool {
        match self {
            Self::WriteSecret | Self::ImportCertificate | Self::RestoreKey | Self::Update | Self::Delete => true,
            Self::List
            | Self::ListVersions
            | Self::ReadMeta
            | Self::ReadDeleted
            | Self::ReadSecret
            | Self::ReadCertificate
            | Self::ExportCertificate
            | Self::ReadKey
            | Self::ReadRotation
            | Self::BackupKey
            | Self::Resolve => false,
        }
    }

    /// The data action that Azure's roles must grant for the call on an item of that kind; none: it is no call to a vault.
    pub fn data_action(self, kind: ItemType) -> Option<&'static str> {
        Some(match (self, kind) {
            (Self::List | Self::ListVersions | Self::ReadMeta | Self::ReadDeleted, ItemType::Secrets) => {
                "Microsoft.KeyVault/vaults/secrets/readMetadata/action"
            }
            (Self::List | Self::ListVersions | Self::ReadMeta | Self::ReadDeleted, ItemType::Certificates)
            | (Self::ReadCertificate, _) => "Microsoft.KeyVault/vaults/certificates/read",
            (Self::List | Self::ListVersions | Self::ReadMeta | Self::ReadDeleted, ItemType::Keys)
            | (Self::ReadKey, _) => "Microsoft.KeyVault/vaults/keys/read",
            (Self::ReadRotation, _) => "Microsoft.KeyVault/vaults/keyrotationpolicies/read",
            (Self::Update, ItemType::Secrets) => "Microsoft.KeyVault/vaults/secrets/update/action",
            (Self::Update, ItemType::Certificates) => "Microsoft.KeyVault/vaults/certificates/update/action",
            (Self::Update, ItemType::Keys) => "Microsoft.KeyVault/vaults/keys/update/action",
            (Self::Delete, ItemType::Secrets) => "Microsoft.KeyVault/vaults/secrets/delete",
            (Self::Delete, ItemType::Certificates) => "Microsoft.KeyVault/vaults/certificates/delete",
            (Self::Delete, ItemType::Keys) => "Microsoft.KeyVault/vaults/keys/delete",
            (Self::ReadSecret | Self::ExportCertificate, _) => "Microsoft.KeyVault/vaults/secrets/getSecret/action",
            (Self::WriteSecret, _) => "Microsoft.KeyVault/vaults/secrets/setSecret/action",
            (Self::ImportCertificate, _) => "Microsoft.KeyVault/vaults/certificates/import/action",
            (Self::BackupKey, _) => "Microsoft.KeyVault/vaults/keys/backup/action",
            (Self::RestoreKey, _) => "Microsoft.KeyVault/vaults/keys/restore/action",
            (Self::Resolve, _) => return None,
        })
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::List => "listing items",
            Self::ListVersions => "listing versions",
            Self::ReadMeta => "reading metadata",
            Self::ReadDeleted => "reading the deleted item",
            Self::ReadSecret => "reading the secret",
            Self::WriteSecret => "writing the secret",
            Self::ReadCertificate => "reading the certificate",
            Self::ExportCertificate => "exporting the certificate",
            Self::ImportCertificate => "importing the certificate",
            Self::ReadKey => "reading the key",
            Self::ReadRotation => "reading the key's rotation policy",
            Self::BackupKey => "backing up the key",
            Self::RestoreKey => "restoring the key",
            Self::Update => "updating attributes",
            Self::Delete => "deleting the item",
            Self::Resolve => "looking the vault up",
        })
    }
}
