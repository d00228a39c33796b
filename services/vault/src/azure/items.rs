//! Reads and writes of single items.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use azure_core::http::RequestContent;
use azure_security_keyvault_certificates::models::{
    CertificateAttributes, CertificateClientGetCertificateOptions, CertificateClientImportCertificateOptions,
    CertificateClientUpdateCertificatePropertiesOptions, CertificatePolicy as AzurePolicy, CurveName, IssuerParameters,
    KeyProperties, KeyType, SecretProperties, UpdateCertificatePropertiesParameters,
};
use azure_security_keyvault_keys::models::{
    KeyAttributes, KeyClientBackupKeyOptions, KeyClientGetKeyOptions, KeyClientGetKeyRotationPolicyOptions,
    KeyClientRestoreKeyOptions, KeyClientUpdateKeyPropertiesOptions, KeyOperation, UpdateKeyPropertiesParameters,
};
use azure_security_keyvault_secrets::models::{
    SecretAttributes, SecretClientGetSecretOptions, SecretClientSetSecretOptions,
    SecretClientUpdateSecretPropertiesOptions, UpdateSecretPropertiesParameters,
};
use proto_msgs::{
    CorrelationId, ItemName, ItemType, Timestamp, VersionId,
    vault::{Attributes, DeletedMeta, KeyRotation, SideState},
    worker::{InventoryPage, Listing},
};
use serde::{Serialize, de::IgnoredAny};
use time::OffsetDateTime;

use super::{
    call::Call,
    client::AzureVault,
    failure,
    wire::{Bundle, Policy, RotationPolicy},
};
use crate::{
    Answer, Certificate, CertificateImport, CertificateMaterial, CertificatePolicy, Key, Operation, Secret,
    SecretValue, Vault, VaultError, VersionMeta, WriteGate,
};

const PKCS12: &str = "application/x-pkcs12";

/// The bodies that carry a value are ours, not the SDK's: those own a copy of it.
#[derive(Serialize)]
struct SetSecret<'a> {
    value: &'a str,
    #[serde(rename = "contentType", skip_serializing_if = "Option::is_none")]
    content_type: Option<&'a str>,
    attributes: SecretAttributes,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
struct ImportCertificate<'a> {
    value: &'a str,
    policy: AzurePolicy,
    attributes: CertificateAttributes,
    #[serde(rename = "preserveCertOrder")]
    preserve_order: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
struct RestoreKey<'a> {
    value: &'a str,
}

#[async_trait]
impl Vault for AzureVault {
    async fn list(
        &self,
        kind: ItemType,
        listing: Listing,
        continuation: Option<String>,
        correlation: CorrelationId,
    ) -> Result<InventoryPage, VaultError> {
        self.list_page(kind, listing, continuation, correlation).await
    }

    async fn versions(
        &self,
        kind: ItemType,
        name: &ItemName,
        correlation: CorrelationId,
    ) -> Result<Answer<Vec<VersionMeta>>, VaultError> {
        self.list_versions(kind, name, correlation).await
    }

    async fn read_meta(
        &self,
        kind: ItemType,
        name: &ItemName,
        correlation: CorrelationId,
    ) -> Result<Answer<SideState>, VaultError> {
        let call = self.call(Operation::ReadMeta, correlation, None);
        let bundle = match kind {
            ItemType::Secrets => return self.secret_meta(name, correlation).await,
            ItemType::Certificates => self.get_certificate(&call, name).await,
            ItemType::Keys => self.get_key(&call, name).await,
        };
        Ok(bundle?.map(|bundle| bundle.state()))
    }

    async fn read_deleted(
        &self,
        kind: ItemType,
        name: &ItemName,
        correlation: CorrelationId,
    ) -> Result<Answer<DeletedMeta>, VaultError> {
        self.get_deleted(kind, name, correlation).await
    }

