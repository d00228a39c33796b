//! Who a worker is to Azure: one credential per side, out of settings.

use std::{fs, sync::Arc, time::Duration};

use azure_core::{
    cloud::{CloudConfiguration, CustomConfiguration},
    credentials::{Secret, TokenCredential},
    http::ClientOptions,
};
use azure_identity::{
    AzureCliCredential, AzureCliCredentialOptions, AzureDeveloperCliCredential, AzureDeveloperCliCredentialOptions,
    ClientAssertionCredential, ClientAssertionCredentialOptions, ClientSecretCredential, ClientSecretCredentialOptions,
    ManagedIdentityCredential, ManagedIdentityCredentialOptions, UserAssignedId, WorkloadIdentityCredential,
    WorkloadIdentityCredentialOptions,
};
use proto_msgs::vault::Side;
use zeroize::Zeroizing;

use super::{
    certificate::CertificateAssertion,
    settings::{AzureSettings, IdentityKind, IdentitySettings, SettingsError},
    tokens::{Member, Tokens},
    transport::Connection,
};

/// In the order in which a chain asks them.
const CHAIN: [IdentityKind; 6] = [
    IdentityKind::WorkloadIdentity,
    IdentityKind::ManagedIdentity,
    IdentityKind::ClientSecret,
    IdentityKind::ClientCertificate,
    IdentityKind::AzureCli,
    IdentityKind::AzureDeveloperCli,
];
/// How long a chain waits for a managed identity, which a machine outside Azure does not have: there, nothing answers.
const MANAGED_IDENTITY_PATIENCE: Duration = Duration::from_secs(2);
const PUBLIC_AUTHORITY: &str = "https://login.microsoftonline.com";

/// The credential of one side.
pub(super) fn credential(
    side: Side,
    settings: &AzureSettings,
    connection: &Connection,
) -> Result<Arc<dyn TokenCredential>, SettingsError> {
    let identity = match side {
        Side::Source => &settings.source,
        Side::Target => &settings.target,
    };
    let maker = Maker::new(identity, settings, connection);
    let members = match identity.kind {
        IdentityKind::Chain => maker.chain()?,
        IdentityKind::WorkloadIdentity
        | IdentityKind::ManagedIdentity
        | IdentityKind::ClientSecret
        | IdentityKind::ClientCertificate
        | IdentityKind::AzureCli
        | IdentityKind::AzureDeveloperCli => vec![Member::new(maker.make(identity.kind)?)],
    };
    Ok(Arc::new(Tokens::new(members)))
}

/// Makes credentials out of one side's settings.
struct Maker<'a> {
    identity: &'a IdentitySettings,
    authority: String,
    options: ClientOptions,
    /// For the endpoint on the machine itself, which speaks plain HTTP.
    local: ClientOptions,
}

impl<'a> Maker<'a> {
    fn new(identity: &'a IdentitySettings, settings: &AzureSettings, connection: &Connection) -> Self {
        let environment = std::env::var("AZURE_AUTHORITY_HOST").ok();
        let authority = settings.authority_host.clone().or(environment).unwrap_or_else(|| PUBLIC_AUTHORITY.to_owned());
        let mut cloud = CustomConfiguration::default();
        cloud.authority_host.clone_from(&authority);
        let mut options = connection.token_options();
        options.cloud = Some(Arc::new(CloudConfiguration::Custom(cloud)));
        Self { identity, authority, options, local: connection.local_options() }
    }

    /// Every member that has what it needs. One that was set up wrongly is refused, not left out.
    fn chain(&self) -> Result<Vec<Member>, SettingsError> {
        let mut members = Vec::new();
        for kind in CHAIN {
            match kind {
                // Both say by their environment whether they are there.
                IdentityKind::WorkloadIdentity => members.extend(self.make(kind).ok().map(Member::new)),
                IdentityKind::ManagedIdentity => {
                    let patience = MANAGED_IDENTITY_PATIENCE;
                    members.extend(self.make(kind).ok().map(|member| Member::impatient(member, patience)));
                }
                IdentityKind::ClientSecret
                    if self.identity.secret_file.is_none() && self.identity.secret_env.is_none() => {}
                IdentityKind::ClientCertificate if self.identity.certificate_file.is_none() => {}
                IdentityKind::ClientSecret
                | IdentityKind::ClientCertificate
                | IdentityKind::AzureCli
                | IdentityKind::AzureDeveloperCli
                | IdentityKind::Chain => members.push(Member::new(self.make(kind)?)),
            }
        }
        Ok(members)
    }

