//! Vaults of the emulated Azure that are found elsewhere than before.
//!
//! Their addresses hold its port, and configs keep the addresses. So whoever starts it on another port has the configs
//! of the folder follow, before any part reads them. Records are of a config and go on; other clouds' vaults are left
//! alone.

use broker::Broker;
use proto_msgs::{CorrelationId, Revision, VaultRef, config::Change, worker::Role};
use runtime::Origin;

use crate::failure::Failure;

/// What follows an emulated vault's name and a dot.
pub const SUFFIX: &str = "vault.localhost";

/// Lets every config find its emulated vaults on this port.
pub async fn to_port(broker: &Broker, port: u16, correlation: CorrelationId) -> Result<(), Failure> {
    let origin = Origin::system(Role::Gateway);
    for entry in broker.configs().list().await? {
        let (mut config, revision) = (entry.envelope.body, Revision(entry.sequence.0));
        let mut addresses = vec![&mut config.source.uri, &mut config.target.uri];
        for reference in [&mut config.spec.source, &mut config.spec.target] {
            match reference {
                VaultRef::ByHand(by_hand) => addresses.push(&mut by_hand.uri),
                VaultRef::Discovered(_) => {}
            }
        }
        let mut is_moved = false;
        for address in addresses {
            if let Some(moved) = on_port(address, port) {
                *address = moved;
                is_moved = true;
            }
        }
        if !is_moved {
            continue;
        }
        config.change = Change {
            actor: "up".to_owned(),
            action: "move".to_owned(),
            reason: Some(format!("the emulated Azure listens on port {port}")),
            correlation_id: correlation,
            at: origin.now(),
        };
        broker.configs().put(&origin.envelope(correlation, config), revision).await?;
    }
    Ok(())
}

/// An emulated vault's address on this port; none: it is there already, or no emulated vault's.
fn on_port(address: &str, port: u16) -> Option<String> {
    let (host, now) = address.strip_prefix("https://")?.trim_end_matches('/').rsplit_once(':')?;
    let is_emulated = host.to_ascii_lowercase().strip_suffix(SUFFIX).is_some_and(|rest| rest.ends_with('.'));
    (is_emulated && now != port.to_string()).then(|| format!("https://{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_emulated_vaults_move_and_only_from_another_port() {
        let moved = Some("https://a-kv.vault.localhost:9443".to_owned());
        assert_eq!(on_port("https://a-kv.vault.localhost:8443", 9443), moved);
        assert_eq!(on_port("https://a-kv.vault.localhost:8443/", 9443), moved);
        for stays in ["https://a-kv.vault.localhost:9443", "https://a-kv.vault.azure.net", "https://a-kv.example:8443"]
        {
            assert_eq!(on_port(stays, 9443), None, "{stays}");
        }
    }
}
