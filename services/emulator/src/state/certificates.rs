//! Certificates and their versions, with the secret and the key that each brings along.
//!
//! The secret's value is made from the chain on each read, so that two exports differ as Azure's do. A certificate that
//! waits for an issuer outside has a policy and a pending operation, and no version.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    crypto::{Chain, CryptoError, Facts, thumbprint},
    error::ApiError,
    keyspec::KeyShape,
    state::{
        Place,
        attributes::{Attributes, AttributesPatch},
        collection::{Deleted, Kind},
        keys, new_version,
        policy::Policy,
        set, set_some,
        validate::Tags,
    },
};

/// A certificate with all its versions, oldest first.
#[derive(Clone, Serialize, Deserialize)]
pub struct CertificateItem {
    pub name: String,
    pub versions: Vec<CertificateVersion>,
    pub policy: Policy,
    pub policy_created: i64,
    pub policy_updated: i64,
    pub pending: Option<Pending>,
    /// Of a certificate that was never issued: what its listing shows.
    pub requested: Attributes,
    pub requested_tags: Option<Tags>,
}

/// A request to an issuer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    pub issuer: String,
    /// DER, base64.
    pub csr: String,
    pub is_completed: bool,
    pub cancel: bool,
    pub request_id: String,
}

/// One issued certificate.
#[derive(Clone, Serialize, Deserialize)]
pub struct CertificateVersion {
    pub id: String,
    pub chain: Chain,
    pub content_type: String,
    pub exportable: bool,
    pub hsm: bool,
    pub tags: Option<Tags>,
    pub attributes: Attributes,
}

/// The body of an import.
#[derive(Deserialize)]
pub struct Import {
    pub value: String,
    pub pwd: Option<String>,
    pub policy: Option<Policy>,
    pub attributes: Option<AttributesPatch>,
    pub tags: Option<Tags>,
    #[serde(rename = "preserveCertOrder")]
    pub preserve_order: Option<bool>,
}

/// The body of a create or an update.
#[derive(Deserialize)]
pub struct Change {
    pub policy: Option<Policy>,
    pub attributes: Option<AttributesPatch>,
    pub tags: Option<Tags>,
}

impl Import {
    /// PEM text, sent as it is or in base64, as clients do; none: it is not PEM.
    pub fn pem(&self) -> Option<String> {
        const BEGIN: &str = "-----BEGIN";
        if self.value.contains(BEGIN) {
            return Some(self.value.clone());
        }
        let decoded = self.bytes().ok()?;
        String::from_utf8(decoded).ok().filter(|text| text.contains(BEGIN))
    }

    fn bytes(&self) -> Result<Vec<u8>, ApiError> {
        let compact: String = self.value.split_whitespace().collect();
        STANDARD.decode(compact).map_err(|_| ApiError::bad_parameter("Property value is neither PEM nor base64."))
    }

    /// Reads what was sent: PEM, or a PFX in base64.
    pub fn chain(&self) -> Result<Chain, ApiError> {
        let preserve = self.preserve_order.unwrap_or(false);
        let chain = match self.pem() {
            Some(text) => Chain::from_pem_bundle(&text, preserve),
            None => Chain::from_pkcs12(&self.bytes()?, self.pwd.as_deref().unwrap_or_default(), preserve),
        };
        chain.map_err(|error| match error {
            CryptoError::NoPrivateKey => {
                ApiError::bad_parameter("The specified X.509 certificate content has no private key.")
            }
            CryptoError::Key
            | CryptoError::Generate
            | CryptoError::Jwk(_)
            | CryptoError::Size(_)
            | CryptoError::NotPkcs8(_)
            | CryptoError::Algorithm(_)
            | CryptoError::Digest { .. }
            | CryptoError::Certificate
            | CryptoError::Issue(_)
            | CryptoError::Bundle
            | CryptoError::Unrelated => {
                ApiError::bad_parameter(format!("The specified X.509 certificate content can not be read: {error}."))
            }
        })
    }
}

impl CertificateVersion {
    /// A version of a chain under a policy; `facts` are what its certificate says.
    pub fn new(
        chain: Chain,
        facts: &Facts,
        policy: &Policy,
        patch: Option<&AttributesPatch>,
        tags: Option<Tags>,
        now: i64,
    ) -> Self {
        let validity = AttributesPatch {
            enabled: patch.and_then(|patch| patch.enabled),
            nbf: Some(facts.not_before),
            exp: Some(facts.not_after),
        };
        Self {
            id: new_version(),
            content_type: policy.content_type().to_owned(),
            exportable: policy.is_exportable(),
            hsm: policy.key_props.kty.as_deref().is_some_and(|kty| kty.ends_with("-HSM")),
            tags,
            attributes: Attributes::new(Some(&validity), now),
            chain,
        }
    }

