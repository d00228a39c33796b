//! The estate: which subscriptions, vaults, identities, roles and items there are when the emulator starts.
//!
//! A YAML file that other programs write. Unknown keys are refused with their line, because a misspelt key that is
//! ignored is an estate somebody did not ask for. What parses is also checked: see [`check`]. Deliberately absent:
//! what happens to the items afterwards, which is the vaults' state.

mod check;
mod count;

pub(crate) use check::expand;
pub(crate) use count::Count;

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{
    operation::Category,
    state::attributes::LATEST_S,
    yaml::{self, Misread},
};

const DEMO: &str = include_str!("demo.yaml");

/// Why an estate was refused.
#[derive(Debug, thiserror::Error)]
pub enum EstateError {
    #[error(transparent)]
    Syntax(#[from] Misread),
    #[error("{place}: {message}")]
    Invalid { place: String, message: String },
}

/// What there is at the start.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Estate {
    pub(crate) tenant: String,
    #[serde(default)]
    pub(crate) identities: Vec<IdentitySpec>,
    #[serde(default)]
    pub(crate) subscriptions: Vec<SubscriptionSpec>,
    #[serde(default)]
    pub(crate) custom_roles: Vec<CustomRole>,
    /// Regions that the management plane does not list, so that their geography is not to be found out.
    #[serde(default)]
    pub(crate) unlisted_regions: Vec<String>,
}

impl Estate {
    /// The estate that `keyferry up` shows.
    #[expect(clippy::missing_panics_doc, reason = "a test parses the demo estate")]
    pub fn demo() -> Self {
        Self::parse(DEMO).expect("the demo estate is part of the program and a test parses it")
    }

    /// Reads and checks an estate.
    pub fn parse(text: &str) -> Result<Self, EstateError> {
        let estate: Self = yaml::read(text)?;
        check::check(&estate)?;
        Ok(estate)
    }

    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// Client id and secret of the identity that the file names first.
    pub fn first_identity(&self) -> Option<(&str, &str)> {
        self.identities.first().map(|identity| (identity.client_id.as_str(), identity.client_secret.as_str()))
    }

    /// Names of all vaults, in the order of the file.
    pub fn vault_names(&self) -> Vec<&str> {
        self.vaults().map(|(_, vault)| vault.name.as_str()).collect()
    }

    pub(crate) fn vaults(&self) -> impl Iterator<Item = (&SubscriptionSpec, &VaultSpec)> {
        self.subscriptions
            .iter()
            .flat_map(|subscription| subscription.vaults.iter().map(move |vault| (subscription, vault)))
    }
}

#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IdentitySpec {
    pub name: String,
    pub client_id: String,
    pub client_secret: String,
    /// What the managed-identity endpoint wants in `X-IDENTITY-HEADER`; none: the client secret.
    #[serde(default)]
    pub identity_header: Option<String>,
    /// A certificate in PEM whose key the identity may sign with, in place of the secret.
    #[serde(default)]
    pub client_certificate: Option<String>,
    /// Whether the identity may use the management plane.
    #[serde(default = "yes")]
    pub arm: bool,
}

