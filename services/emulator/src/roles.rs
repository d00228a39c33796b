//! Who may do what: built-in and custom roles, and legacy access policies.
//!
//! A role or policy is turned into a [`Grants`] table once, so that a call costs one lookup. Data actions are matched
//! with Azure's wildcards, where `*` stands for any text, slashes included.

use crate::{
    estate::{AccessPolicySpec, CustomRole},
    operation::Operation,
};

/// What data actions begin with.
pub const PREFIX: &str = "Microsoft.KeyVault/vaults/";

/// A role: what it grants on the management plane and in the vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    pub name: String,
    pub actions: Vec<String>,
    pub not_actions: Vec<String>,
    pub data_actions: Vec<String>,
    pub not_data_actions: Vec<String>,
}

impl Role {
    /// The role of that name: one of `custom`, or a built-in one, which has an id as well.
    pub fn find(name: &str, custom: &[CustomRole]) -> Option<Self> {
        let named = custom.iter().find(|role| role.name.eq_ignore_ascii_case(name));
        named.map(Self::from).or_else(|| Self::built_in(name))
    }

    /// The built-in role of that name or id.
    fn built_in(name: &str) -> Option<Self> {
        let found =
            BUILT_IN.iter().find(|role| role.name.eq_ignore_ascii_case(name) || role.id.eq_ignore_ascii_case(name))?;
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Some(Self {
            name: found.name.to_owned(),
            actions: texts(if found.reads_vault { READ_VAULT } else { &[] }),
            not_actions: Vec::new(),
            data_actions: found.data_actions.iter().map(|action| format!("{PREFIX}{action}")).collect(),
            not_data_actions: Vec::new(),
        })
    }

    /// Names of all built-in roles, for messages.
    pub fn built_in_names() -> String {
        BUILT_IN.iter().map(|role| role.name).collect::<Vec<_>>().join(", ")
    }

    /// Whether the role lets a caller perform a data action.
    pub fn grants(&self, action: &str) -> bool {
        let any = |patterns: &[String]| patterns.iter().any(|pattern| matches(pattern, action));
        any(&self.data_actions) && !any(&self.not_data_actions)
    }
}

impl From<&CustomRole> for Role {
    fn from(role: &CustomRole) -> Self {
        Self {
            name: role.name.clone(),
            actions: role.actions.clone(),
            not_actions: role.not_actions.clone(),
            data_actions: role.data_actions.clone(),
            not_data_actions: role.not_data_actions.clone(),
        }
    }
}

struct BuiltIn {
    name: &'static str,
    id: &'static str,
    data_actions: &'static [&'static str],
    /// Whether the role also reads the vault itself on the management plane.
    reads_vault: bool,
}

const READ_VAULT: &[&str] = &[
    "Microsoft.Authorization/*/read",
    "Microsoft.Insights/alertRules/*",
    "Microsoft.Resources/deployments/*",
    "Microsoft.Resources/subscriptions/resourceGroups/read",
    "Microsoft.Support/*",
    "Microsoft.KeyVault/checkNameAvailability/read",
    "Microsoft.KeyVault/deletedVaults/read",
    "Microsoft.KeyVault/locations/*/read",
    "Microsoft.KeyVault/vaults/*/read",
    "Microsoft.KeyVault/operations/read",
];

const BUILT_IN: &[BuiltIn] = &[
    BuiltIn {
        name: "Key Vault Administrator",
        id: "00482a5a-887f-4fb3-b363-3b7fe8e74483",
        data_actions: &["*"],
        reads_vault: true,
    },
    BuiltIn {
        name: "Key Vault Reader",
        id: "21090545-7ca7-4776-b22c-e363652d74d2",
        data_actions: &["*/read", "secrets/readMetadata/action"],
        reads_vault: true,
    },
    BuiltIn {
        name: "Key Vault Secrets User",
        id: "4633458b-17de-408a-b874-0445c86b69e6",
        data_actions: &["secrets/getSecret/action", "secrets/readMetadata/action"],
        reads_vault: false,
    },
    BuiltIn {
        name: "Key Vault Secrets Officer",
        id: "b86a8fe4-44ce-4948-aee5-eccb2c155cd7",
        data_actions: &["secrets/*"],
        reads_vault: true,
    },
    BuiltIn {
        name: "Key Vault Certificate User",
        id: "db79e9a7-68ee-4b58-9aeb-b90e7c24fcba",
        data_actions: &["certificates/read", "secrets/getSecret/action", "secrets/readMetadata/action", "keys/read"],
        reads_vault: false,
    },
    BuiltIn {
        name: "Key Vault Certificates Officer",
        id: "a4417e6f-fecd-4de8-b567-7b0420556985",
        data_actions: &["certificatecas/*", "certificates/*", "certificatecontacts/write"],
        reads_vault: true,
    },
    BuiltIn {
        name: "Key Vault Crypto User",
        id: "12338af0-0e69-4776-bea7-57ae8d297424",
        data_actions: &[
            "keys/read",
            "keys/update/action",
            "keys/backup/action",
            "keys/encrypt/action",
            "keys/decrypt/action",
            "keys/wrap/action",
            "keys/unwrap/action",
            "keys/sign/action",
            "keys/verify/action",
        ],
        reads_vault: false,
    },
    BuiltIn {
        name: "Key Vault Crypto Officer",
        id: "14b46e9e-c2b7-41b4-b07b-48a6ebf60603",
        data_actions: &["keys/*", "keyrotationpolicies/*"],
        reads_vault: true,
    },
    BuiltIn {
        name: "Key Vault Crypto Service Encryption User",
        id: "e147488a-f6f5-4113-8e2d-b22465e65bf6",
        data_actions: &["keys/read", "keys/wrap/action", "keys/unwrap/action"],
        reads_vault: false,
    },
    BuiltIn {
        name: "Key Vault Purge Operator",
        id: "a68e7c17-0ab2-4c09-9a58-125dae29748c",
        data_actions: &[],
        reads_vault: true,
    },
    BuiltIn { name: "Reader", id: "acdd72a7-3385-48ef-bd42-f606fba81ae7", data_actions: &[], reads_vault: true },
];

