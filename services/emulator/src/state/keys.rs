//! Keys and their versions, and how Azure writes them.
//!
//! A certificate's own key is not here: it is read off the certificate.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    crypto::PrivateKey,
    error::ApiError,
    keyspec::{self, KeyShape},
    state::{
        Place,
        attributes::{Attributes, AttributesPatch},
        collection::{Deleted, Kind},
        new_version,
        rotation::Rotation,
        set, set_some,
        validate::Tags,
    },
};

/// What a key may be used for.
const OPERATIONS: [&str; 8] = ["encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey", "import", "export"];

/// Of every RSA key that is made.
const PUBLIC_EXPONENT: u64 = 65_537;

/// A key with all its versions, oldest first.
#[derive(Clone, Serialize, Deserialize)]
pub struct KeyItem {
    pub name: String,
    pub versions: Vec<KeyVersion>,
    pub rotation: Option<Rotation>,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct KeyVersion {
    pub id: String,
    pub key: PrivateKey,
    pub hsm: bool,
    /// The type that clients are shown; none: its own.
    #[serde(default)]
    pub shown_type: Option<String>,
    pub operations: Vec<String>,
    pub tags: Option<Tags>,
    pub attributes: Attributes,
}

/// The body of a create, an import or an update, as far as they agree.
#[derive(Deserialize)]
pub struct KeyBody {
    pub kty: Option<String>,
    pub key_size: Option<u32>,
    pub crv: Option<String>,
    pub key_ops: Option<Vec<String>>,
    pub key: Option<Value>,
    #[serde(rename = "Hsm")]
    pub hsm: Option<bool>,
    pub attributes: Option<AttributesPatch>,
    pub tags: Option<Tags>,
}

impl KeyBody {
    pub fn check(&self) -> Result<(), ApiError> {
        crate::state::validate::tags(self.tags.as_ref())?;
        check_operations(self.key_ops.as_deref())
    }
}

/// What a new key may be asked for and cannot be had here.
#[derive(Deserialize)]
pub struct Unsupported {
    public_exponent: Option<u64>,
    release_policy: Option<Value>,
    attributes: Option<Exportable>,
}

#[derive(Deserialize)]
struct Exportable {
    exportable: Option<bool>,
}

impl Unsupported {
    /// Refuses it: passed over, a key would be another than was asked for.
    pub fn check(&self) -> Result<(), ApiError> {
        let is_exportable = self.attributes.as_ref().and_then(|attributes| attributes.exportable) == Some(true);
        let named = match self {
            Self { public_exponent: Some(exponent), .. } if *exponent != PUBLIC_EXPONENT => "public_exponent",
            Self { release_policy: Some(_), .. } => "release_policy",
            Self { .. } if is_exportable => "attributes.exportable",
            Self { .. } => return Ok(()),
        };
        Err(ApiError::bad_parameter(format!("Property {named} is not supported by the emulator.")))
    }
}

/// Whether these are things a key can be used for.
pub fn check_operations(operations: Option<&[String]>) -> Result<(), ApiError> {
    let unknown = operations.unwrap_or_default().iter().find(|operation| !OPERATIONS.contains(&operation.as_str()));
    match unknown {
        Some(unknown) => Err(ApiError::bad_parameter(format!("Property key_ops has invalid value {unknown}."))),
        None => Ok(()),
    }
}

impl KeyVersion {
    pub fn new(key: PrivateKey, hsm: bool, body: KeyBody, now: i64) -> Self {
        let shape = KeyShape { spec: key.spec(), hsm };
        Self {
            id: new_version(),
            operations: body.key_ops.unwrap_or_else(|| shape.default_operations()),
            tags: body.tags,
            attributes: Attributes::new(body.attributes.as_ref(), now),
            key,
            hsm,
            shown_type: None,
        }
    }

    pub fn shape(&self) -> KeyShape {
        KeyShape { spec: self.key.spec(), hsm: self.hsm }
    }

