//! A certificate's policy: what key it has, how its secret is written, who issues it.
//!
//! What a client sends is merged over what is known; what nobody said has Azure's default. Lifetime actions are kept
//! and given back, and nothing acts on them.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    crypto::{EXTENDED_KEY_USAGE, Facts, IssueSpec, KEY_USAGE, Names},
    error::ApiError,
    keyspec::{self, KeyShape},
};

pub const PKCS12: &str = "application/x-pkcs12";
pub const PEM: &str = "application/x-pem-file";

/// Seconds of a month, on the average.
pub const MONTH_S: i64 = 2_629_746;

/// A policy, as Azure writes it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Policy {
    #[serde(default)]
    pub key_props: KeyProps,
    #[serde(default)]
    pub secret_props: SecretProps,
    #[serde(default)]
    pub x509_props: X509Props,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lifetime_actions: Vec<Value>,
    #[serde(default)]
    pub issuer: Issuer,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct KeyProps {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exportable: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kty: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_size: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reuse_key: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crv: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SecretProps {
    #[serde(default, rename = "contentType", skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct X509Props {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sans: Option<Sans>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ekus: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_usage: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validity_months: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sans {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns_names: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub emails: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub upns: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Issuer {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cty: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert_transparency: Option<bool>,
}

impl Policy {
    /// The kind of key the policy asks for.
    pub fn shape(&self) -> Result<KeyShape, ApiError> {
        let props = &self.key_props;
        keyspec::parse(props.kty.as_deref().unwrap_or("RSA"), props.key_size, props.crv.as_deref())
    }

    /// Notes which key there really is.
    pub fn note_key(&mut self, shape: KeyShape) {
        let props = &mut self.key_props;
        props.kty = Some(shape.kty().to_owned());
        match shape.spec {
            crate::crypto::KeySpec::Rsa { bits } => (props.key_size, props.crv) = (Some(bits), None),
            crate::crypto::KeySpec::Ec { curve } => {
                props.crv = Some(keyspec::curve_name(curve).to_owned());
                props.key_size = None;
            }
        }
        props.exportable.get_or_insert(true);
        props.reuse_key.get_or_insert(false);
    }

    /// Notes what a certificate may be used for whose policy does not say.
    pub fn note_usages(&mut self) {
        let owned = |texts: [&str; 2]| texts.map(str::to_owned).to_vec();
        self.x509_props.key_usage.get_or_insert_with(|| owned(KEY_USAGE));
        self.x509_props.ekus.get_or_insert_with(|| owned(EXTENDED_KEY_USAGE));
    }

    /// What to issue under the policy, self-signed.
    pub fn issue<'a>(&self, subject: &'a str, not_before: i64, not_after: i64) -> IssueSpec<'a> {
        let x509 = &self.x509_props;
        let Sans { dns_names, emails, upns } = x509.sans.clone().unwrap_or_default();
        IssueSpec {
            subject,
            names: Names { dns: dns_names, emails, upns },
            key_usage: x509.key_usage.clone().unwrap_or_default(),
            extended_key_usage: x509.ekus.clone().unwrap_or_default(),
            above: 0,
            not_before,
            not_after,
        }
    }

    /// Notes what the certificate really says: what was asked for has no say in a certificate that is there already.
    pub fn note_certificate(&mut self, facts: &Facts) {
        let said = |names: &[String]| (!names.is_empty()).then(|| names.to_vec());
        let Names { dns, emails, upns } = facts.names.clone();
        let sans = Sans { dns_names: dns, emails, upns };
        let usage: Vec<String> = facts.key_usage.iter().map(|usage| (*usage).to_owned()).collect();
        let months = (facts.not_after - facts.not_before + MONTH_S / 2) / MONTH_S;
        self.x509_props = X509Props {
            subject: Some(facts.subject.clone()),
            sans: (sans != Sans::default()).then_some(sans),
            ekus: said(&facts.extended_key_usage),
            key_usage: said(&usage),
            // A certificate of a few days has no months, but a policy needs one.
            validity_months: u32::try_from(months.max(1)).ok(),
        };
    }

    pub fn is_exportable(&self) -> bool {
        self.key_props.exportable.unwrap_or(true)
    }

    pub fn content_type(&self) -> &str {
        self.secret_props.content_type.as_deref().unwrap_or(PKCS12)
    }

    pub fn is_self_issued(&self) -> bool {
        self.issuer.name.as_deref().is_some_and(|name| name.eq_ignore_ascii_case("Self"))
    }

    /// Whether its parts can be used.
    pub fn check(&self) -> Result<(), ApiError> {
        self.shape()?;
        if self.x509_props.validity_months == Some(0) {
            return Err(ApiError::bad_parameter("Property policy.x509_props.validity_months must be 1 at least."));
        }
        match self.content_type() {
            PKCS12 | PEM => Ok(()),
            other => Err(ApiError::bad_parameter(format!(
                "Property policy.secret_props.contentType has invalid value {other}."
            ))),
        }
    }

    /// The policy with what an update says over it, if that can be used.
    pub fn merged(&self, update: Self) -> Result<Self, ApiError> {
        let mut policy = self.clone();
        policy.merge(update);
        policy.check()?;
        Ok(policy)
    }

    fn merge(&mut self, update: Self) {
        let (key, new) = (&mut self.key_props, update.key_props);
        key.exportable = new.exportable.or(key.exportable);
        key.kty = new.kty.or_else(|| key.kty.take());
        key.key_size = new.key_size.or(key.key_size);
        key.reuse_key = new.reuse_key.or(key.reuse_key);
        key.crv = new.crv.or_else(|| key.crv.take());
        self.secret_props.content_type =
            update.secret_props.content_type.or_else(|| self.secret_props.content_type.take());
        let (x509, new) = (&mut self.x509_props, update.x509_props);
        x509.subject = new.subject.or_else(|| x509.subject.take());
        x509.sans = new.sans.or_else(|| x509.sans.take());
        x509.ekus = new.ekus.or_else(|| x509.ekus.take());
        x509.key_usage = new.key_usage.or_else(|| x509.key_usage.take());
        x509.validity_months = new.validity_months.or(x509.validity_months);
        if !update.lifetime_actions.is_empty() {
            self.lifetime_actions = update.lifetime_actions;
        }
        self.issuer.name = update.issuer.name.or_else(|| self.issuer.name.take());
        self.issuer.cty = update.issuer.cty.or_else(|| self.issuer.cty.take());
        self.issuer.cert_transparency = update.issuer.cert_transparency.or(self.issuer.cert_transparency);
    }

    /// As an answer shows it.
    pub fn json(&self, id: &str, created: i64, updated: i64) -> Value {
        let mut body = json!(self);
        if let Some(fields) = body.as_object_mut() {
            fields.insert("id".to_owned(), json!(format!("{id}/policy")));
            fields.insert("attributes".to_owned(), json!({ "enabled": true, "created": created, "updated": updated }));
        }
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_changes_only_what_it_says() {
        let mut policy: Policy = serde_json::from_value(
            json!({ "key_props": { "kty": "EC", "crv": "P-256" }, "issuer": { "name": "Self" } }),
        )
        .unwrap();
        policy.merge(serde_json::from_value(json!({ "secret_props": { "contentType": PEM } })).unwrap());
        assert!(policy.content_type() == PEM && policy.is_self_issued());
        assert_eq!(policy.key_props.crv.as_deref(), Some("P-256"));
    }

    #[test]
    fn a_content_type_that_no_secret_can_have_is_refused() {
        let policy: Policy =
            serde_json::from_value(json!({ "secret_props": { "contentType": "text/plain" } })).unwrap();
        assert!(policy.check().is_err());
    }

    #[test]
    fn a_policy_that_was_read_off_a_certificate_can_be_used_however_long_it_lives() {
        for (life_s, months) in [(3_600, 1), (MONTH_S, 1), (24 * MONTH_S - 1, 24), (12 * 9_000 * MONTH_S, 108_000)] {
            let mut policy = Policy::default();
            policy.note_certificate(&Facts {
                not_before: 0,
                not_after: life_s,
                subject: "CN=a".to_owned(),
                names: Names::default(),
                extended_key_usage: Vec::new(),
                key_usage: vec!["keyAgreement"],
            });
            assert!(policy.check().is_ok());
            let said = policy.x509_props;
            assert_eq!((said.validity_months, said.sans, said.ekus), (Some(months), None, None));
            assert_eq!(said.key_usage, Some(vec!["keyAgreement".to_owned()]));
        }
    }
}