/// Which operations a caller may perform on one vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grants([bool; Operation::COUNT]);

impl Grants {
    /// What a set of roles grants together.
    pub fn of_roles(roles: &[Role]) -> Self {
        let mut grants = Self([false; Operation::COUNT]);
        for operation in Operation::ALL {
            let action = format!("{PREFIX}{}", operation.facts().action);
            grants.0[operation.index()] = roles.iter().any(|role| role.grants(&action));
        }
        grants
    }

    /// What access policies grant together.
    pub fn of_policies(policies: &[&AccessPolicySpec]) -> Self {
        let mut grants = Self([false; Operation::COUNT]);
        for operation in Operation::ALL {
            let facts = operation.facts();
            let granted = |policy: &&AccessPolicySpec| {
                let named = policy.permissions(facts.category);
                named.iter().any(|name| name.eq_ignore_ascii_case(facts.permission) || name.eq_ignore_ascii_case("all"))
            };
            grants.0[operation.index()] = policies.iter().any(granted);
        }
        grants
    }

    pub fn allows(&self, operation: Operation) -> bool {
        self.0[operation.index()]
    }
}

/// Whether `text` matches `pattern`, where `*` is any text; case does not matter, as in Azure.
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.to_ascii_lowercase(), text.to_ascii_lowercase());
    let mut parts = pattern.split('*');
    let Some(first) = parts.next() else { return false };
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(name: &str) -> Role {
        Role::built_in(name).unwrap()
    }

    #[test]
    fn wildcards_cross_slashes_and_ignore_case() {
        for (pattern, text, expected) in [
            ("Microsoft.KeyVault/vaults/*", "microsoft.keyvault/vaults/secrets/delete", true),
            ("*/read", "a/b/read", true),
            ("*/read", "a/b/read/action", false),
            ("a*c*e", "abcde", true),
            ("a*c*e", "abde", false),
            ("a", "ab", false),
            ("*", "anything", true),
            ("ab*ba", "aba", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn a_reader_sees_metadata_but_no_value() {
        let grants = Grants::of_roles(&[role("Key Vault Reader")]);
        assert!(grants.allows(Operation::SecretsList));
        assert!(grants.allows(Operation::CertificatesGet));
        assert!(!grants.allows(Operation::SecretsGet));
        assert!(!grants.allows(Operation::SecretsSet));
    }

    #[test]
    fn what_a_custom_role_takes_out_is_not_granted() {
        let role = Role {
            name: "no-delete".to_owned(),
            actions: vec![],
            not_actions: vec![],
            data_actions: vec!["Microsoft.KeyVault/vaults/secrets/*".to_owned()],
            not_data_actions: vec!["Microsoft.KeyVault/vaults/secrets/delete".to_owned()],
        };
        let grants = Grants::of_roles(&[role]);
        assert!(grants.allows(Operation::SecretsSet));
        assert!(!grants.allows(Operation::SecretsDelete));
        assert!(!grants.allows(Operation::KeysGet));
    }

    #[test]
    fn an_access_policy_names_permissions_not_actions() {
        let policy = AccessPolicySpec {
            identity: "keyferry".to_owned(),
            secrets: vec!["Get".to_owned(), "list".to_owned()],
            keys: vec!["all".to_owned()],
            certificates: vec![],
        };
        let grants = Grants::of_policies(&[&policy]);
        assert!(grants.allows(Operation::SecretsGet) && grants.allows(Operation::SecretsList));
        assert!(!grants.allows(Operation::SecretsSet));
        assert!(grants.allows(Operation::KeysRestore));
        assert!(!grants.allows(Operation::CertificatesGet));
    }
}
