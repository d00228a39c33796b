//! Listings, page by page.

use azure_core::http::pager::{PagerContinuation, PagerOptions};
use azure_security_keyvault_certificates::models::{
    CertificateClientListCertificatePropertiesOptions, CertificateClientListCertificatePropertiesVersionsOptions,
    CertificateClientListDeletedCertificatePropertiesOptions,
};
use azure_security_keyvault_keys::models::{
    KeyClientListDeletedKeyPropertiesOptions, KeyClientListKeyPropertiesOptions,
    KeyClientListKeyPropertiesVersionsOptions,
};
use azure_security_keyvault_secrets::models::{
    SecretClientListDeletedSecretPropertiesOptions, SecretClientListSecretPropertiesOptions,
    SecretClientListSecretPropertiesVersionsOptions,
};
use futures::StreamExt;
use proto_msgs::{
    CorrelationId, ItemName, ItemType, Timestamp,
    vault::SideState,
    worker::{InventoryPage, Listing},
};
use url::Url;

use super::{
    call::Call,
    client::AzureVault,
    failure,
    wire::{Bundle, Page},
};
use crate::{Answer, Operation, VaultError, VaultErrorKind, VersionMeta};

/// Most versions that are listed of one item: a hundred pages. Backups end at 500.
const VERSIONS_MAX: usize = 2_500;

/// The next page of a pager, as an answer.
macro_rules! next_page {
    ($call:expr, $pager:expr) => {{
        let pager = $pager.map_err(|error| failure::of($call, &error))?;
        $call
            .make::<Page, _, _>(async move {
                let mut pages = pager.into_pages();
                pages.next().await.ok_or_else(|| {
                    azure_core::Error::with_message(azure_core::error::ErrorKind::Other, "the pager had no page")
                })?
            })
            .await
    }};
}

impl AzureVault {
    pub(super) async fn list_page(
        &self,
        kind: ItemType,
        listing: Listing,
        continuation: Option<String>,
        correlation: CorrelationId,
    ) -> Result<InventoryPage, VaultError> {
        let call = self.call(Operation::List, correlation, None);
        let method_options = self.paging(&call, continuation)?;
        let answer = match (kind, listing) {
            (ItemType::Secrets, Listing::Live) => {
                let options = SecretClientListSecretPropertiesOptions { method_options, ..Default::default() };
                next_page!(&call, self.secrets.list_secret_properties(Some(options)))
            }
            (ItemType::Secrets, Listing::Deleted) => {
                let options = SecretClientListDeletedSecretPropertiesOptions { method_options, ..Default::default() };
                next_page!(&call, self.secrets.list_deleted_secret_properties(Some(options)))
            }
            (ItemType::Certificates, Listing::Live) => {
                let options = CertificateClientListCertificatePropertiesOptions {
                    method_options,
                    include_pending: Some(true),
                    ..Default::default()
                };
                next_page!(&call, self.certificates.list_certificate_properties(Some(options)))
            }
            (ItemType::Certificates, Listing::Deleted) => {
                let options = CertificateClientListDeletedCertificatePropertiesOptions {
                    method_options,
                    include_pending: Some(true),
                    ..Default::default()
                };
                next_page!(&call, self.certificates.list_deleted_certificate_properties(Some(options)))
            }
            (ItemType::Keys, Listing::Live) => {
                let options = KeyClientListKeyPropertiesOptions { method_options, ..Default::default() };
                next_page!(&call, self.keys.list_key_properties(Some(options)))
            }
            (ItemType::Keys, Listing::Deleted) => {
                let options = KeyClientListDeletedKeyPropertiesOptions { method_options, ..Default::default() };
                next_page!(&call, self.keys.list_deleted_key_properties(Some(options)))
            }
        }?;
        self.is_warm(kind);
        page(&call, listing, answer)
    }

    pub(super) async fn list_versions(
        &self,
        kind: ItemType,
        name: &ItemName,
        correlation: CorrelationId,
    ) -> Result<Answer<Vec<VersionMeta>>, VaultError> {
        let call = self.call(Operation::ListVersions, correlation, None);
        let listed = match self.all_versions(&call, kind, name).await {
            Ok(answer) => answer.map(|bundles| bundles.iter().filter_map(version).collect()),
            // Said in two ways: by an empty listing, and by this.
            Err(error) if error.kind == VaultErrorKind::NotFound => {
                let date = Timestamp::default();
                Answer { value: Vec::new(), date, request_id: error.azure_request_id }
            }
            Err(error) => return Err(error),
        };
        Ok(listed)
    }