    /// Changes what the update says.
    pub fn update(&mut self, update: KeyBody, now: i64) {
        self.attributes.apply(update.attributes.as_ref(), now);
        self.operations = update.key_ops.unwrap_or_else(|| std::mem::take(&mut self.operations));
        self.tags = update.tags.or_else(|| self.tags.take());
    }

    /// The version with its public half.
    pub fn bundle(&self, place: &Place, name: &str) -> Value {
        let kid = place.id(Kind::Key, name, Some(&self.id));
        let mut key = jwk(&self.key, self.shape(), &kid, &self.operations);
        set_some(&mut key, "kty", self.shown_type.as_deref());
        let mut body = json!({
            "key": key,
            "attributes": self.described(place),
        });
        set_some(&mut body, "tags", self.tags.as_ref().map(|tags| json!(tags)));
        body
    }

    /// The entry of a listing.
    pub fn entry(&self, place: &Place, name: &str, version: Option<&str>) -> Value {
        let mut body = json!({ "kid": place.id(Kind::Key, name, version), "attributes": self.described(place) });
        set_some(&mut body, "tags", self.tags.as_ref().map(|tags| json!(tags)));
        body
    }

    fn described(&self, place: &Place) -> Value {
        let mut attributes = self.attributes.json(&place.protection);
        set(&mut attributes, "exportable", json!(false));
        if self.hsm {
            set(&mut attributes, "hsmPlatform", json!("2"));
        }
        attributes
    }
}

/// A public JWK as Azure writes it.
pub fn jwk(key: &PrivateKey, shape: KeyShape, kid: &str, operations: &[String]) -> Value {
    let public = key.public_jwk();
    let mut jwk = json!({ "kid": kid, "kty": shape.kty(), "key_ops": operations });
    set_some(&mut jwk, "n", public.n);
    set_some(&mut jwk, "e", public.e);
    set_some(&mut jwk, "crv", public.crv);
    set_some(&mut jwk, "x", public.x);
    set_some(&mut jwk, "y", public.y);
    jwk
}

impl KeyItem {
    /// The newest version; an item has one from its first moment.
    pub fn newest(&self) -> Result<&KeyVersion, ApiError> {
        self.versions.last().ok_or_else(|| ApiError::internal("a key without versions"))
    }

    /// A version by its id; none: the newest.
    pub fn version(&self, id: Option<&str>) -> Result<&KeyVersion, ApiError> {
        match id {
            None => self.newest(),
            Some(id) => self.versions.iter().find(|version| version.id == id).ok_or_else(|| self.missing(id)),
        }
    }

    pub fn version_mut(&mut self, id: Option<&str>) -> Result<&mut KeyVersion, ApiError> {
        let place = match id {
            None => self.versions.len().checked_sub(1),
            Some(id) => self.versions.iter().position(|version| version.id == id),
        };
        let missing = self.missing(id.unwrap_or_default());
        place.and_then(|place| self.versions.get_mut(place)).ok_or(missing)
    }

    /// A deleted key, as a delete or a read of it answers.
    pub fn deleted(&self, place: &Place, deleted: &Deleted<Self>) -> Result<Value, ApiError> {
        let mut body = self.newest()?.bundle(place, &self.name);
        place.add_deleted(&mut body, Kind::Key, &self.name, deleted);
        Ok(body)
    }

    /// The rotation policy, as an answer shows it.
    pub fn rotation_policy(&self, place: &Place) -> Value {
        let id = format!("{}/rotationpolicy", place.id(Kind::Key, &self.name, None));
        Rotation::json(self.rotation.as_ref(), &id)
    }

    fn missing(&self, version: &str) -> ApiError {
        Kind::Key.not_found(&format!("{}/{version}", self.name))
    }
}

/// Makes a key of a kind; slow for RSA.
pub fn generate(shape: KeyShape) -> Result<PrivateKey, ApiError> {
    PrivateKey::generate(shape.spec)
        .map_err(|error| ApiError::internal(format!("{}: {error}", keyspec::name(shape.spec))))
}
