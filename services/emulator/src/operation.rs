//! Every call the emulator answers: its name in counts and faults, the right it needs, the limit it counts toward.
//!
//! One table, so that a call cannot be counted without being authorised, or authorised under another name.

/// The kinds of permission in a vault's access policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Category {
    Secrets,
    Keys,
    Certificates,
}

impl Category {
    /// As Azure's messages and access policies write it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Secrets => "secrets",
            Self::Keys => "keys",
            Self::Certificates => "certificates",
        }
    }
}

/// Which of Azure's limits a call counts toward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// Secret create, certificate import and key import, together 300 in ten seconds.
    Creating,
    /// Everything that has no limit of its own.
    Other,
    /// Makes key material.
    KeyCreate,
    /// Names a key, without making it; the cost goes by the key's size.
    KeyUse,
    /// Not a vault's call: the management plane.
    Management,
}

/// What a call needs and where it counts.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    pub name: &'static str,
    /// The data action without its prefix `Microsoft.KeyVault/vaults/`.
    pub action: &'static str,
    /// The permission of an access policy.
    pub permission: &'static str,
    pub category: Category,
    pub load: Load,
}

macro_rules! operations {
    ($($variant:ident $name:literal $category:ident $action:literal $permission:literal $load:ident;)*) => {
        /// One kind of call.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Operation { $($variant,)* }

        impl Operation {
            /// All of them, in the order of their indices.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// What the call needs and where it counts.
            pub const fn facts(self) -> Facts {
                match self {
                    $(Self::$variant => Facts {
                        name: $name,
                        action: $action,
                        permission: $permission,
                        category: Category::$category,
                        load: Load::$load,
                    },)*
                }
            }
        }
    };
}

operations! {
    SecretsSet "secrets.set" Secrets "secrets/setSecret/action" "set" Creating;
    SecretsGet "secrets.get" Secrets "secrets/getSecret/action" "get" Other;
    SecretsUpdate "secrets.update" Secrets "secrets/update/action" "set" Other;
    SecretsList "secrets.list" Secrets "secrets/readMetadata/action" "list" Other;
    SecretsListVersions "secrets.list_versions" Secrets "secrets/readMetadata/action" "list" Other;
    SecretsDelete "secrets.delete" Secrets "secrets/delete" "delete" Other;
    SecretsListDeleted "secrets.list_deleted" Secrets "secrets/readMetadata/action" "list" Other;
    SecretsGetDeleted "secrets.get_deleted" Secrets "secrets/readMetadata/action" "get" Other;
    SecretsRecover "secrets.recover" Secrets "secrets/recover/action" "recover" Other;
    SecretsPurge "secrets.purge" Secrets "secrets/purge/action" "purge" Other;
    SecretsBackup "secrets.backup" Secrets "secrets/backup/action" "backup" Other;
    SecretsRestore "secrets.restore" Secrets "secrets/restore/action" "restore" Other;
    KeysCreate "keys.create" Keys "keys/create/action" "create" KeyCreate;
    KeysImport "keys.import" Keys "keys/import/action" "import" Creating;
    KeysGet "keys.get" Keys "keys/read" "get" KeyUse;
    KeysUpdate "keys.update" Keys "keys/update/action" "update" KeyUse;
    KeysList "keys.list" Keys "keys/read" "list" Other;
    KeysListVersions "keys.list_versions" Keys "keys/read" "list" KeyUse;
    KeysDelete "keys.delete" Keys "keys/delete" "delete" KeyUse;
    KeysListDeleted "keys.list_deleted" Keys "keys/read" "list" Other;
    KeysGetDeleted "keys.get_deleted" Keys "keys/read" "get" KeyUse;
    KeysRecover "keys.recover" Keys "keys/recover/action" "recover" KeyUse;
    KeysPurge "keys.purge" Keys "keys/purge/action" "purge" KeyUse;
    KeysBackup "keys.backup" Keys "keys/backup/action" "backup" KeyUse;
    KeysRestore "keys.restore" Keys "keys/restore/action" "restore" Other;
    KeysRotate "keys.rotate" Keys "keys/rotate/action" "rotate" KeyCreate;
    KeysGetRotationPolicy "keys.get_rotation_policy" Keys "keyrotationpolicies/read" "getrotationpolicy" KeyUse;
    KeysSetRotationPolicy "keys.set_rotation_policy" Keys "keyrotationpolicies/write" "setrotationpolicy" KeyUse;
    KeysSign "keys.sign" Keys "keys/sign/action" "sign" KeyUse;
    KeysVerify "keys.verify" Keys "keys/verify/action" "verify" KeyUse;
    CertificatesCreate "certificates.create" Certificates "certificates/create/action" "create" Other;
    CertificatesImport "certificates.import" Certificates "certificates/import/action" "import" Creating;
    CertificatesGet "certificates.get" Certificates "certificates/read" "get" Other;
    CertificatesUpdate "certificates.update" Certificates "certificates/update/action" "update" Other;
    CertificatesGetPolicy "certificates.get_policy" Certificates "certificates/read" "get" Other;
    CertificatesUpdatePolicy "certificates.update_policy" Certificates "certificates/update/action" "update" Other;
    CertificatesList "certificates.list" Certificates "certificates/read" "list" Other;
    CertificatesListVersions "certificates.list_versions" Certificates "certificates/read" "list" Other;
    CertificatesGetPending "certificates.get_pending" Certificates "certificates/read" "get" Other;
    CertificatesUpdatePending "certificates.update_pending" Certificates "certificates/update/action" "update" Other;
    CertificatesDeletePending "certificates.delete_pending" Certificates "certificates/delete" "update" Other;
    CertificatesDelete "certificates.delete" Certificates "certificates/delete" "delete" Other;
    CertificatesListDeleted "certificates.list_deleted" Certificates "certificates/read" "list" Other;
    CertificatesGetDeleted "certificates.get_deleted" Certificates "certificates/read" "get" Other;
    CertificatesRecover "certificates.recover" Certificates "certificates/recover/action" "recover" Other;
    CertificatesPurge "certificates.purge" Certificates "certificates/purge/action" "purge" Other;
    CertificatesBackup "certificates.backup" Certificates "certificates/backup/action" "backup" Other;
    CertificatesRestore "certificates.restore" Certificates "certificates/restore/action" "restore" Other;
    ArmSubscriptions "arm.subscriptions" Secrets "" "" Management;
    ArmSubscription "arm.subscription" Secrets "" "" Management;
    ArmLocations "arm.locations" Secrets "" "" Management;
    ArmVaults "arm.vaults" Secrets "" "" Management;
    ArmVault "arm.vault" Secrets "" "" Management;
    ArmPermissions "arm.permissions" Secrets "" "" Management;
    ArmResourceGraph "arm.resource_graph" Secrets "" "" Management;
    LoginToken "login.token" Secrets "" "" Management;
    LoginDiscovery "login.discovery" Secrets "" "" Management;
    LoginKeys "login.keys" Secrets "" "" Management;
}

impl Operation {
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// Its place in [`Operation::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Its name in counts and faults.
    pub const fn name(self) -> &'static str {
        self.facts().name
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_indices_are_places() {
        let names: BTreeSet<_> = Operation::ALL.iter().map(|operation| operation.name()).collect();
        assert_eq!(names.len(), Operation::COUNT);
        for (place, operation) in Operation::ALL.iter().enumerate() {
            assert_eq!(operation.index(), place);
        }
    }
}