    async fn read_secret(
        &self,
        name: &ItemName,
        version: Option<&VersionId>,
        correlation: CorrelationId,
    ) -> Result<Answer<Secret>, VaultError> {
        let call = self.call(Operation::ReadSecret, correlation, None);
        Ok(self.get_secret(&call, name, version).await?.map(|(bundle, value)| Secret {
            state: bundle.state(),
            value,
            managed: bundle.managed.unwrap_or(false),
        }))
    }

    async fn write_secret(
        &self,
        name: &ItemName,
        value: &SecretValue,
        attributes: &Attributes,
        gate: &WriteGate,
        correlation: CorrelationId,
    ) -> Result<Answer<SideState>, VaultError> {
        self.warm(ItemType::Secrets, correlation).await?;
        let call = self.call(Operation::WriteSecret, correlation, Some(gate));
        let body = SetSecret {
            value: text(&call, value)?,
            content_type: attributes.content_type.as_deref(),
            attributes: secret_attributes(attributes),
            tags: &attributes.tags,
        };
        let options = SecretClientSetSecretOptions { method_options: call.options() };
        let content = valued(&call, &body)?;
        Ok(call
            .make::<Bundle, _, _>(self.secrets.set_secret(name.as_str(), content, Some(options)))
            .await?
            .map(|bundle| bundle.state()))
    }

    async fn read_certificate(
        &self,
        name: &ItemName,
        correlation: CorrelationId,
    ) -> Result<Answer<Certificate>, VaultError> {
        let call = self.call(Operation::ReadCertificate, correlation, None);
        let bundle = self.get_certificate(&call, name).await?;
        Ok(bundle.map(|bundle| Certificate { state: bundle.state(), policy: policy(bundle.policy.as_ref()) }))
    }

    async fn export_certificate(
        &self,
        name: &ItemName,
        version: Option<&VersionId>,
        correlation: CorrelationId,
    ) -> Result<Answer<CertificateMaterial>, VaultError> {
        let call = self.call(Operation::ExportCertificate, correlation, None);
        Ok(self.get_secret(&call, name, version).await?.map(|(bundle, value)| CertificateMaterial {
            content_type: bundle.content_type.unwrap_or_else(|| PKCS12.to_owned()),
            value,
        }))
    }

    async fn import_certificate(
        &self,
        name: &ItemName,
        import: &CertificateImport,
        gate: &WriteGate,
        correlation: CorrelationId,
    ) -> Result<Answer<SideState>, VaultError> {
        self.warm(ItemType::Certificates, correlation).await?;
        let call = self.call(Operation::ImportCertificate, correlation, Some(gate));
        let body = ImportCertificate {
            value: text(&call, &import.material.value)?,
            policy: azure_policy(import),
            attributes: certificate_attributes(&import.attributes),
            preserve_order: true,
            tags: &import.attributes.tags,
        };
        let options = CertificateClientImportCertificateOptions { method_options: call.options() };
        let content = valued(&call, &body)?;
        let request = self.certificates.import_certificate(name.as_str(), content, Some(options));
        Ok(call.make::<Bundle, _, _>(request).await?.map(|bundle| bundle.state()))
    }

    async fn read_key(&self, name: &ItemName, correlation: CorrelationId) -> Result<Answer<Key>, VaultError> {
        let call = self.call(Operation::ReadKey, correlation, None);
        let bundle = self.get_key(&call, name).await?;
        Ok(bundle.map(|bundle| Key {
            state: bundle.state(),
            key_type: bundle.key.as_ref().and_then(|key| key.kty.clone()),
            managed: bundle.managed.unwrap_or(false),
        }))
    }

    async fn read_rotation(
        &self,
        name: &ItemName,
        correlation: CorrelationId,
    ) -> Result<Answer<KeyRotation>, VaultError> {
        let call = self.call(Operation::ReadRotation, correlation, None);
        let options = KeyClientGetKeyRotationPolicyOptions { method_options: call.options() };
        let policy = self.keys.get_key_rotation_policy(name.as_str(), Some(options));
        Ok(call.make::<RotationPolicy, _, _>(policy).await?.map(|policy| policy.rotation()))
    }

