//! Opening vaults and looking them up, as the management plane and the vaults themselves would say.

use std::sync::Arc;

use async_trait::async_trait;
use proto_msgs::{
    CorrelationId, VaultRef,
    config::VaultByHand,
    vault::{Side, VaultIdentity},
    worker::{ResolveAnswer, ResolveFailure},
};

use super::{MemoryAzure, client::MemoryVault, fate::MemoryCall, state::State};
use crate::{Operation, Vault, VaultError, Vaults, regions};

#[async_trait]
impl Vaults for MemoryAzure {
    async fn open(&self, side: Side, vault: &VaultIdentity) -> Result<Arc<dyn Vault>, VaultError> {
        let (name, uri) = (vault.name.clone(), vault.uri.clone());
        Ok(Arc::new(MemoryVault { azure: self.clone(), side, name, uri }))
    }

    async fn resolve(&self, side: Side, reference: &VaultRef, _: CorrelationId) -> ResolveAnswer {
        let vault = match reference {
            VaultRef::Discovered(discovered) => discovered.vault.clone(),
            VaultRef::ByHand(by_hand) => by_hand.uri.clone(),
        };
        let call = MemoryCall { side, vault, operation: Operation::Resolve, kind: None, item: None };
        let looked = self.ask(&call, |state, _| match reference {
            VaultRef::Discovered(discovered) => {
                state.identify(side)?;
                Ok(discovered_vault(state, side, &discovered.vault))
            }
            VaultRef::ByHand(by_hand) => Ok(by_hand_vault(state, by_hand)),
        });
        match looked.await {
            Ok(answer) => answer.value,
            Err(error) => Err(ResolveFailure::Call { failure: error.failure() }),
        }
    }
}

fn discovered_vault(state: &State, side: Side, name: &str) -> ResolveAnswer {
    let visible = state.stores.values().filter(|store| store.access.is_visible(side));
    let mut found: Vec<_> = visible
        .map(|store| &store.identity)
        .filter(|identity| identity.name.eq_ignore_ascii_case(name))
        .cloned()
        .collect();
    match found.len() {
        0 => Err(ResolveFailure::NotFound { message: format!("no vault named {name} can be seen with this identity") }),
        1 => Ok(found.remove(0)),
        _ => Err(ResolveFailure::Ambiguous {
            candidates: found.into_iter().filter_map(|identity| identity.resource_id).collect(),
        }),
    }
}

/// The vault says whether it exists and in which tenant; the rest is taken on somebody's word.
fn by_hand_vault(state: &State, by_hand: &VaultByHand) -> ResolveAnswer {
    let uri = by_hand.uri.trim_end_matches('/');
    let store = state.stores.get(&uri.to_ascii_lowercase());
    let store = store.ok_or_else(|| ResolveFailure::NotFound { message: format!("{uri} cannot be reached") })?;
    Ok(VaultIdentity {
        name: store.identity.name.clone(),
        uri: uri.to_owned(),
        resource_id: None,
        subscription: Some(by_hand.subscription.clone()),
        region: Some(by_hand.region.clone()),
        geography: regions::geography(&by_hand.region).map(str::to_owned),
        tenant: store.identity.tenant.clone(),
        verified: false,
    })
}