    pub fn shape(&self) -> KeyShape {
        KeyShape { spec: self.chain.key.spec(), hsm: self.hsm }
    }

    /// Changes what an update may: not the times, which are the certificate's own.
    pub fn update(&mut self, patch: Option<&AttributesPatch>, tags: Option<Tags>, now: i64) {
        let enabled = AttributesPatch { enabled: patch.and_then(|patch| patch.enabled), ..AttributesPatch::default() };
        self.attributes.apply(Some(&enabled), now);
        self.tags = tags.or_else(|| self.tags.take());
    }

    fn x5t(&self) -> String {
        URL_SAFE_NO_PAD.encode(thumbprint(self.chain.leaf()))
    }

    /// The certificate, without its policy.
    pub fn bundle(&self, place: &Place, name: &str) -> Value {
        let id = |kind| place.id(kind, name, Some(&self.id));
        let mut body = json!({
            "id": id(Kind::Certificate),
            "kid": id(Kind::Key),
            "sid": id(Kind::Secret),
            "x5t": self.x5t(),
            "cer": STANDARD.encode(self.chain.leaf()),
            "contentType": self.content_type,
            "attributes": self.attributes.json(&place.protection),
        });
        set_some(&mut body, "tags", self.tags.as_ref().map(|tags| json!(tags)));
        body
    }

    /// The entry of a listing.
    pub fn entry(&self, place: &Place, name: &str, version: Option<&str>) -> Value {
        let mut body = json!({
            "id": place.id(Kind::Certificate, name, version),
            "x5t": self.x5t(),
            "attributes": self.attributes.json(&place.protection),
        });
        set_some(&mut body, "tags", self.tags.as_ref().map(|tags| json!(tags)));
        body
    }

    /// The certificate's own secret, with its value. What may not be exported comes without the private key.
    pub fn secret_bundle(&self, place: &Place, name: &str) -> Result<Value, ApiError> {
        let failed = |error: CryptoError| ApiError::internal(error.to_string());
        let is_pem = self.content_type == crate::state::policy::PEM;
        let value = match (is_pem, self.exportable && !self.hsm) {
            (true, true) => self.chain.to_pem_bundle().map_err(failed)?,
            (true, false) => self.chain.certificates_pem(),
            (false, true) => STANDARD.encode(self.chain.to_pkcs12().map_err(failed)?),
            (false, false) => STANDARD.encode(self.chain.certificates_pkcs12().map_err(failed)?),
        };
        let mut body = json!({ "value": value });
        self.describe_secret(&mut body, place, name, Some(&self.id));
        set(&mut body, "kid", json!(place.id(Kind::Key, name, Some(&self.id))));
        Ok(body)
    }

    /// The certificate's own secret in a listing.
    pub fn secret_entry(&self, place: &Place, name: &str) -> Value {
        let mut body = json!({});
        self.describe_secret(&mut body, place, name, None);
        body
    }

    /// The certificate's own secret in a listing of versions.
    pub fn secret_version(&self, place: &Place, name: &str) -> Value {
        let mut body = json!({});
        self.describe_secret(&mut body, place, name, Some(&self.id));
        body
    }

    fn describe_secret(&self, body: &mut Value, place: &Place, name: &str, version: Option<&str>) {
        set(body, "contentType", json!(self.content_type));
        set(body, "id", json!(place.id(Kind::Secret, name, version)));
        set(body, "managed", json!(true));
        set(body, "attributes", self.attributes.json(&place.protection));
        set_some(body, "tags", self.tags.as_ref().map(|tags| json!(tags)));
    }

    /// The certificate's own key.
    pub fn key_bundle(&self, place: &Place, name: &str) -> Value {
        let kid = place.id(Kind::Key, name, Some(&self.id));
        let mut body = json!({
            "key": keys::jwk(&self.chain.key, self.shape(), &kid, &self.shape().default_operations()),
            "managed": true,
            "attributes": self.attributes.json(&place.protection),
        });
        set_some(&mut body, "tags", self.tags.as_ref().map(|tags| json!(tags)));
        body
    }

    /// The certificate's own key in a listing.
    pub fn key_entry(&self, place: &Place, name: &str, version: Option<&str>) -> Value {
        let mut body = json!({
            "kid": place.id(Kind::Key, name, version),
            "managed": true,
            "attributes": self.attributes.json(&place.protection),
        });
        set_some(&mut body, "tags", self.tags.as_ref().map(|tags| json!(tags)));
        body
    }
}