impl std::fmt::Debug for IdentitySpec {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("IdentitySpec").field("name", &self.name).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SubscriptionSpec {
    pub id: String,
    pub name: String,
    #[serde(default)]
    pub vaults: Vec<VaultSpec>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Authorization {
    #[default]
    Rbac,
    AccessPolicies,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Firewall {
    #[default]
    Open,
    Deny,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Sku {
    #[default]
    Standard,
    Premium,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VaultSpec {
    pub name: String,
    pub resource_group: String,
    pub region: String,
    #[serde(default)]
    pub sku: Sku,
    #[serde(default)]
    pub authorization: Authorization,
    #[serde(default = "longest_retention")]
    pub soft_delete_retention_days: u32,
    #[serde(default)]
    pub purge_protection: bool,
    #[serde(default)]
    pub firewall: Firewall,
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    #[serde(default)]
    pub roles: Vec<RoleAssignment>,
    #[serde(default)]
    pub access_policies: Vec<AccessPolicySpec>,
    #[serde(default)]
    pub items: Items,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoleAssignment {
    pub identity: String,
    pub role: String,
}

/// What one identity may do in a vault that goes by access policies.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccessPolicySpec {
    pub identity: String,
    #[serde(default)]
    pub secrets: Vec<String>,
    #[serde(default)]
    pub keys: Vec<String>,
    #[serde(default)]
    pub certificates: Vec<String>,
}

impl AccessPolicySpec {
    pub fn permissions(&self, category: Category) -> &[String] {
        match category {
            Category::Secrets => &self.secrets,
            Category::Keys => &self.keys,
            Category::Certificates => &self.certificates,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CustomRole {
    pub name: String,
    #[serde(default)]
    pub actions: Vec<String>,
    #[serde(default)]
    pub not_actions: Vec<String>,
    #[serde(default)]
    pub data_actions: Vec<String>,
    #[serde(default)]
    pub not_data_actions: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Items {
    #[serde(default)]
    pub secrets: Vec<SecretSpec>,
    #[serde(default)]
    pub certificates: Vec<CertificateSpec>,
    #[serde(default)]
    pub keys: Vec<KeySpec>,
}

/// A moment: seconds since 1970, or RFC 3339 text.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "a time is seconds since 1970 or like 2030-01-31T00:00:00Z")]
pub(crate) enum Moment {
    Seconds(i64),
    Text(String),
}

impl Moment {
    /// Seconds since 1970; none for text that is no RFC 3339, and after the year 9999, as for clients.
    pub fn seconds(&self) -> Option<i64> {
        match self {
            Self::Seconds(seconds) => Some(*seconds).filter(|seconds| *seconds <= LATEST_S),
            Self::Text(text) => {
                use time::{OffsetDateTime, format_description::well_known::Rfc3339};
                OffsetDateTime::parse(text, &Rfc3339).ok().map(OffsetDateTime::unix_timestamp)
            }
        }
    }
}

/// One secret, or `count` of them with `{n}` in name, value and content type standing for 1, 2, ...
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SecretSpec {
    pub name: String,
    pub count: Option<Count>,
    /// None: made up, different for each.
    pub value: Option<String>,
    pub content_type: Option<String>,
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    #[serde(default = "yes")]
    pub enabled: bool,
    pub not_before: Option<Moment>,
    pub expires: Option<Moment>,
    #[serde(default = "one")]
    pub versions: u32,
    /// Soft-deleted from the start.
    #[serde(default)]
    pub deleted: bool,
    /// Soft-deleted so many seconds after each start of the emulator, by the host's clock; see [`crate::leaving`].
    pub deleted_after_s: Option<u32>,
}

impl std::fmt::Debug for SecretSpec {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("SecretSpec").field("name", &self.name).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    #[default]
    Pkcs12,
    Pem,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CertificateSpec {
    pub name: String,
    pub count: Option<Count>,
    /// None: `CN=<name>`.
    pub subject: Option<String>,
    #[serde(default)]
    pub dns_names: Vec<String>,
    #[serde(default)]
    pub format: Format,
    #[serde(default = "yes")]
    pub exportable: bool,
    /// How many intermediates come between the certificate and its root.
    #[serde(default)]
    pub chain: u32,
    #[serde(default = "rsa", rename = "type")]
    pub kind: String,
    pub size: Option<u32>,
    pub curve: Option<String>,
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    #[serde(default = "yes")]
    pub enabled: bool,
    pub not_before: Option<Moment>,
    pub expires: Option<Moment>,
    #[serde(default = "one")]
    pub versions: u32,
    /// Asked for at an issuer that never answers: no version yet.
    #[serde(default)]
    pub pending: bool,
    #[serde(default)]
    pub deleted: bool,
    pub deleted_after_s: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeySpec {
    pub name: String,
    pub count: Option<Count>,
    #[serde(rename = "type")]
    pub kind: String,
    pub size: Option<u32>,
    pub curve: Option<String>,
    pub operations: Option<Vec<String>>,
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    #[serde(default = "yes")]
    pub enabled: bool,
    pub not_before: Option<Moment>,
    pub expires: Option<Moment>,
    #[serde(default = "one")]
    pub versions: u32,
    /// ISO 8601: rotate so long after creation. The emulator keeps the policy but never rotates by itself.
    pub rotate_after: Option<String>,
    /// The type that clients are shown in place of its own, such as one that Key Vault does not have yet.
    pub shown_type: Option<String>,
    #[serde(default)]
    pub deleted: bool,
    pub deleted_after_s: Option<u32>,
}

const fn yes() -> bool {
    true
}

const fn one() -> u32 {
    1
}

fn rsa() -> String {
    "RSA".to_owned()
}

/// Azure's default, and the longest it allows.
const fn longest_retention() -> u32 {
    90
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_estate_has_what_it_promises() {
        let estate = Estate::demo();
        assert_eq!(estate.subscriptions.len(), 3);
        assert_eq!(estate.vaults().count(), 8);
        let regions: std::collections::BTreeSet<_> = estate.vaults().map(|(_, vault)| vault.region.clone()).collect();
        assert_eq!(regions.len(), 4);
        let geographies: std::collections::BTreeSet<_> = regions
            .iter()
            .map(|region| crate::regions::Region::find(region).expect("checked by the parser").geography)
            .collect();
        assert_eq!(geographies.len(), 3);
        assert_eq!(estate.unlisted_regions, ["uksouth"]);
    }

    #[test]
    fn an_estate_with_everything_parses() {
        let estate = Estate::parse(include_str!("estate/sample.yaml")).unwrap();
        let (_, vault) = estate.vaults().next().unwrap();
        assert_eq!((vault.items.secrets.len(), vault.items.certificates.len(), vault.items.keys.len()), (2, 1, 2));
        assert_eq!((vault.soft_delete_retention_days, vault.authorization), (90, Authorization::Rbac));
        assert_eq!(estate.custom_roles.len(), 1);
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let yaml = "tenant: 5f0c1d4e-0000-4000-8000-000000000001\nidentities: []\nsubscriptions: []\ncolour: red\n";
        let error = Estate::parse(yaml).unwrap_err();
        assert!(matches!(error, EstateError::Syntax(Misread { line: 4, .. })), "{error}");
        assert!(error.to_string().contains("colour"), "{error}");
    }

    #[test]
    fn what_is_not_an_estate_is_told_in_one_line_with_its_place() {
        let tenant = "tenant: 5f0c1d4e-0000-4000-8000-000000000001\n";
        let vault = |lines: &str| {
            format!(
                "{tenant}subscriptions:\n- id: a\n  name: a\n  vaults:\n  - name: a-kv\n    resource_group: a\n    region: \
                 westeurope\n{lines}"
            )
        };
        for (yaml, line, said) in [
            (String::new(), 1, "empty"),
            ("just text".to_owned(), 1, "keys and values"),
            (format!("{tenant}{tenant}"), 2, "`tenant` is there twice"),
            (format!("{tenant}---\n{tenant}"), 3, "one document"),
            (format!("{tenant}subscriptions: 7\n"), 2, "a list"),
            (format!("{tenant}subscriptions: [\n"), 2, "unclosed bracket"),
            (format!("{tenant}\"col\\nour\": red\n"), 2, "col"),
            (format!("{tenant}identities: *nobody\n"), 2, "anchor"),
            (format!("{tenant}identities: &a [*a]\n"), 2, "anchor"),
            ("identities: []\n".to_owned(), 1, "`tenant` is missing"),
            ("tenant: ~\n".to_owned(), 1, "a text"),
            (format!("{tenant}unlisted_regions: uksouth\n"), 2, "a list"),
            (format!("{tenant}identities: {}{}\n", "[".repeat(99), "]".repeat(99)), 2, "keys and values"),
            (vault("    tags: { a: x, a: y }\n"), 9, "`a` is there twice"),
            (vault("    tags: &t { a: x }\n    roles: *t\n"), 10, "a list"),
            (vault("    sku: gold\n"), 9, "`gold` is not one of standard, premium"),
            (vault("    sku: [gold]\n"), 9, "a word"),
            (vault("    soft_delete_retention_days: many\n"), 9, "a whole number"),
            (vault("    purge_protection: maybe\n"), 9, "true or false"),
            (vault("    items: { secrets: [{ name: a, expires: [] }] }\n"), 9, "2030-01-31T00:00:00Z"),
        ] {
            let told = Estate::parse(&yaml).unwrap_err().to_string();
            assert!(told.starts_with(&format!("line {line}, column ")) && told.contains(said), "{yaml}: {told}");
            assert!(!told.contains(char::is_control), "{yaml}: {told}");
            for foreign in ["Options", "Policy", "budget", "untagged", "u32", "variant", "Moment", "from_str"] {
                assert!(!told.contains(foreign), "{yaml}: {told}");
            }
        }
    }

    #[test]
    fn a_moment_may_be_text_or_seconds() {
        assert_eq!(Moment::Text("1970-01-01T00:01:00Z".to_owned()).seconds(), Some(60));
        assert_eq!(Moment::Seconds(7).seconds(), Some(7));
        assert_eq!(Moment::Text("tomorrow".to_owned()).seconds(), None);
    }
}
