//! Every vault a worker has opened, each side with its own identity.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use azure_core::credentials::TokenCredential;
use proto_msgs::{
    CorrelationId, VaultRef,
    vault::{Side, VaultIdentity},
    worker::ResolveAnswer,
};

use super::{
    arm::Arm,
    call::Call,
    client::AzureVault,
    failure, identity, resolve,
    settings::{AzureSettings, SettingsError},
    transport::Connection,
};
use crate::{Operation, Vault, VaultError, Vaults};

/// Vaults of one worker. Clients are kept as long as the worker lives: their number is that of the vaults in use.
pub struct AzureVaults {
    pub(super) settings: AzureSettings,
    pub(super) connection: Connection,
    pub(super) arm: Arm,
    credentials: [Arc<dyn TokenCredential>; 2],
    open: Mutex<HashMap<(Side, String), Arc<AzureVault>>>,
}

impl AzureVaults {
    pub fn new(settings: AzureSettings) -> Result<Self, SettingsError> {
        let connection = Connection::new(&settings)?;
        let source = identity::credential(Side::Source, &settings, &connection)?;
        let target = identity::credential(Side::Target, &settings, &connection)?;
        let arm = Arm::new(&settings, &connection)?;
        Ok(Self { settings, connection, arm, credentials: [source, target], open: Mutex::default() })
    }

    pub(super) fn credential(&self, side: Side) -> &Arc<dyn TokenCredential> {
        match side {
            Side::Source => &self.credentials[0],
            Side::Target => &self.credentials[1],
        }
    }
}

#[async_trait]
impl Vaults for AzureVaults {
    async fn open(&self, side: Side, vault: &VaultIdentity) -> Result<Arc<dyn Vault>, VaultError> {
        let key = (side, vault.uri.to_ascii_lowercase());
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = open.get(&key) {
            return Ok(client.clone());
        }
        let made = AzureVault::new(side, &vault.name, &vault.uri, self.credential(side), &self.connection);
        let client = Arc::new(made.map_err(|error| {
            let call = Call::new(side, &vault.name, Operation::Resolve, CorrelationId::from_random(0), None);
            failure::of(&call, &error)
        })?);
        open.insert(key, client.clone());
        Ok(client)
    }

    async fn resolve(&self, side: Side, reference: &VaultRef, correlation: CorrelationId) -> ResolveAnswer {
        resolve::resolve(self, side, reference, correlation).await
    }
}
