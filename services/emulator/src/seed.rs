//! From the estate's lists to items in vaults.
//!
//! Slow where RSA keys are made, so it runs away from the threads that answer.

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::{
    crypto::{Chain, IssueSpec, facts, request},
    error::{ApiError, EmulatorError},
    estate::{CertificateSpec, EstateError, Format, Items, KeySpec, Moment as At, SecretSpec, expand},
    keyspec,
    state::{
        VaultState,
        attributes::{AttributesPatch, Protection},
        certificates::{CertificateItem, CertificateVersion, Pending},
        collection::{Kind, Moment},
        keys::{self, KeyBody, KeyItem, KeyVersion},
        policy::{Issuer, KeyProps, PEM, PKCS12, Policy, Sans, SecretProps, X509Props},
        rotation::Rotation,
        secrets::{SecretItem, SecretVersion, SetSecret},
        validate::Tags,
    },
};

/// How long a certificate lives if the estate does not say.
const CERTIFICATE_LIFE_S: i64 = 365 * 86_400;

/// The items of one vault, all made `now`, in seconds since 1970.
pub fn items(vault: &str, items: &Items, now: i64, protection: Protection) -> Result<VaultState, EmulatorError> {
    let at = Moment { now_ms: now * 1_000, phase_ms: 0, protection };
    let mut state = VaultState::default();
    let failed = |name: &str, error: ApiError| {
        EmulatorError::Estate(EstateError::Invalid { place: format!("vault {vault}, {name}"), message: error.message })
    };
    for spec in &items.secrets {
        secrets(&mut state, spec, at).map_err(|error| failed(&spec.name, error))?;
    }
    for spec in &items.keys {
        self::keys(&mut state, spec, at).map_err(|error| failed(&spec.name, error))?;
    }
    for spec in &items.certificates {
        certificates(&mut state, spec, at).map_err(|error| failed(&spec.name, error))?;
    }
    Ok(state)
}

fn patch(enabled: bool, not_before: Option<&At>, expires: Option<&At>) -> AttributesPatch {
    let seconds = |at: Option<&At>| at.and_then(At::seconds);
    AttributesPatch { enabled: Some(enabled), nbf: seconds(not_before), exp: seconds(expires) }
}

fn tags(tags: &Tags) -> Option<Tags> {
    (!tags.is_empty()).then(|| tags.clone())
}

/// When a version was made: each a second after the one before, the newest now.
fn made(at: Moment, version: u32, versions: u32) -> i64 {
    at.now() - i64::from(versions - version)
}

fn secrets(state: &mut VaultState, spec: &SecretSpec, at: Moment) -> Result<(), ApiError> {
    for (place, name) in expand(&spec.name, spec.count).into_iter().enumerate() {
        // Only in an entry with a count does `{n}` stand for anything.
        let numbered = |text: &String| match spec.count {
            Some(_) => text.replace("{n}", &(place + 1).to_string()),
            None => text.clone(),
        };
        let versions = (1..=spec.versions).map(|version| {
            let value = match &spec.value {
                Some(value) => numbered(value),
                None => format!("{name}.{version}.{}", hex::encode(rand::random::<[u8; 8]>())),
            };
            let set = SetSecret {
                value,
                content_type: spec.content_type.as_ref().map(numbered),
                attributes: Some(patch(spec.enabled, spec.not_before.as_ref(), spec.expires.as_ref())),
                tags: tags(&spec.tags),
            };
            SecretVersion::new(set, made(at, version, spec.versions))
        });
        state.secrets.insert(&name, SecretItem { name: name.clone(), versions: versions.collect() });
        if spec.deleted {
            state.delete(Kind::Secret, &name, at)?;
        }
    }
    Ok(())
}

fn keys(state: &mut VaultState, spec: &KeySpec, at: Moment) -> Result<(), ApiError> {
    let shape = keyspec::parse(&spec.kind, spec.size, spec.curve.as_deref())?;
    for name in expand(&spec.name, spec.count) {
        let mut versions = Vec::new();
        for version in 1..=spec.versions {
            let body = KeyBody {
                kty: None,
                key_size: None,
                crv: None,
                key_ops: spec.operations.clone(),
                key: None,
                hsm: None,
                attributes: Some(patch(spec.enabled, spec.not_before.as_ref(), spec.expires.as_ref())),
                tags: tags(&spec.tags),
            };
            body.check()?;
            let made = made(at, version, spec.versions);
            let version = KeyVersion::new(keys::generate(shape)?, shape.hsm, body, made);
            versions.push(KeyVersion { shown_type: spec.shown_type.clone(), ..version });
        }
        let rotation = spec.rotate_after.as_ref().map(|after| Rotation::after(after, at.now())).transpose()?;
        state.keys.insert(&name, KeyItem { name: name.clone(), versions, rotation });
        if spec.deleted {
            state.delete(Kind::Key, &name, at)?;
        }
    }
    Ok(())
}

