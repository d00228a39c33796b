//! One vault, opened with one identity.

use std::sync::Arc;

use azure_core::credentials::TokenCredential;
use azure_security_keyvault_certificates::{CertificateClient, CertificateClientOptions};
use azure_security_keyvault_keys::{KeyClient, KeyClientOptions};
use azure_security_keyvault_secrets::{SecretClient, SecretClientOptions};
use proto_msgs::{CorrelationId, ItemType, vault::Side, worker::Listing};
use tokio::sync::OnceCell;

use super::{call::Call, transport::Connection};
use crate::{Operation, Vault, VaultError, WriteGate};

/// The SDK's clients of one vault, made once and kept.
pub(super) struct AzureVault {
    pub side: Side,
    pub name: String,
    /// Host of the vault: the only one a continuation may point to.
    pub host: String,
    pub secrets: SecretClient,
    pub certificates: CertificateClient,
    pub keys: KeyClient,
    /// Whether a client has made its first request, by item type.
    warm: [OnceCell<()>; 3],
}

impl AzureVault {
    pub(super) fn new(
        side: Side,
        name: &str,
        uri: &str,
        credential: &Arc<dyn TokenCredential>,
        connection: &Connection,
    ) -> azure_core::Result<Self> {
        let secrets = SecretClientOptions { client_options: connection.options(), ..Default::default() };
        let certificates = CertificateClientOptions { client_options: connection.options(), ..Default::default() };
        let keys = KeyClientOptions { client_options: connection.options(), ..Default::default() };
        let host = url::Url::parse(uri).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
        Ok(Self {
            side,
            name: name.to_owned(),
            host,
            secrets: SecretClient::new(uri, credential.clone(), Some(secrets))?,
            certificates: CertificateClient::new(uri, credential.clone(), Some(certificates))?,
            keys: KeyClient::new(uri, credential.clone(), Some(keys))?,
            warm: Default::default(),
        })
    }

    pub(super) fn call(&self, operation: Operation, correlation: CorrelationId, gate: Option<&WriteGate>) -> Call {
        Call::new(self.side, &self.name, operation, correlation, gate)
    }

    /// Lets a client make its first request, which the SDK sends without body and without token, before a write would.
    ///
    /// A refusal is as good as an answer: by then the challenge was met.
    pub(super) async fn warm(&self, kind: ItemType, correlation: CorrelationId) -> Result<(), VaultError> {
        let cell = &self.warm[kind as usize];
        let warming = cell.get_or_try_init(|| async {
            match self.list(kind, Listing::Live, None, correlation).await {
                Err(error) if error.code() == proto_msgs::ErrorCode::TransientNetwork => Err(error),
                Ok(_) | Err(_) => Ok(()),
            }
        });
        warming.await.copied()
    }

    pub(super) fn is_warm(&self, kind: ItemType) {
        // Somebody may have been first.
        let _ = self.warm[kind as usize].set(());
    }
}
