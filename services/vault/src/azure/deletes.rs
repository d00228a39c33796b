//! Deleting items, and reading those that are soft-deleted.

use azure_security_keyvault_certificates::models::{
    CertificateClientDeleteCertificateOptions, CertificateClientGetDeletedCertificateOptions,
};
use azure_security_keyvault_keys::models::{KeyClientDeleteKeyOptions, KeyClientGetDeletedKeyOptions};
use azure_security_keyvault_secrets::models::{SecretClientDeleteSecretOptions, SecretClientGetDeletedSecretOptions};
use proto_msgs::{CorrelationId, ItemName, ItemType, vault::DeletedMeta};

use super::{call::Call, client::AzureVault, failure, wire::Bundle};
use crate::{Answer, Operation, VaultError, WriteGate};

impl AzureVault {
    pub(super) async fn soft_delete(
        &self,
        kind: ItemType,
        name: &ItemName,
        gate: &WriteGate,
        correlation: CorrelationId,
    ) -> Result<Answer<DeletedMeta>, VaultError> {
        self.warm(kind, correlation).await?;
        let call = self.call(Operation::Delete, correlation, Some(gate));
        let (name, method_options) = (name.as_str(), call.options());
        let answer = match kind {
            ItemType::Secrets => {
                let options = SecretClientDeleteSecretOptions { method_options };
                call.make(self.secrets.delete_secret(name, Some(options))).await
            }
            ItemType::Certificates => {
                let options = CertificateClientDeleteCertificateOptions { method_options };
                call.make(self.certificates.delete_certificate(name, Some(options))).await
            }
            ItemType::Keys => {
                let options = KeyClientDeleteKeyOptions { method_options };
                call.make(self.keys.delete_key(name, Some(options))).await
            }
        };
        deleted(&call, answer?)
    }

    pub(super) async fn get_deleted(
        &self,
        kind: ItemType,
        name: &ItemName,
        correlation: CorrelationId,
    ) -> Result<Answer<DeletedMeta>, VaultError> {
        let call = self.call(Operation::ReadDeleted, correlation, None);
        let (name, method_options) = (name.as_str(), call.options());
        let answer = match kind {
            ItemType::Secrets => {
                let options = SecretClientGetDeletedSecretOptions { method_options };
                call.make(self.secrets.get_deleted_secret(name, Some(options))).await
            }
            ItemType::Certificates => {
                let options = CertificateClientGetDeletedCertificateOptions { method_options };
                call.make(self.certificates.get_deleted_certificate(name, Some(options))).await
            }
            ItemType::Keys => {
                let options = KeyClientGetDeletedKeyOptions { method_options };
                call.make(self.keys.get_deleted_key(name, Some(options))).await
            }
        };
        deleted(&call, answer?)
    }
}

fn deleted(call: &Call, answer: Answer<Bundle>) -> Result<Answer<DeletedMeta>, VaultError> {
    let meta = answer.value.deleted_meta().ok_or_else(|| failure::unreadable(call, answer.request_id.clone()))?;
    Ok(answer.map(|_| meta))
}
