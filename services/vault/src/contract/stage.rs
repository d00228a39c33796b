//! The vaults and items that every claim finds.

use proto_msgs::ItemType;

pub const FROM: &str = "from-kv";
pub const INTO: &str = "into-kv";
/// In another geography.
pub const FAR: &str = "far-kv";
/// In another subscription.
pub const OTHER: &str = "other-kv";
/// Behind a firewall.
pub const SHUT: &str = "shut-kv";
/// Where the identity has no role.
pub const BARE: &str = "bare-kv";

pub const TENANT: &str = "5f0c1d4e-0000-4000-8000-000000000001";
pub const SUBSCRIPTION: &str = "00000000-0000-4000-8000-000000000001";
pub const OTHER_SUBSCRIPTION: &str = "00000000-0000-4000-8000-000000000002";

/// A vault of the stage.
#[derive(Debug, Clone, Copy)]
pub struct StageVault {
    pub name: &'static str,
    pub region: &'static str,
    pub geography: &'static str,
    pub subscription: &'static str,
    pub is_shut: bool,
    pub is_bare: bool,
    pub items: &'static [StageItem],
}

/// An item, or `count` of them with 1, 2, ... in place of `{n}`.
#[derive(Debug, Clone, Copy)]
pub struct StageItem {
    pub kind: ItemType,
    pub name: &'static str,
    pub count: u32,
    /// All made in the same second.
    pub versions: u32,
    pub enabled: bool,
    pub is_deleted: bool,
    pub tag: Option<(&'static str, &'static str)>,
    /// Secrets only. None: made up.
    pub value: Option<&'static str>,
    /// Secrets only.
    pub content_type: Option<&'static str>,
    /// Secrets only, in seconds since 1970: not before, expires.
    pub times: Option<(i64, i64)>,
    /// Certificates only, as the rest.
    pub is_pem: bool,
    pub is_pending: bool,
    pub is_exportable: bool,
    pub is_expired: bool,
    /// Keys only: by a policy.
    pub rotates: bool,
}

const fn item(kind: ItemType, name: &'static str) -> StageItem {
    StageItem {
        kind,
        name,
        count: 1,
        versions: 1,
        enabled: true,
        is_deleted: false,
        tag: None,
        value: None,
        content_type: None,
        times: None,
        is_pem: false,
        is_pending: false,
        is_exportable: true,
        is_expired: false,
        rotates: false,
    }
}

const fn secret(name: &'static str) -> StageItem {
    item(ItemType::Secrets, name)
}

const fn certificate(name: &'static str) -> StageItem {
    item(ItemType::Certificates, name)
}

const fn key(name: &'static str) -> StageItem {
    item(ItemType::Keys, name)
}

const fn vault(name: &'static str, items: &'static [StageItem]) -> StageVault {
    StageVault {
        name,
        region: "westeurope",
        geography: "Europe",
        subscription: SUBSCRIPTION,
        is_shut: false,
        is_bare: false,
        items,
    }
}

/// How many secrets are called `bulk-1`, `bulk-2`, ...
pub const BULK: u32 = 60;
/// Times of the secret `timed`.
pub const TIMES: (i64, i64) = (1_600_000_000, 4_000_000_000);

const SOURCE: &[StageItem] = &[
    StageItem { value: Some("first"), content_type: Some("text/plain"), tag: Some(("a", "b")), ..secret("db") },
    StageItem { enabled: false, tag: Some(("a", "b")), ..secret("off") },
    StageItem { is_deleted: true, ..secret("gone") },
    StageItem { times: Some(TIMES), ..secret("timed") },
    StageItem { versions: 3, ..secret("many") },
    StageItem { count: BULK, ..secret("bulk-{n}") },
    StageItem { tag: Some(("c", "d")), ..certificate("tls") },
    StageItem { is_pem: true, ..certificate("tls-pem") },
    StageItem { is_pending: true, ..certificate("waiting") },
    StageItem { is_exportable: false, ..certificate("locked") },
    StageItem { is_expired: true, ..certificate("old") },
    StageItem { enabled: false, ..certificate("off-cert") },
    StageItem { is_deleted: true, ..certificate("gone-cert") },
    StageItem { versions: 3, tag: Some(("e", "f")), ..key("signer") },
    StageItem { enabled: false, rotates: true, ..key("off-key") },
    StageItem { versions: 501, ..key("endless") },
    StageItem { is_deleted: true, ..key("gone-key") },
    key("buried-key"),
    key("crossed"),
];

const TARGET: &[StageItem] = &[
    secret("taken"),
    key("taken-key"),
    certificate("held"),
    certificate("crossed"),
    StageItem { is_deleted: true, ..secret("buried") },
    StageItem { is_deleted: true, ..key("buried-key") },
    StageItem { is_deleted: true, ..certificate("buried-cert") },
];

/// All vaults.
pub const VAULTS: &[StageVault] = &[
    vault(FROM, SOURCE),
    StageVault { region: "northeurope", ..vault(INTO, TARGET) },
    StageVault { region: "eastus", geography: "United States", ..vault(FAR, &[]) },
    StageVault { subscription: OTHER_SUBSCRIPTION, ..vault(OTHER, &[]) },
    StageVault { is_shut: true, ..vault(SHUT, &[]) },
    StageVault { is_bare: true, ..vault(BARE, &[]) },
];
