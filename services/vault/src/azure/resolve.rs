//! From what an operator wrote to what is known of a vault.

use proto_msgs::{
    CorrelationId, VaultRef,
    config::VaultByHand,
    vault::{Side, VaultIdentity},
    worker::{ResolveAnswer, ResolveFailure},
};
use url::Url;

use super::{arm, call::Call, failure, vaults::AzureVaults};
use crate::{VaultError, regions};

pub(super) async fn resolve(
    vaults: &AzureVaults,
    side: Side,
    reference: &VaultRef,
    correlation: CorrelationId,
) -> ResolveAnswer {
    let call = arm::call(side, correlation);
    match reference {
        VaultRef::Discovered(discovered) => {
            let found =
                vaults.arm.vaults_named(&call, vaults.credential(side), &discovered.vault).await.map_err(failed)?;
            one_of(found, &discovered.vault)
        }
        VaultRef::ByHand(by_hand) => by_hand_vault(vaults, &call, by_hand).await,
    }
}

fn one_of(mut found: Vec<VaultIdentity>, name: &str) -> ResolveAnswer {
    match found.len() {
        0 => Err(ResolveFailure::NotFound {
            message: format!(
                "no vault named {name} can be seen with this identity: check the name, or give it read access"
            ),
        }),
        1 => Ok(found.remove(0)),
        _ => Err(ResolveFailure::Ambiguous {
            candidates: found.into_iter().filter_map(|vault| vault.resource_id).collect(),
        }),
    }
}

/// The vault itself says whether it exists, and in which tenant: by the challenge it answers a request without token with.
async fn by_hand_vault(vaults: &AzureVaults, call: &Call, by_hand: &VaultByHand) -> ResolveAnswer {
    let uri = by_hand.uri.trim_end_matches('/').to_owned();
    let name = name_of(&uri, &vaults.settings.vault_suffix)?;
    let answer = vaults.connection.plain.get(format!("{uri}/secrets?api-version=7.4")).send().await;
    let response = match answer {
        Ok(response) => response,
        Err(error) if error.is_connect() => {
            return Err(ResolveFailure::NotFound { message: format!("{uri} cannot be reached: check the name") });
        }
        Err(_) => return Err(failed(failure::deadline(call))),
    };
    let challenge =
        response.headers().get("www-authenticate").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let tenant = tenant_in(challenge).ok_or_else(|| ResolveFailure::NotFound {
        message: format!("{uri} does not answer as a key vault does: check the name"),
    })?;
    Ok(VaultIdentity {
        name,
        uri,
        resource_id: None,
        subscription: Some(by_hand.subscription.clone()),
        geography: regions::geography(&by_hand.region).map(str::to_owned),
        region: Some(by_hand.region.clone()),
        tenant,
        verified: false,
    })
}

fn name_of(uri: &str, suffix: &str) -> Result<String, ResolveFailure> {
    let host = uri.strip_prefix("https://").unwrap_or_default();
    let name = host.strip_suffix(suffix).and_then(|rest| rest.strip_suffix('.'));
    name.filter(|name| !name.is_empty() && !name.contains('.')).map(str::to_owned).ok_or_else(|| {
        ResolveFailure::NotFound {
            message: format!("{uri} is not a vault of this cloud: its host must end with .{suffix}"),
        }
    })
}

/// `Bearer authorization="https://login.microsoftonline.com/TENANT", resource="https://vault.azure.net"`
fn tenant_in(challenge: &str) -> Option<String> {
    let (_, rest) =
        challenge.split_once("authorization=\"").or_else(|| challenge.split_once("authorization_uri=\""))?;
    let url = Url::parse(rest.split('"').next()?).ok()?;
    url.path_segments()?.next().filter(|tenant| !tenant.is_empty()).map(str::to_owned)
}

fn failed(error: VaultError) -> ResolveFailure {
    ResolveFailure::Call { failure: error.failure() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tenant_is_in_the_challenge() {
        let challenge =
            r#"Bearer authorization="https://login.microsoftonline.com/5f0c", resource="https://vault.azure.net""#;
        assert_eq!(tenant_in(challenge).as_deref(), Some("5f0c"));
        assert_eq!(tenant_in("Basic realm=x"), None);
    }

    #[test]
    fn a_host_outside_the_cloud_is_refused() {
        assert_eq!(name_of("https://a-kv.vault.azure.net", "vault.azure.net").ok().as_deref(), Some("a-kv"));
        for bad in [
            "https://vault.azure.net",
            "https://a.b.vault.azure.net",
            "https://a-kv.vault.azure.net.evil.example",
            "https://evilvault.azure.net",
        ] {
            assert!(name_of(bad, "vault.azure.net").is_err(), "{bad}");
        }
    }
}