impl CertificateItem {
    /// A certificate that is nothing yet but a name.
    pub fn new(name: &str, now: i64) -> Self {
        Self {
            name: name.to_owned(),
            versions: Vec::new(),
            policy: Policy::default(),
            policy_created: now,
            policy_updated: now,
            pending: None,
            requested: Attributes::new(
                Some(&AttributesPatch { enabled: Some(false), ..AttributesPatch::default() }),
                now,
            ),
            requested_tags: None,
        }
    }

    /// Puts a policy in place of the one there was.
    pub fn set_policy(&mut self, policy: Policy, now: i64) {
        self.policy = policy;
        self.policy_updated = now;
    }

    /// The newest issued version.
    pub fn newest(&self) -> Option<&CertificateVersion> {
        self.versions.last()
    }

    /// A version by its id, in the words of what was asked for; none: the newest.
    pub fn version(&self, kind: Kind, id: Option<&str>) -> Result<&CertificateVersion, ApiError> {
        let missing = || kind.not_found(&id.map_or_else(|| self.name.clone(), |id| format!("{}/{id}", self.name)));
        match id {
            None => self.newest().ok_or_else(missing),
            Some(id) => self.versions.iter().find(|version| version.id == id).ok_or_else(missing),
        }
    }

    pub fn version_mut(&mut self, id: Option<&str>) -> Result<&mut CertificateVersion, ApiError> {
        let missing = Kind::Certificate.not_found(&self.name);
        let place = match id {
            None => self.versions.len().checked_sub(1),
            Some(id) => self.versions.iter().position(|version| version.id == id),
        };
        place.and_then(|place| self.versions.get_mut(place)).ok_or(missing)
    }

    /// The policy, as an answer shows it.
    pub fn policy_json(&self, place: &Place) -> Value {
        self.policy.json(&place.id(Kind::Certificate, &self.name, None), self.policy_created, self.policy_updated)
    }

    /// A version with the policy and the pending operation.
    pub fn bundle(&self, place: &Place, version: &CertificateVersion) -> Value {
        let mut body = version.bundle(place, &self.name);
        set(&mut body, "policy", self.policy_json(place));
        if self.pending.is_some() {
            set(&mut body, "pending", json!({ "id": self.pending_id(place) }));
        }
        body
    }

    /// The newest version, or what stands for one that was never issued.
    pub fn current(&self, place: &Place) -> Value {
        match self.newest() {
            Some(version) => self.bundle(place, version),
            None => {
                let mut body = self.entry(place);
                set(&mut body, "policy", self.policy_json(place));
                set(&mut body, "pending", json!({ "id": self.pending_id(place) }));
                body
            }
        }
    }

    /// The entry of a listing.
    pub fn entry(&self, place: &Place) -> Value {
        match self.newest() {
            Some(version) => version.entry(place, &self.name, None),
            None => {
                let mut body = json!({
                    "id": place.id(Kind::Certificate, &self.name, None),
                    "attributes": self.requested.json(&place.protection),
                });
                set_some(&mut body, "tags", self.requested_tags.as_ref().map(|tags| json!(tags)));
                body
            }
        }
    }

    /// Where the operation at the issuer is.
    pub fn pending_id(&self, place: &Place) -> String {
        format!("{}/pending", place.id(Kind::Certificate, &self.name, None))
    }

    /// The operation at the issuer.
    pub fn pending_json(&self, place: &Place, pending: &Pending) -> Value {
        let status = if pending.is_completed { "completed" } else { "inProgress" };
        let mut body = json!({
            "id": self.pending_id(place),
            "issuer": { "name": pending.issuer },
            "csr": pending.csr,
            "cancellation_requested": pending.cancel,
            "status": status,
            "request_id": pending.request_id,
            "preserveCertOrder": false,
        });
        if pending.is_completed {
            set(&mut body, "target", json!(place.id(Kind::Certificate, &self.name, None)));
        } else {
            let details = "Pending certificate created. Certificate request is in progress. This may take some time based on the issuer provider. Please check again later.";
            set(&mut body, "status_details", json!(details));
        }
        body
    }

    /// A deleted certificate, as a delete or a read of it answers.
    pub fn deleted(&self, place: &Place, deleted: &Deleted<Self>) -> Value {
        let mut body = self.current(place);
        place.add_deleted(&mut body, Kind::Certificate, &self.name, deleted);
        body
    }
}
