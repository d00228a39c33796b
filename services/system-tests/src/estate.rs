//! Estates for tests, as the YAML that other programs write too.

use std::fmt::Write;

pub const TENANT: &str = "5f0c1d4e-0000-4000-8000-000000000001";
pub const SUBSCRIPTION: &str = "00000000-0000-4000-8000-000000000001";
pub const CLIENT_ID: &str = "00000000-0000-4000-8000-0000000000aa";
/// Opens an emulator that lives as long as one test, to every identity of it.
pub const CLIENT_SECRET: &str = "demo-only";

/// Whatever a secret can carry besides its value, so that each is missed if it is not copied.
const EVERYTHING: &str = "content_type: \"text/{n}\", tags: { made: up, replicate: \"true\" }, \
     not_before: \"2021-01-31T00:00:01Z\", expires: \"2061-01-31T00:00:02Z\"";

/// An estate with an identity `keyferry` that may do everything in every vault; it begins with one subscription.
#[derive(Debug)]
pub struct EstateBuilder {
    identities: String,
    subscriptions: String,
    custom_roles: String,
    unlisted_regions: Vec<String>,
}

impl Default for EstateBuilder {
    fn default() -> Self {
        let empty = Self {
            identities: String::new(),
            subscriptions: String::new(),
            custom_roles: String::new(),
            unlisted_regions: Vec::new(),
        };
        empty.identity("keyferry", CLIENT_ID).subscription(SUBSCRIPTION, "test")
    }
}

impl EstateBuilder {
    pub fn new() -> Self {
        Self::default()
    }

    /// One more identity, which may do nothing yet.
    #[must_use]
    pub fn identity(mut self, name: &str, client_id: &str) -> Self {
        write(
            &mut self.identities,
            format_args!("  - {{ name: {name}, client_id: {client_id}, client_secret: {CLIENT_SECRET} }}\n"),
        );
        self
    }

    /// One more subscription: the vaults that follow are in it.
    #[must_use]
    pub fn subscription(mut self, id: &str, name: &str) -> Self {
        write(&mut self.subscriptions, format_args!("  - id: {id}\n    name: {name}\n    vaults:\n"));
        self
    }

    /// A role with exactly these data actions, written without their common prefix.
    #[must_use]
    pub fn custom_role(mut self, name: &str, data_actions: &[&str]) -> Self {
        let actions: String =
            data_actions.iter().map(|action| format!("      - Microsoft.KeyVault/vaults/{action}\n")).collect();
        write(
            &mut self.custom_roles,
            format_args!(
                "  - name: {name}\n    actions: [Microsoft.KeyVault/vaults/read, Microsoft.Resources/subscriptions/read]\n    \
                 data_actions:\n{actions}"
            ),
        );
        self
    }

    /// A region whose geography cannot be found out.
    #[must_use]
    pub fn unlisted_region(mut self, region: &str) -> Self {
        self.unlisted_regions.push(region.to_owned());
        self
    }

    /// A vault with `secrets` made-up secrets `bulk-1`, `bulk-2`, ...
    #[must_use]
    pub fn vault(self, name: &str, region: &str, secrets: usize) -> Self {
        let items = match secrets {
            0 => String::new(),
            count => {
                format!("        items: {{ secrets: [{{ name: \"bulk-{{n}}\", count: {count}, {EVERYTHING} }}] }}\n")
            }
        };
        self.vault_with(name, region, &items)
    }

    /// A vault with further lines of YAML, indented by eight.
    #[must_use]
    pub fn vault_with(self, name: &str, region: &str, lines: &str) -> Self {
        self.vault_for(name, region, &[], lines)
    }

    /// A vault in which further identities have roles.
    #[must_use]
    pub fn vault_for(mut self, name: &str, region: &str, roles: &[(&str, &str)], lines: &str) -> Self {
        let roles: String =
            roles.iter().map(|(identity, role)| format!(", {{ identity: {identity}, role: {role} }}")).collect();
        write(
            &mut self.subscriptions,
            format_args!(
                "      - name: {name}\n        resource_group: rg-test\n        region: {region}\n        \
                 roles: [{{ identity: keyferry, role: Key Vault Administrator }}{roles}]\n{lines}"
            ),
        );
        self
    }

    pub fn yaml(&self) -> String {
        let Self { identities, subscriptions, custom_roles, unlisted_regions } = self;
        let custom_roles = match custom_roles.as_str() {
            "" => String::new(),
            roles => format!("custom_roles:\n{roles}"),
        };
        let unlisted = unlisted_regions.join(", ");
        format!(
            "tenant: {TENANT}\nidentities:\n{identities}subscriptions:\n{subscriptions}{custom_roles}unlisted_regions: [{unlisted}]\n"
        )
    }
}

fn write(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = text.write_fmt(arguments);
}
