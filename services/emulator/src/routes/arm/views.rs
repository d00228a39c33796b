//! How the management plane writes what it shows.

use serde_json::{Value, json};

use crate::{
    auth::{Caller, tokens::object_id},
    estate::{Authorization, Firewall},
    regions::REGIONS,
    state::set_some,
    vault::Vault,
    world::{Subscription, World},
};

/// A subscription.
pub fn subscription(world: &World, subscription: &Subscription) -> Value {
    json!({
        "id": format!("/subscriptions/{}", subscription.id),
        "subscriptionId": subscription.id,
        "tenantId": world.tokens.authority().tenant,
        "displayName": subscription.name,
        "state": "Enabled",
        "authorizationSource": "RoleBased",
    })
}

/// Where a subscription can have vaults; older versions do not tell geographies.
pub fn locations(world: &World, subscription: &Subscription, with_geography: bool) -> Value {
    let id = |name: &str| format!("/subscriptions/{}/locations/{name}", subscription.id);
    let listed = REGIONS.iter().filter(|region| !world.unlisted_regions.contains(&region.name));
    let list = listed.map(|region| {
        let pair = (!region.pair.is_empty()).then(|| json!([{ "name": region.pair, "id": id(region.pair) }]));
        let mut metadata = json!({
            "regionType": "Physical",
            "regionCategory": "Recommended",
            "geographyGroup": region.group,
            "pairedRegion": pair.unwrap_or_else(|| json!([])),
        });
        set_some(&mut metadata, "geography", with_geography.then_some(region.geography));
        json!({
            "id": id(region.name),
            "name": region.name,
            "type": "Region",
            "displayName": region.display,
            "regionalDisplayName": format!("({}) {}", region.group, region.display),
            "metadata": metadata,
        })
    });
    json!({ "value": list.collect::<Vec<_>>() })
}

/// A vault as `Microsoft.KeyVault/vaults` shows it.
pub fn vault(world: &World, vault: &Vault) -> Value {
    let access = vault.access.read();
    let tenant = &world.tokens.authority().tenant;
    let policies = access.policies.iter().filter_map(|policy| {
        let identity = world.identities.iter().find(|identity| identity.name.eq_ignore_ascii_case(&policy.identity))?;
        Some(json!({
            "tenantId": tenant,
            "objectId": object_id(&identity.client_id),
            "permissions": { "secrets": policy.secrets, "keys": policy.keys, "certificates": policy.certificates, "storage": [] },
        }))
    });
    let is_closed = vault.firewall() == Firewall::Deny;
    json!({
        "id": vault.resource_id(),
        "name": vault.name,
        "type": "Microsoft.KeyVault/vaults",
        "location": vault.region.name,
        "tags": vault.tags,
        "properties": {
            "sku": { "family": "A", "name": if vault.premium { "premium" } else { "standard" } },
            "tenantId": tenant,
            "accessPolicies": policies.collect::<Vec<_>>(),
            "enabledForDeployment": false,
            "enableSoftDelete": true,
            "softDeleteRetentionInDays": vault.place.protection.days,
            // Azure never says false: a vault without purge protection has no such property.
            "enablePurgeProtection": vault.place.protection.purge_protection.then_some(true),
            // Null for access policies, as Azure writes it.
            "enableRbacAuthorization": (access.authorization == Authorization::Rbac).then_some(true),
            "vaultUri": format!("{}/", vault.place.base),
            "provisioningState": "Succeeded",
            "publicNetworkAccess": "Enabled",
            "networkAcls": {
                "bypass": "AzureServices",
                "defaultAction": if is_closed { "Deny" } else { "Allow" },
                "ipRules": [],
                "virtualNetworkRules": [],
            },
        },
    })
}

/// What the caller may do in a vault, by roles; access policies do not show here.
pub fn permissions(vault: &Vault, caller: Caller) -> Value {
    let access = vault.access.read();
    let list = access.roles(caller).iter().map(|role| {
        json!({
            "actions": role.actions,
            "notActions": role.not_actions,
            "dataActions": role.data_actions,
            "notDataActions": role.not_data_actions,
        })
    });
    json!({ "value": list.collect::<Vec<_>>() })
}
