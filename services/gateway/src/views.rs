//! From what is stored to what clients see.

use broker::Entry;
use proto_msgs::{
    Config, Record, Revision, Status,
    api::{ConfigSummary, ConfigView, ControlView, RecordView},
    config::Control,
    docs,
    vault::VaultIdentity,
};

pub fn config(entry: Entry<Config>, summary: Option<ConfigSummary>) -> ConfigView {
    ConfigView { revision: Revision(entry.sequence.0), config: entry.envelope.body, summary }
}

/// None: nothing was ever stopped.
pub fn control(entry: Option<Entry<Control>>) -> ControlView {
    let revision = Revision(entry.as_ref().map_or(0, |entry| entry.sequence.0));
    let control = entry.map(|entry| entry.envelope.body);
    ControlView {
        stopped: control.as_ref().is_some_and(|control| control.stopped),
        change: control.map(|control| control.change),
        revision,
    }
}

/// `config`: the one it belongs to.
pub fn record(entry: Entry<Record>, config: &Config) -> RecordView {
    let record = entry.envelope.body;
    let is_in_the_way = record.status == Status::BlockedTargetSoftDeleted;
    let portal = is_in_the_way.then(|| portal(&config.target)).flatten();
    RecordView {
        portal: portal.map(|vault| format!("{vault}/{}", record.id.kind)),
        recoverability: record.code.map(proto_msgs::ErrorCode::recoverability),
        fix: record.code.and_then(|code| docs::explain(code.as_str())).map(|page| page.fix.to_owned()),
        sequence: entry.sequence,
        at: entry.envelope.time,
        correlation_id: entry.envelope.correlation_id,
        record,
        history: Vec::new(),
    }
}

/// A vault in the portal of its cloud; its items are below it, the deleted ones among them.
fn portal(vault: &VaultIdentity) -> Option<String> {
    const CLOUDS: [(&str, &str); 3] = [
        (".vault.azure.net", "portal.azure.com"),
        (".vault.azure.cn", "portal.azure.cn"),
        (".vault.usgovcloudapi.net", "portal.azure.us"),
    ];
    let (_, host) = CLOUDS.iter().find(|(suffix, _)| vault.uri.ends_with(suffix))?;
    let id = vault.resource_id.as_deref()?;
    Some(format!("https://{host}/#@{}/resource{id}", vault.tenant))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vault_is_found_in_the_portal_of_its_cloud() {
        let vault = |uri: &str, id: Option<&str>| VaultIdentity {
            name: "a".to_owned(),
            uri: uri.to_owned(),
            resource_id: id.map(str::to_owned),
            subscription: None,
            region: None,
            geography: None,
            tenant: "t".to_owned(),
            verified: true,
        };
        const ID: &str = "/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/a";
        for (uri, host) in [
            ("https://a.vault.azure.net", "portal.azure.com"),
            ("https://a.vault.azure.cn", "portal.azure.cn"),
            ("https://a.vault.usgovcloudapi.net", "portal.azure.us"),
        ] {
            let expected = format!("https://{host}/#@t/resource{ID}");
            assert_eq!(portal(&vault(uri, Some(ID))), Some(expected));
        }
        assert_eq!(portal(&vault("https://a.vault.localhost:8443", Some(ID))), None);
        assert_eq!(portal(&vault("https://a.vault.azure.net", None)), None);
    }
}