    fn make(&self, kind: IdentityKind) -> Result<Arc<dyn TokenCredential>, SettingsError> {
        let refused =
            |name: &'static str| move |error: azure_core::Error| SettingsError::value(name, error.to_string());
        let identity = self.identity;
        Ok(match kind {
            IdentityKind::WorkloadIdentity => {
                let mut workload = WorkloadIdentityCredentialOptions::default();
                workload.credential_options.client_options = self.options.clone();
                workload.client_id.clone_from(&identity.client_id);
                workload.tenant_id.clone_from(&identity.tenant);
                WorkloadIdentityCredential::new(Some(workload)).map_err(refused("kind"))?
            }
            IdentityKind::ManagedIdentity => {
                let user_assigned_id = identity.client_id.clone().map(UserAssignedId::ClientId);
                let managed = ManagedIdentityCredentialOptions { user_assigned_id, client_options: self.local.clone() };
                ManagedIdentityCredential::new(Some(managed)).map_err(refused("kind"))?
            }
            IdentityKind::ClientSecret => {
                let (tenant, client) = self.client(kind)?;
                let options = ClientSecretCredentialOptions { client_options: self.options.clone() };
                ClientSecretCredential::new(&tenant, client, client_secret(identity)?, Some(options))
                    .map_err(refused("tenant"))?
            }
            IdentityKind::ClientCertificate => {
                let (tenant, client) = self.client(kind)?;
                let file = identity.certificate_file.as_deref().ok_or_else(|| {
                    SettingsError::value("certificate_file", "is needed for client_certificate: a PEM file")
                })?;
                let audience = format!("{}/{tenant}/oauth2/v2.0/token", self.authority.trim_end_matches('/'));
                let assertion = CertificateAssertion::read(file, audience, client.clone())?;
                let options = ClientAssertionCredentialOptions { client_options: self.options.clone() };
                ClientAssertionCredential::new(tenant, client, assertion, Some(options)).map_err(refused("tenant"))?
            }
            IdentityKind::AzureCli => {
                let options = AzureCliCredentialOptions { tenant_id: identity.tenant.clone(), ..Default::default() };
                AzureCliCredential::new(Some(options)).map_err(refused("tenant"))?
            }
            IdentityKind::AzureDeveloperCli => {
                let tenant_id = identity.tenant.clone();
                let options = AzureDeveloperCliCredentialOptions { tenant_id, ..Default::default() };
                AzureDeveloperCliCredential::new(Some(options)).map_err(refused("tenant"))?
            }
            IdentityKind::Chain => return Err(SettingsError::value("kind", "a chain has no chain in it")),
        })
    }

    /// Tenant and client id, which whoever proves who they are must say.
    fn client(&self, kind: IdentityKind) -> Result<(String, String), SettingsError> {
        let needed = |name: &'static str, value: &Option<String>| {
            value.clone().ok_or_else(|| SettingsError::value(name, format!("is needed for {}", kind.as_str())))
        };
        Ok((needed("tenant", &self.identity.tenant)?, needed("client_id", &self.identity.client_id)?))
    }
}

fn client_secret(identity: &IdentitySettings) -> Result<Secret, SettingsError> {
    let text = match (&identity.secret_file, &identity.secret_env) {
        (Some(file), _) => fs::read_to_string(file).map_err(|error| {
            SettingsError::value("secret_file", format!("{} cannot be read: {error}", file.display()))
        })?,
        (None, Some(name)) => std::env::var(name)
            .map_err(|_| SettingsError::value("secret_env", format!("the variable {name} is not set")))?,
        (None, None) => {
            return Err(SettingsError::value("secret_file", "give secret_file or secret_env for client_secret"));
        }
    };
    let text = Zeroizing::new(text);
    Ok(Secret::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(identity: IdentitySettings) -> String {
        let settings = AzureSettings { source: identity, ..AzureSettings::default() };
        let connection = Connection::new(&settings).unwrap();
        let made = credential(Side::Source, &settings, &connection);
        made.err().map(|error| error.to_string()).unwrap_or_default()
    }

    fn client(kind: IdentityKind) -> IdentitySettings {
        let (tenant, client_id) = (Some("5f0c".to_owned()), Some("aa".to_owned()));
        IdentitySettings { kind, tenant, client_id, ..IdentitySettings::default() }
    }

    fn file(text: &str) -> (tempfile::TempDir, Option<std::path::PathBuf>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, text).unwrap();
        (folder, Some(path))
    }

    #[test]
    fn what_an_identity_lacks_is_named() {
        for (identity, named) in [
            (client(IdentityKind::ClientSecret), "azure.secret_file"),
            (client(IdentityKind::ClientCertificate), "azure.certificate_file"),
            (IdentitySettings { tenant: None, ..client(IdentityKind::ClientCertificate) }, "azure.tenant"),
            (IdentitySettings { client_id: None, ..client(IdentityKind::ClientSecret) }, "azure.client_id"),
            (client(IdentityKind::WorkloadIdentity), "azure.kind"),
        ] {
            let refused = refusal(identity.clone());
            assert!(refused.contains(named), "{identity:?}: {refused}");
        }
    }

    #[test]
    fn a_certificate_that_cannot_be_used_is_refused_with_its_fix() {
        const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for (text, said) in [
            ("nonsense".to_owned(), "no certificate in PEM"),
            (CERTIFICATE.to_owned(), "no private key in PEM"),
            (format!("{CERTIFICATE}-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n"), "not RSA"),
            (format!("{CERTIFICATE}-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), "cannot be used"),
        ] {
            let (_folder, certificate_file) = file(&text);
            let refused = refusal(IdentitySettings { certificate_file, ..client(IdentityKind::ClientCertificate) });
            assert!(refused.contains(said), "{text}: {refused}");
        }
    }

    #[test]
    fn a_chain_leaves_out_what_was_not_set_up_and_refuses_what_was_set_up_wrongly() {
        assert_eq!(refusal(IdentitySettings::default()), "");
        let missing = Some(std::path::PathBuf::from("/nowhere/secret"));
        let (_folder, nonsense) = file("nonsense");
        for (identity, named) in [
            (IdentitySettings { secret_file: missing, ..client(IdentityKind::Chain) }, "azure.secret_file"),
            (IdentitySettings { certificate_file: nonsense, ..client(IdentityKind::Chain) }, "azure.certificate_file"),
        ] {
            let refused = refusal(identity);
            assert!(refused.contains(named), "{refused}");
        }
    }

    #[test]
    fn every_kind_is_written_as_it_is_read() {
        for kind in CHAIN.into_iter().chain([IdentityKind::Chain]) {
            let read: IdentityKind = serde_json::from_value(serde_json::json!(kind.as_str())).unwrap();
            assert_eq!(read, kind);
        }
    }
}
