//! The management plane: subscriptions, locations, vaults, a caller's permissions, and the resource graph's list of vaults.
//!
//! An identity either may use it (`arm` in the estate, the default) and sees every subscription, or gets 403. Nothing
//! here changes anything.

use serde_json::{Value, json};

use crate::{
    auth::{Audience, Caller, bearer, tokens::object_id},
    counts::Ended,
    error::ApiError,
    estate::{Authorization, Firewall},
    faults::Sender,
    operation::Operation,
    regions::REGIONS,
    routes::{Reply, Request, Served, fault},
    vault::Vault,
    world::{Subscription, World},
};

/// What a path names, besides the operation.
#[derive(Debug, PartialEq, Eq)]
enum Target<'a> {
    Everything,
    Subscription(&'a str),
    Vaults { subscription: &'a str, group: Option<&'a str> },
    Vault { subscription: &'a str, group: &'a str, name: &'a str },
}

fn parse<'a>(method: &str, segments: &[&'a str]) -> Option<(Operation, Target<'a>)> {
    let lower: Vec<String> = segments.iter().map(|segment| segment.to_ascii_lowercase()).collect();
    let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
    if method == "POST" && lower == ["providers", "microsoft.resourcegraph", "resources"] {
        return Some((Operation::ArmResourceGraph, Target::Everything));
    }
    if method != "GET" {
        return None;
    }
    match (&*lower, segments) {
        (["subscriptions"], _) => Some((Operation::ArmSubscriptions, Target::Everything)),
        (["subscriptions", _], [_, id]) => Some((Operation::ArmSubscription, Target::Subscription(id))),
        (["subscriptions", _, "locations"], [_, id, _]) => Some((Operation::ArmLocations, Target::Subscription(id))),
        (["subscriptions", _, "providers", "microsoft.keyvault", "vaults"], [_, id, ..]) => {
            Some((Operation::ArmVaults, Target::Vaults { subscription: id, group: None }))
        }
        (
            ["subscriptions", _, "resourcegroups", _, "providers", "microsoft.keyvault", "vaults"],
            [_, id, _, group, ..],
        ) => Some((Operation::ArmVaults, Target::Vaults { subscription: id, group: Some(group) })),
        (
            ["subscriptions", _, "resourcegroups", _, "providers", "microsoft.keyvault", "vaults", _, rest @ ..],
            [_, subscription, _, group, _, _, _, name, ..],
        ) => {
            let operation = match rest {
                [] => Operation::ArmVault,
                ["providers", "microsoft.authorization", "permissions"] => Operation::ArmPermissions,
                _ => return None,
            };
            Some((operation, Target::Vault { subscription, group, name }))
        }
        _ => None,
    }
}

/// Answers a request to `management.localhost`.
pub async fn serve(world: &World, request: &Request) -> Served {
    let Some((operation, target)) = parse(request.method.as_str(), &request.segments()) else {
        let message = format!("{} {} is not served here.", request.method, request.path());
        return Served::Reply(ApiError::new(404, "InvalidResourceType", message).into());
    };
    let token = bearer(request.authorization());
    let caller = token.and_then(|token| world.tokens.check(token, Audience::Management, world.clock.host()));
    let sender = if caller.is_ok() { Sender::Caller } else { Sender::Probe };
    let hit = world.faults.hit(sender, operation, "arm", "");
    let answer = async {
        match caller {
            Ok(caller) => authorised(world, request, caller, operation, &target).unwrap_or_else(Reply::from),
            Err(error) => challenge(world, error),
        }
    };
    let served = fault::serve(hit, answer).await;
    let ended = if sender == Sender::Probe { Ended::Challenged } else { Ended::of(&served) };
    world.arm_counts.ended(operation, ended);
    served
}

fn challenge(world: &World, mut error: ApiError) -> Reply {
    "InvalidAuthenticationToken".clone_into(&mut error.code);
    let challenge = world.tokens.authority().challenge(Audience::Management);
    Reply::from(error).header("WWW-Authenticate", challenge)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "a path to a subscription has two meanings")]
fn authorised(
    world: &World,
    request: &Request,
    caller: Caller,
    operation: Operation,
    target: &Target<'_>,
) -> Result<Reply, ApiError> {
    let query = request.query();
    if query.get("api-version").is_none() {
        let message = "The api-version query parameter (?api-version=) is required for all requests.";
        return Err(ApiError::new(400, "MissingApiVersionParameter", message));
    }
    let identity = world.identities.get(caller.identity).filter(|identity| identity.arm);
    let identity = identity.ok_or_else(|| {
        ApiError::new(403, "AuthorizationFailed", "The client does not have authorization to perform this action.")
    })?;
    match target {
        Target::Everything if operation == Operation::ArmResourceGraph => graph(world, &request.body),
        Target::Everything => {
            let list: Vec<Value> =
                world.subscriptions.iter().map(|subscription| described(world, subscription)).collect();
            Ok(Reply::ok(json!({ "value": list, "count": { "type": "Total", "value": list.len() } })))
        }
        Target::Subscription(id) => {
            let subscription = find(world, id)?;
            match operation {
                Operation::ArmLocations => Ok(Reply::ok(locations(subscription))),
                _ => Ok(Reply::ok(described(world, subscription))),
            }
        }
        Target::Vaults { subscription, group } => {
            let subscription = find(world, subscription)?;
            let in_group = |vault: &Vault| group.is_none_or(|group| vault.resource_group.eq_ignore_ascii_case(group));
            let vaults =
                world.vaults.iter().filter(|vault| vault.subscription_id == subscription.id && in_group(vault));
            Ok(Reply::ok(json!({ "value": vaults.map(|vault| resource(world, vault)).collect::<Vec<_>>() })))
        }
        Target::Vault { subscription, group, name } => {
            let vault = vault(world, subscription, group, name)?;
            if operation == Operation::ArmPermissions {
                return Ok(Reply::ok(permissions(vault, caller)));
            }
            tracing::debug!(identity = identity.name, "a vault's resource is read");
            Ok(Reply::ok(resource(world, vault)))
        }
    }
}

