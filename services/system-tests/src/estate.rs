//! Estates for tests, as the YAML that other programs write too.

use std::fmt::Write;

pub const TENANT: &str = "5f0c1d4e-0000-4000-8000-000000000001";
pub const CLIENT_ID: &str = "00000000-0000-4000-8000-0000000000aa";
/// Opens an emulator that lives as long as one test.
pub const CLIENT_SECRET: &str = "demo-only";

/// Whatever a secret can carry besides its value, so that each is missed if it is not copied.
const EVERYTHING: &str = "content_type: \"text/{n}\", tags: { made: up, replicate: \"true\" }, \
     not_before: \"2021-01-31T00:00:01Z\", expires: \"2061-01-31T00:00:02Z\"";

/// An estate of one subscription, with one identity that may do everything.
#[derive(Debug, Default)]
pub struct EstateBuilder {
    vaults: String,
}

impl EstateBuilder {
    pub fn new() -> Self {
        Self::default()
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
    pub fn vault_with(mut self, name: &str, region: &str, lines: &str) -> Self {
        // Writing to a string cannot fail.
        let _ = write!(
            self.vaults,
            "      - name: {name}\n        resource_group: rg-test\n        region: {region}\n        \
             roles: [{{ identity: keyferry, role: Key Vault Administrator }}]\n{lines}"
        );
        self
    }

    pub fn yaml(&self) -> String {
        format!(
            "tenant: {TENANT}\nidentities:\n  - {{ name: keyferry, client_id: {CLIENT_ID}, client_secret: {CLIENT_SECRET} }}\n\
             subscriptions:\n  - id: 00000000-0000-4000-8000-000000000001\n    name: test\n    vaults:\n{}",
            self.vaults
        )
    }
}