    async fn backup_key(&self, name: &ItemName, correlation: CorrelationId) -> Result<Answer<SecretValue>, VaultError> {
        let call = self.call(Operation::BackupKey, correlation, None);
        let options = KeyClientBackupKeyOptions { method_options: call.options() };
        let backup = self.keys.backup_key(name.as_str(), Some(options));
        Ok(call.make_with_value::<IgnoredAny, _, _>(backup).await?.map(|(_, blob)| blob))
    }

    async fn restore_key(
        &self,
        backup: &SecretValue,
        gate: &WriteGate,
        correlation: CorrelationId,
    ) -> Result<Answer<SideState>, VaultError> {
        self.warm(ItemType::Keys, correlation).await?;
        let call = self.call(Operation::RestoreKey, correlation, Some(gate));
        let options = KeyClientRestoreKeyOptions { method_options: call.options() };
        let content = valued(&call, &RestoreKey { value: text(&call, backup)? })?;
        Ok(call.make::<Bundle, _, _>(self.keys.restore_key(content, Some(options))).await?.map(|bundle| bundle.state()))
    }

    async fn update(
        &self,
        kind: ItemType,
        name: &ItemName,
        attributes: &Attributes,
        gate: &WriteGate,
        correlation: CorrelationId,
    ) -> Result<Answer<SideState>, VaultError> {
        self.warm(kind, correlation).await?;
        let call = self.call(Operation::Update, correlation, Some(gate));
        let (method_options, name, tags) = (call.options(), name.as_str(), Some(tags(attributes)));
        let bundle: Answer<Bundle> = match kind {
            ItemType::Secrets => {
                let parameters = UpdateSecretPropertiesParameters {
                    content_type: attributes.content_type.clone(),
                    secret_attributes: Some(secret_attributes(attributes)),
                    tags,
                };
                let options = SecretClientUpdateSecretPropertiesOptions { method_options, ..Default::default() };
                let content = content(&call, parameters)?;
                call.make(self.secrets.update_secret_properties(name, content, Some(options))).await?
            }
            ItemType::Certificates => {
                let certificate_attributes = Some(certificate_attributes(attributes));
                let parameters =
                    UpdateCertificatePropertiesParameters { certificate_attributes, tags, ..Default::default() };
                let options =
                    CertificateClientUpdateCertificatePropertiesOptions { method_options, ..Default::default() };
                let content = content(&call, parameters)?;
                call.make(self.certificates.update_certificate_properties(name, content, Some(options))).await?
            }
            ItemType::Keys => {
                let parameters = UpdateKeyPropertiesParameters {
                    key_attributes: Some(key_attributes(attributes)),
                    key_ops: attributes
                        .key_operations
                        .as_ref()
                        .map(|all| all.iter().map(|name| operation(name)).collect()),
                    tags,
                    ..Default::default()
                };
                let options = KeyClientUpdateKeyPropertiesOptions { method_options, ..Default::default() };
                let content = content(&call, parameters)?;
                call.make(self.keys.update_key_properties(name, content, Some(options))).await?
            }
        };
        Ok(bundle.map(|bundle| bundle.state()))
    }

    async fn delete(
        &self,
        kind: ItemType,
        name: &ItemName,
        gate: &WriteGate,
        correlation: CorrelationId,
    ) -> Result<Answer<DeletedMeta>, VaultError> {
        self.soft_delete(kind, name, gate, correlation).await
    }
}

impl AzureVault {
    async fn get_certificate(&self, call: &Call, name: &ItemName) -> Result<Answer<Bundle>, VaultError> {
        let options = CertificateClientGetCertificateOptions { method_options: call.options(), ..Default::default() };
        call.make(self.certificates.get_certificate(name.as_str(), Some(options))).await
    }

    async fn get_key(&self, call: &Call, name: &ItemName) -> Result<Answer<Bundle>, VaultError> {
        let options = KeyClientGetKeyOptions { method_options: call.options(), ..Default::default() };
        call.make(self.keys.get_key(name.as_str(), Some(options))).await
    }

