//! The contract's stage on the twin.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use proto_msgs::{
    ItemName, ItemType, Timestamp,
    vault::{Attributes, Side, VaultIdentity},
};
use tokio::time::Instant;

use super::{End, Fate, Format, MemoryAzure, NewCertificate, Owner};
use crate::{
    Operation, VaultErrorKind, Vaults,
    contract::{
        Broken, Claim, Failure, Stage,
        stage::{StageItem, StageVault, TENANT, VAULTS},
    },
};

/// When every stage begins.
pub(super) const START: i64 = 1_800_000_000;
const YEAR_S: i64 = 365 * 86_400;

pub(super) struct MemoryStage {
    pub azure: MemoryAzure,
    failing: Arc<Mutex<Option<(String, Operation, Failure)>>>,
}

impl MemoryStage {
    /// Needs a tokio runtime whose clock is paused.
    pub(super) fn new() -> Self {
        let azure = empty();
        for vault in VAULTS {
            azure.add_vault(identity(vault));
            let owner = azure.owner(vault.name);
            vault.items.iter().for_each(|item| seed(&owner, item));
            owner.set_shut(vault.is_shut);
            if vault.is_bare {
                [Side::Source, Side::Target].into_iter().for_each(|side| owner.revoke_all(side));
            }
        }
        let failing = Arc::new(Mutex::new(None::<(String, Operation, Failure)>));
        let azure = azure.with_fates({
            let failing = failing.clone();
            move |call| match &*failing.lock().unwrap() {
                Some((vault, operation, failure)) if *vault == call.vault && *operation == call.operation => {
                    Fate::ends(end(*failure))
                }
                Some(_) | None => Fate::FINE,
            }
        });
        Self { azure, failing }
    }
}

/// An Azure without vaults, on tokio's clock.
pub(super) fn empty() -> MemoryAzure {
    let started = Instant::now();
    let clock = move || Timestamp::from_unix_seconds(START).plus(started.elapsed());
    MemoryAzure::new(Arc::new(clock), 42)
}

pub(super) fn identity(vault: &StageVault) -> VaultIdentity {
    let StageVault { name, subscription, .. } = vault;
    VaultIdentity {
        name: (*name).to_owned(),
        uri: format!("https://{name}.vault.memory"),
        resource_id: Some(format!(
            "/subscriptions/{subscription}/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/{name}"
        )),
        subscription: Some((*subscription).to_owned()),
        region: Some(vault.region.to_owned()),
        geography: Some(vault.geography.to_owned()),
        tenant: TENANT.to_owned(),
        verified: true,
    }
}

pub(super) fn name(text: &str) -> ItemName {
    text.parse().unwrap()
}

fn seed(owner: &Owner, item: &StageItem) {
    let seconds = Timestamp::from_unix_seconds;
    let attributes = Attributes {
        enabled: item.enabled,
        not_before: item.times.map(|(from, _)| seconds(from)),
        expires: item.times.map(|(_, to)| seconds(to)),
        content_type: item.content_type.map(str::to_owned),
        tags: item.tag.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        key_operations: None,
    };
    for number in 1..=item.count {
        let name = name(&item.name.replace("{n}", &number.to_string()));
        for version in 1..=item.versions {
            match item.kind {
                ItemType::Secrets => {
                    let made_up = format!("{name}.{version}");
                    owner.set_secret(&name, item.value.unwrap_or(&made_up), attributes.clone()).unwrap();
                }
                ItemType::Keys => {
                    owner.make_key(&name, "EC", attributes.clone()).unwrap();
                }
                ItemType::Certificates if item.is_pending => owner.request_certificate(&name).unwrap(),
                ItemType::Certificates => {
                    let not_after = if item.is_expired { START - YEAR_S } else { START + YEAR_S };
                    let certificate = NewCertificate {
                        format: if item.is_pem { Format::Pem } else { Format::Pkcs12 },
                        exportable: item.is_exportable,
                        key_type: "EC".to_owned(),
                        not_before: seconds(START - 2 * YEAR_S),
                        not_after: seconds(not_after),
                        attributes: attributes.clone(),
                    };
                    owner.issue(&name, &certificate).unwrap();
                }
            }
        }
        if item.rotates {
            owner.set_rotates(&name, true).unwrap();
        }
        if item.is_deleted {
            owner.delete(item.kind, &name).unwrap();
        }
    }
}

fn end(failure: Failure) -> End {
    let refused = |kind, retry_after| End::Refused { kind, retry_after };
    match failure {
        Failure::Throttled(retry_after) => refused(VaultErrorKind::Throttled, retry_after),
        Failure::Unavailable => refused(VaultErrorKind::Transient, None),
        Failure::Unauthenticated => refused(VaultErrorKind::Unauthenticated, None),
        Failure::PolicyDenied => refused(VaultErrorKind::PolicyDenied, None),
        Failure::Lost => End::Lost,
        Failure::Hangs => End::Never,
    }
}

fn done(result: Result<(), VaultErrorKind>) -> Claim {
    result.map_err(|kind| Broken::new(format!("the owner was refused: {kind:?}")))
}

#[async_trait]
impl Stage for MemoryStage {
    fn vaults(&self) -> &dyn Vaults {
        &self.azure
    }

    async fn fail(&self, vault: &str, operation: Operation, failure: Failure) -> Claim {
        *self.failing.lock().unwrap() = Some((vault.to_owned(), operation, failure));
        Ok(())
    }

    async fn set_phase(&self, phase: Duration) -> Claim {
        self.azure.set_phase(phase);
        Ok(())
    }

    async fn begin_with_empty_pages(&self) -> Claim {
        self.azure.set_empty_first_pages(true);
        Ok(())
    }

    async fn recover(&self, vault: &str, kind: ItemType, item: &str) -> Claim {
        done(self.azure.owner(vault).recover(kind, &name(item)))
    }

    async fn purge(&self, vault: &str, kind: ItemType, item: &str) -> Claim {
        done(self.azure.owner(vault).purge(kind, &name(item)))
    }
}