    /// A secret's metadata, by its versions: a read of the secret itself would bring the value.
    pub(super) async fn secret_meta(
        &self,
        name: &ItemName,
        correlation: CorrelationId,
    ) -> Result<Answer<SideState>, VaultError> {
        let call = self.call(Operation::ReadMeta, correlation, None);
        let answer = self.all_versions(&call, ItemType::Secrets, name).await?;
        let newest = newest(&answer.value).ok_or_else(|| failure::not_found(&call, answer.request_id.clone()))?;
        Ok(answer.map(|_| newest))
    }

    /// All versions of an item, oldest first.
    async fn all_versions(
        &self,
        call: &Call,
        kind: ItemType,
        name: &ItemName,
    ) -> Result<Answer<Vec<Bundle>>, VaultError> {
        let (mut versions, mut continuation) = (Vec::new(), None);
        loop {
            let method_options = self.paging(call, continuation)?;
            let name = name.as_str();
            let answer = match kind {
                ItemType::Secrets => {
                    let options =
                        SecretClientListSecretPropertiesVersionsOptions { method_options, ..Default::default() };
                    next_page!(call, self.secrets.list_secret_properties_versions(name, Some(options)))
                }
                ItemType::Certificates => {
                    let options = CertificateClientListCertificatePropertiesVersionsOptions {
                        method_options,
                        ..Default::default()
                    };
                    next_page!(call, self.certificates.list_certificate_properties_versions(name, Some(options)))
                }
                ItemType::Keys => {
                    let options = KeyClientListKeyPropertiesVersionsOptions { method_options, ..Default::default() };
                    next_page!(call, self.keys.list_key_properties_versions(name, Some(options)))
                }
            }?;
            versions.extend(answer.value.value);
            continuation = answer.value.next_link.filter(|link| !link.is_empty());
            if continuation.is_none() || versions.len() >= VERSIONS_MAX {
                versions.sort_by_key(|bundle| bundle.attributes.created);
                return Ok(Answer { value: versions, date: answer.date, request_id: answer.request_id });
            }
        }
    }

    /// Goes on only where the vault itself is: a continuation is followed with the token.
    fn paging(&self, call: &Call, continuation: Option<String>) -> Result<PagerOptions<'static>, VaultError> {
        let continuation = continuation.map(|link| self.own_link(call, &link)).transpose()?;
        Ok(PagerOptions { context: call.context(), continuation: continuation.map(PagerContinuation::Link) })
    }

    fn own_link(&self, call: &Call, link: &str) -> Result<Url, VaultError> {
        match Url::parse(link) {
            Ok(url) if url.scheme() == "https" && url.host_str() == Some(self.host.as_str()) => Ok(url),
            Ok(_) | Err(_) => Err(VaultError {
                kind: VaultErrorKind::Unknown,
                message: "the listing goes on at another host, which is not followed".to_owned(),
                ..failure::unreadable(call, None)
            }),
        }
    }
}

fn page(call: &Call, listing: Listing, answer: Answer<Page>) -> Result<InventoryPage, VaultError> {
    let unreadable = || failure::unreadable(call, answer.request_id.clone());
    let mut page = InventoryPage {
        live: Vec::new(),
        deleted: Vec::new(),
        next: answer.value.next_link.filter(|link| !link.is_empty()),
        read_at: answer.date,
    };
    for bundle in &answer.value.value {
        match listing {
            Listing::Live => page.live.push(bundle.meta().ok_or_else(unreadable)?),
            Listing::Deleted => page.deleted.push(bundle.deleted_meta().ok_or_else(unreadable)?),
        }
    }
    Ok(page)
}

fn version(bundle: &Bundle) -> Option<VersionMeta> {
    Some(VersionMeta {
        version: bundle.version()?,
        created: bundle.attributes.created.map(Timestamp::from_unix_seconds),
        updated: bundle.attributes.updated.map(Timestamp::from_unix_seconds),
        enabled: bundle.attributes.enabled.unwrap_or(true),
    })
}

/// The newest version; unnamed if the second it was made in made another, because nothing tells those apart.
fn newest(oldest_first: &[Bundle]) -> Option<SideState> {
    let (newest, older) = oldest_first.split_last()?;
    let is_alone = older.last().is_none_or(|other| other.attributes.created != newest.attributes.created);
    let state = newest.state();
    Some(SideState { version: state.version.filter(|_| is_alone), ..state })
}