fn certificates(state: &mut VaultState, spec: &CertificateSpec, at: Moment) -> Result<(), ApiError> {
    for name in expand(&spec.name, spec.count) {
        let subject = spec.subject.clone().unwrap_or_else(|| format!("CN={name}"));
        let policy = policy(spec, &subject)?;
        let shape = policy.shape()?;
        let mut item = CertificateItem::new(&name, at.now());
        item.set_policy(policy, at.now());
        let not_before = spec.not_before.as_ref().and_then(At::seconds).unwrap_or(at.now());
        let not_after = spec.expires.as_ref().and_then(At::seconds).unwrap_or(at.now() + CERTIFICATE_LIFE_S);
        let above = if spec.chain == 0 { 0 } else { spec.chain + 1 };
        let issue = IssueSpec { above, ..item.policy.issue(&subject, not_before, not_after) };
        let failed = |error: crate::crypto::CryptoError| ApiError::bad_parameter(error.to_string());
        if spec.pending {
            item.requested_tags = tags(&spec.tags);
            let csr = STANDARD.encode(request(&keys::generate(shape)?, &issue).map_err(failed)?);
            let request_id = hex::encode(rand::random::<[u8; 16]>());
            item.pending =
                Some(Pending { issuer: "Contoso".to_owned(), csr, is_completed: false, cancel: false, request_id });
        } else {
            let enabled = AttributesPatch { enabled: Some(spec.enabled), ..AttributesPatch::default() };
            for version in 1..=spec.versions {
                let chain = Chain::issue(keys::generate(shape)?, &issue).map_err(failed)?;
                let facts = facts(chain.leaf()).map_err(failed)?;
                let made = made(at, version, spec.versions);
                let (policy, tags) = (&item.policy, tags(&spec.tags));
                item.versions.push(CertificateVersion::new(chain, &facts, policy, Some(&enabled), tags, made));
            }
        }
        state.certificates.insert(&name, item);
        if spec.deleted {
            state.delete(Kind::Certificate, &name, at)?;
        }
    }
    Ok(())
}

fn policy(spec: &CertificateSpec, subject: &str) -> Result<Policy, ApiError> {
    let shape = keyspec::parse(&spec.kind, spec.size, spec.curve.as_deref())?;
    let content_type = match spec.format {
        Format::Pkcs12 => PKCS12,
        Format::Pem => PEM,
    };
    let issuer = if spec.pending {
        "Contoso"
    } else if spec.chain == 0 {
        "Self"
    } else {
        "Unknown"
    };
    let mut policy = Policy {
        key_props: KeyProps { exportable: Some(spec.exportable), ..KeyProps::default() },
        secret_props: SecretProps { content_type: Some(content_type.to_owned()) },
        x509_props: X509Props {
            subject: Some(subject.to_owned()),
            sans: (!spec.dns_names.is_empty()).then(|| Sans { dns_names: spec.dns_names.clone(), ..Sans::default() }),
            ..X509Props::default()
        },
        lifetime_actions: Vec::new(),
        issuer: Issuer { name: Some(issuer.to_owned()), ..Issuer::default() },
    };
    policy.note_key(shape);
    policy.note_usages();
    Ok(policy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        state::Place,
        testing::{estate, vault},
    };

    fn seeded(items: &str) -> VaultState {
        let estate = estate(&vault("a-kv", &format!(", items: {items}")));
        let (_, spec) = estate.vaults().next().unwrap();
        super::items("a-kv", &spec.items, 1_000, Protection { days: 90, purge_protection: false }).unwrap()
    }

    #[test]
    fn the_place_in_an_entry_is_told_only_where_it_has_a_count() {
        let state = seeded(
            r#"{ secrets: [{ name: one, value: "keep {n}" }, { name: "many-{n}", count: 2, value: "no. {n}", content_type: "t/{n}" }] }"#,
        );
        let newest = |name| state.secrets.find(name, i64::MAX).unwrap().newest().unwrap().clone();
        assert_eq!(newest("one").value, "keep {n}");
        assert_eq!((newest("many-2").value.as_str(), newest("many-2").content_type.as_deref()), ("no. 2", Some("t/2")));
    }

    #[test]
    fn a_key_is_shown_as_of_the_type_that_the_estate_says() {
        let state = seeded("{ keys: [{ name: a, type: EC }, { name: b, type: EC, shown_type: AKP }] }");
        let place = Place { base: String::new(), protection: Protection { days: 90, purge_protection: false } };
        let shown = |name| {
            let key = state.keys.find(name, i64::MAX).unwrap();
            key.newest().unwrap().bundle(&place, name)["key"]["kty"].clone()
        };
        assert_eq!((shown("a"), shown("b")), ("EC".into(), "AKP".into()));
    }

    #[test]
    fn versions_are_made_one_after_the_other() {
        let state = seeded(
            "{ secrets: [{ name: a, versions: 3 }], keys: [{ name: b, type: EC, versions: 3 }], certificates: [{ name: c, \
             type: EC, versions: 3 }] }",
        );
        let [secret, key, certificate] = [
            state
                .secrets
                .find("a", i64::MAX)
                .unwrap()
                .versions
                .iter()
                .map(|version| version.attributes.created)
                .collect(),
            state.keys.find("b", i64::MAX).unwrap().versions.iter().map(|version| version.attributes.created).collect(),
            state
                .certificates
                .find("c", i64::MAX)
                .unwrap()
                .versions
                .iter()
                .map(|version| version.attributes.created)
                .collect::<Vec<_>>(),
        ];
        for created in [secret, key, certificate] {
            assert_eq!(created, [998, 999, 1_000]);
        }
    }
}