fn find<'a>(world: &'a World, id: &str) -> Result<&'a Subscription, ApiError> {
    world.subscriptions.iter().find(|subscription| subscription.id.eq_ignore_ascii_case(id)).ok_or_else(|| {
        ApiError::new(404, "SubscriptionNotFound", format!("The subscription '{id}' could not be found."))
    })
}

fn vault<'a>(world: &'a World, subscription: &str, group: &str, name: &str) -> Result<&'a Vault, ApiError> {
    let subscription = find(world, subscription)?;
    let found = world
        .vault(name)
        .filter(|vault| vault.subscription_id == subscription.id && vault.resource_group.eq_ignore_ascii_case(group));
    found.map(std::sync::Arc::as_ref).ok_or_else(|| {
        let message =
            format!("The Resource 'Microsoft.KeyVault/vaults/{name}' under resource group '{group}' was not found.");
        ApiError::new(404, "ResourceNotFound", message)
    })
}

fn described(world: &World, subscription: &Subscription) -> Value {
    json!({
        "id": format!("/subscriptions/{}", subscription.id),
        "subscriptionId": subscription.id,
        "tenantId": world.tokens.authority().tenant,
        "displayName": subscription.name,
        "state": "Enabled",
        "authorizationSource": "RoleBased",
    })
}

fn locations(subscription: &Subscription) -> Value {
    let id = |name: &str| format!("/subscriptions/{}/locations/{name}", subscription.id);
    let list = REGIONS.iter().map(|region| {
        let pair = (!region.pair.is_empty()).then(|| json!([{ "name": region.pair, "id": id(region.pair) }]));
        json!({
            "id": id(region.name),
            "name": region.name,
            "type": "Region",
            "displayName": region.display,
            "regionalDisplayName": format!("({}) {}", region.group, region.display),
            "metadata": {
                "regionType": "Physical",
                "regionCategory": "Recommended",
                "geography": region.geography,
                "geographyGroup": region.group,
                "pairedRegion": pair.unwrap_or_else(|| json!([])),
            },
        })
    });
    json!({ "value": list.collect::<Vec<_>>() })
}

/// A vault as `Microsoft.KeyVault/vaults` shows it.
fn resource(world: &World, vault: &Vault) -> Value {
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
            "enableRbacAuthorization": access.authorization == Authorization::Rbac,
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

fn permissions(vault: &Vault, caller: Caller) -> Value {
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

/// Any query that names the type of vaults is answered with all vaults; nothing else is understood.
fn graph(world: &World, body: &[u8]) -> Result<Reply, ApiError> {
    let request: Value = serde_json::from_slice(body).map_err(|_| {
        ApiError::new(400, "BadRequest", "Please provide below info when asking for support: the body is not JSON.")
    })?;
    let query = request.get("query").and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase();
    if !query.contains("microsoft.keyvault/vaults") {
        return Err(ApiError::new(
            400,
            "BadRequest",
            "The emulator answers queries about microsoft.keyvault/vaults only.",
        ));
    }
    let wanted = request.get("subscriptions").and_then(Value::as_array);
    let is_wanted = |vault: &Vault| {
        wanted.is_none_or(|ids| {
            ids.iter().any(|id| id.as_str().is_some_and(|id| id.eq_ignore_ascii_case(&vault.subscription_id)))
        })
    };
    let rows: Vec<Value> = world
        .vaults
        .iter()
        .filter(|vault| is_wanted(vault))
        .map(|vault| {
            let mut row = resource(world, vault);
            crate::state::set(&mut row, "subscriptionId", json!(vault.subscription_id));
            crate::state::set(&mut row, "resourceGroup", json!(vault.resource_group));
            crate::state::set(&mut row, "tenantId", json!(world.tokens.authority().tenant));
            row
        })
        .collect();
    Ok(Reply::ok(json!({ "totalRecords": rows.len(), "count": rows.len(), "resultTruncated": "false", "data": rows })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_whatever_their_case() {
        let parsed = parse(
            "GET",
            &["Subscriptions", "s", "resourcegroups", "RG", "providers", "Microsoft.KeyVault", "vaults", "V"],
        );
        assert_eq!(parsed, Some((Operation::ArmVault, Target::Vault { subscription: "s", group: "RG", name: "V" })));
        assert_eq!(
            parse("GET", &["subscriptions", "s", "locations"]).map(|(operation, _)| operation),
            Some(Operation::ArmLocations)
        );
        assert_eq!(parse("DELETE", &["subscriptions"]), None);
    }
}
