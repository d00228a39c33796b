//! Looking vaults up.

use proto_msgs::{
    VaultRef,
    config::{DiscoveredVault, VaultByHand},
    vault::Side,
    worker::ResolveFailure,
};

use super::{Broken, Claim, Stage, correlation, holds, identity, stage};

pub async fn a_vault_is_found_by_its_name_with_all_that_is_known_of_it(stage: &dyn Stage) -> Claim {
    let found = identity(stage, "FROM-KV").await?;
    holds!(found.name == stage::FROM && found.uri.contains(stage::FROM) && !found.uri.ends_with('/'), "{found:?}");
    holds!(found.region.as_deref() == Some("westeurope"), "{found:?}");
    holds!(found.geography.as_deref() == Some("Europe"), "{found:?}");
    holds!(found.subscription.as_deref() == Some(stage::SUBSCRIPTION), "{found:?}");
    holds!(found.tenant == stage::TENANT && found.verified, "{found:?}");
    holds!(found.resource_id.as_ref().is_some_and(|id| id.ends_with(stage::FROM)), "{found:?}");
    Ok(())
}

pub async fn a_vault_that_nobody_sees_is_not_found(stage: &dyn Stage) -> Claim {
    let reference = VaultRef::Discovered(DiscoveredVault { vault: "nowhere-kv".to_owned() });
    let answer = stage.vaults().resolve(Side::Target, &reference, correlation()).await;
    holds!(matches!(answer, Err(ResolveFailure::NotFound { .. })), "{answer:?}");
    Ok(())
}

pub async fn a_vault_by_hand_is_taken_at_its_word_and_asked_for_its_tenant(stage: &dyn Stage) -> Claim {
    let known = identity(stage, stage::INTO).await?;
    let by_hand = VaultByHand {
        uri: format!("{}/", known.uri),
        subscription: stage::OTHER_SUBSCRIPTION.to_owned(),
        region: "atlantis".to_owned(),
    };
    let answer = stage.vaults().resolve(Side::Target, &VaultRef::ByHand(by_hand), correlation()).await;
    let found = answer.map_err(|failure| Broken::new(format!("{failure:?}")))?;
    holds!(found.name == stage::INTO && found.uri == known.uri && found.tenant == stage::TENANT, "{found:?}");
    holds!(found.subscription.as_deref() == Some(stage::OTHER_SUBSCRIPTION), "{found:?}");
    holds!(found.geography.is_none() && found.resource_id.is_none() && !found.verified, "{found:?}");
    Ok(())
}
