//! The management plane: subscriptions, locations, vaults, a caller's permissions, and the resource graph's list of vaults.
//!
//! An identity either may use it (`arm` in the estate, the default) and sees every subscription, or gets 403. Nothing
//! here changes anything.

mod graph;
mod versions;
mod views;

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::{
    auth::{Audience, Caller, bearer},
    counts::Ended,
    error::ApiError,
    faults::Sender,
    operation::Operation,
    routes::{
        Query, Reply, Request, Served, fault,
        page::{decode, encode, take},
    },
    vault::Vault,
    world::{Subscription, World},
};

/// What a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target<'a> {
    Subscriptions,
    Subscription(&'a str),
    Locations(&'a str),
    Vaults { subscription: &'a str, group: Option<&'a str> },
    Vault(VaultPath<'a>),
    Permissions(VaultPath<'a>),
    Graph,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct VaultPath<'a> {
    subscription: &'a str,
    group: &'a str,
    name: &'a str,
}

impl<'a> Target<'a> {
    fn parse(method: &str, segments: &[&'a str]) -> Option<Self> {
        let lower: Vec<String> = segments.iter().map(|segment| segment.to_ascii_lowercase()).collect();
        let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
        match (method, &*lower, segments) {
            ("POST", ["providers", "microsoft.resourcegraph", "resources"], _) => Some(Self::Graph),
            ("GET", ["subscriptions"], _) => Some(Self::Subscriptions),
            ("GET", ["subscriptions", _], [_, id]) => Some(Self::Subscription(id)),
            ("GET", ["subscriptions", _, "locations"], [_, id, _]) => Some(Self::Locations(id)),
            ("GET", ["subscriptions", _, "providers", "microsoft.keyvault", "vaults"], [_, subscription, ..]) => {
                Some(Self::Vaults { subscription, group: None })
            }
            (
                "GET",
                ["subscriptions", _, "resourcegroups", _, "providers", "microsoft.keyvault", "vaults", rest @ ..],
                [_, subscription, _, group, _, _, _, names @ ..],
            ) => match (rest, names) {
                ([], _) => Some(Self::Vaults { subscription, group: Some(group) }),
                ([_], [name]) => Some(Self::Vault(VaultPath { subscription, group, name })),
                ([_, "providers", "microsoft.authorization", "permissions"], [name, ..]) => {
                    Some(Self::Permissions(VaultPath { subscription, group, name }))
                }
                _ => None,
            },
            _ => None,
        }
    }

    const fn operation(&self) -> Operation {
        match self {
            Self::Subscriptions => Operation::ArmSubscriptions,
            Self::Subscription(_) => Operation::ArmSubscription,
            Self::Locations(_) => Operation::ArmLocations,
            Self::Vaults { .. } => Operation::ArmVaults,
            Self::Vault(_) => Operation::ArmVault,
            Self::Permissions(_) => Operation::ArmPermissions,
            Self::Graph => Operation::ArmResourceGraph,
        }
    }
}

/// Answers a request to `management.localhost`.
pub async fn serve(world: &World, request: &Request) -> Served {
    let Some(target) = Target::parse(request.method.as_str(), &request.segments()) else {
        let message = format!("{} {} is not served here.", request.method, request.path());
        return Served::Reply(ApiError::new(404, "InvalidResourceType", message).into());
    };
    let operation = target.operation();
    let token = bearer(request.authorization());
    let caller = token.and_then(|token| world.tokens.check(token, Audience::Management, world.clock.host()));
    let sender = if caller.is_ok() { Sender::Caller } else { Sender::Probe };
    let hit = world.faults.hit(sender, operation, "arm", "");
    let answer = async {
        match caller {
            Ok(caller) => authorised(world, request, caller, target).unwrap_or_else(Reply::from),
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

fn authorised(world: &World, request: &Request, caller: Caller, target: Target<'_>) -> Result<Reply, ApiError> {
    let query = request.query();
    let version = versions::check(&query, target.operation())?;
    if !world.identities.get(caller.identity).is_some_and(|identity| identity.arm) {
        let message = "The client does not have authorization to perform this action.";
        return Err(ApiError::new(403, "AuthorizationFailed", message));
    }
    let body = match target {
        Target::Graph => graph::answer(world, &request.body)?,
        Target::Subscriptions => {
            let list = world.subscriptions.iter().map(|subscription| views::subscription(world, subscription));
            let mut body = page(world, request, &query, list)?;
            let total = json!({ "type": "Total", "value": world.subscriptions.len() });
            crate::state::set(&mut body, "count", total);
            body
        }
        Target::Subscription(id) => views::subscription(world, find(world, id)?),
        Target::Locations(id) => views::locations(world, find(world, id)?, versions::has_geography(version)),
        Target::Vaults { subscription, group } => {
            let id = &find(world, subscription)?.id;
            let in_group = |vault: &Vault| group.is_none_or(|group| vault.is_in(group));
            let vaults = world.vaults.iter().filter(|vault| vault.subscription_id == *id && in_group(vault));
            page(world, request, &query, vaults.map(|vault| views::vault(world, vault)))?
        }
        Target::Vault(path) => views::vault(world, vault(world, path)?),
        Target::Permissions(path) => views::permissions(vault(world, path)?, caller),
    };
    Ok(Reply::ok(body))
}

/// One page of a list, with a link to the next if there is more.
fn page(world: &World, request: &Request, query: &Query, list: impl Iterator<Item = Value>) -> Result<Value, ApiError> {
    let largest = world.knobs.arm_page_size.load(Ordering::Relaxed);
    let top = query.get("$top").and_then(|top| top.parse().ok()).unwrap_or(largest);
    let (entries, next) = slice(list, query.get("$skiptoken"), top.clamp(1, largest))?;
    let mut body = json!({ "value": entries });
    if let Some(next) = next {
        let (base, path) = (world.tokens.authority().resource(Audience::Management), request.path());
        let version = query.get("api-version").unwrap_or_default();
        let top = query.get("$top").map(|top| format!("&$top={top}")).unwrap_or_default();
        let link = format!("{base}{path}?api-version={version}&$skiptoken={next}{top}");
        crate::state::set(&mut body, "nextLink", json!(link));
    }
    Ok(body)
}

/// So many entries from where a token says, and the token for what comes after. The lists never change.
fn slice<T>(
    list: impl Iterator<Item = T>,
    token: Option<&str>,
    size: usize,
) -> Result<(Vec<T>, Option<String>), ApiError> {
    let invalid = || ApiError::new(400, "InvalidSkipToken", "The skip token is not valid.");
    let start = token.map(|token| decode(token).ok().and_then(|start| start.parse().ok()).ok_or_else(invalid));
    let list = list.enumerate().skip(start.transpose()?.unwrap_or(0));
    let (entries, next) = take(list.map(|(place, entry)| ((place + 1).to_string(), entry)), size);
    Ok((entries, next.as_deref().map(encode)))
}

fn find<'a>(world: &'a World, id: &str) -> Result<&'a Subscription, ApiError> {
    world.subscriptions.iter().find(|subscription| subscription.id.eq_ignore_ascii_case(id)).ok_or_else(|| {
        ApiError::new(404, "SubscriptionNotFound", format!("The subscription '{id}' could not be found."))
    })
}

fn vault<'a>(world: &'a World, path: VaultPath<'_>) -> Result<&'a Vault, ApiError> {
    let VaultPath { subscription, group, name } = path;
    let subscription = find(world, subscription)?;
    let found = world.vault(name).filter(|vault| vault.subscription_id == subscription.id && vault.is_in(group));
    found.map(std::sync::Arc::as_ref).ok_or_else(|| {
        let message =
            format!("The Resource 'Microsoft.KeyVault/vaults/{name}' under resource group '{group}' was not found.");
        ApiError::new(404, "ResourceNotFound", message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_whatever_their_case() {
        let parse = |method, path: &str| {
            let segments: Vec<&str> = path.split('/').collect();
            Target::parse(method, &segments).map(|target| format!("{target:?}"))
        };
        let vault = "Subscriptions/s/resourcegroups/RG/providers/Microsoft.KeyVault/vaults";
        let path = r#"VaultPath { subscription: "s", group: "RG", name: "V" }"#;
        assert_eq!(parse("GET", &format!("{vault}/V")), Some(format!("Vault({path})")));
        let permissions = format!("{vault}/V/providers/Microsoft.Authorization/permissions");
        assert_eq!(parse("GET", &permissions), Some(format!("Permissions({path})")));
        assert_eq!(parse("GET", vault), Some(r#"Vaults { subscription: "s", group: Some("RG") }"#.to_owned()));
        assert_eq!(parse("GET", "subscriptions/s/locations"), Some(r#"Locations("s")"#.to_owned()));
        assert_eq!(parse("DELETE", "subscriptions"), None);
        assert_eq!(parse("GET", &format!("{vault}/V/secrets")), None);
    }

    #[test]
    fn a_list_is_given_in_slices_without_loss() {
        let (mut all, mut token) = (Vec::new(), None);
        loop {
            let (entries, next) = slice(0..7, token.as_deref(), 3).unwrap();
            all.extend(entries);
            token = next;
            if token.is_none() {
                break;
            }
        }
        assert_eq!(all, (0..7).collect::<Vec<_>>());
        assert!(slice(0..7, Some("nonsense"), 3).is_err());
    }
}