    async fn get_secret(
        &self,
        call: &Call,
        name: &ItemName,
        version: Option<&VersionId>,
    ) -> Result<Answer<(Bundle, SecretValue)>, VaultError> {
        let options = SecretClientGetSecretOptions {
            method_options: call.options(),
            secret_version: version.map(|version| version.as_str().to_owned()),
            ..Default::default()
        };
        call.make_with_value(self.secrets.get_secret(name.as_str(), Some(options))).await
    }
}

/// A body with a value, in a buffer that is wiped.
fn valued<T>(call: &Call, body: &impl Serialize) -> Result<RequestContent<T>, VaultError> {
    super::body::content(body).map_err(|_| failure::unsendable(call, "the request cannot be written as JSON"))
}

fn text<'a>(call: &Call, value: &'a SecretValue) -> Result<&'a str, VaultError> {
    value.expose_text().ok_or_else(|| failure::unsendable(call, "the value is not UTF-8 text"))
}

fn content<T>(call: &Call, parameters: T) -> Result<RequestContent<T>, VaultError>
where
    RequestContent<T>: TryFrom<T, Error = azure_core::Error>,
{
    parameters.try_into().map_err(|error| failure::of(call, &error))
}

fn tags(attributes: &Attributes) -> HashMap<String, String> {
    attributes.tags.clone().into_iter().collect()
}

fn date(time: Option<Timestamp>) -> Option<OffsetDateTime> {
    time.and_then(|time| OffsetDateTime::from_unix_timestamp(time.unix_seconds()).ok())
}

fn secret_attributes(attributes: &Attributes) -> SecretAttributes {
    SecretAttributes {
        enabled: Some(attributes.enabled),
        not_before: date(attributes.not_before),
        expires: date(attributes.expires),
        ..Default::default()
    }
}

fn operation(name: &str) -> KeyOperation {
    let Ok(operation) = name.parse();
    operation
}

fn key_attributes(attributes: &Attributes) -> KeyAttributes {
    KeyAttributes {
        enabled: Some(attributes.enabled),
        not_before: date(attributes.not_before),
        expires: date(attributes.expires),
        ..Default::default()
    }
}

/// A certificate's times are inside it.
fn certificate_attributes(attributes: &Attributes) -> CertificateAttributes {
    CertificateAttributes { enabled: Some(attributes.enabled), ..Default::default() }
}

fn policy(policy: Option<&Policy>) -> CertificatePolicy {
    let key = policy.and_then(|policy| policy.key_props.as_ref());
    CertificatePolicy {
        exportable: key.and_then(|key| key.exportable).unwrap_or(true),
        reuse_key: key.and_then(|key| key.reuse_key).unwrap_or(false),
        key_type: key.and_then(|key| key.kty.clone()),
        key_size: key.and_then(|key| key.key_size),
        curve: key.and_then(|key| key.crv.clone()),
        content_type: policy.and_then(|policy| policy.secret_props.as_ref()?.content_type.clone()),
    }
}

/// Issuer `Unknown`: the target must never try to renew what it only holds a copy of.
fn azure_policy(import: &CertificateImport) -> AzurePolicy {
    let policy = &import.policy;
    AzurePolicy {
        issuer_parameters: Some(IssuerParameters { name: Some("Unknown".to_owned()), ..Default::default() }),
        key_properties: Some(KeyProperties {
            exportable: Some(policy.exportable),
            reuse_key: Some(policy.reuse_key),
            key_type: policy.key_type.as_deref().and_then(|text| text.parse::<KeyType>().ok()),
            key_size: policy.key_size,
            curve: policy.curve.as_deref().and_then(|text| text.parse::<CurveName>().ok()),
        }),
        secret_properties: Some(SecretProperties { content_type: Some(import.material.content_type.clone()) }),
        ..Default::default()
    }
}
