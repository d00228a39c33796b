//! Secrets and their versions, and how Azure writes them.
//!
//! A certificate's own secret is not here: it is read off the certificate. Nothing here derives `Debug`, because it
//! would print values.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    error::ApiError,
    state::{
        Place,
        attributes::{Attributes, AttributesPatch},
        collection::{Deleted, Kind},
        new_version, set, set_some,
        validate::{self, Tags},
    },
};

/// A secret with all its versions, oldest first.
#[derive(Clone, Serialize, Deserialize)]
pub struct SecretItem {
    pub name: String,
    pub versions: Vec<SecretVersion>,
}

/// One immutable value, with what may change around it.
#[derive(Clone, Serialize, Deserialize)]
pub struct SecretVersion {
    pub id: String,
    pub value: String,
    pub content_type: Option<String>,
    pub tags: Option<Tags>,
    pub attributes: Attributes,
}

/// The body of a set.
#[derive(Deserialize)]
pub struct SetSecret {
    pub value: String,
    #[serde(rename = "contentType")]
    pub content_type: Option<String>,
    pub attributes: Option<AttributesPatch>,
    pub tags: Option<Tags>,
}

impl SetSecret {
    pub fn check(&self) -> Result<(), ApiError> {
        validate::secret_value(&self.value)?;
        validate::content_type(self.content_type.as_deref())?;
        validate::tags(self.tags.as_ref())
    }
}

/// The body of an update.
#[derive(Deserialize)]
pub struct UpdateSecret {
    #[serde(rename = "contentType")]
    pub content_type: Option<String>,
    pub attributes: Option<AttributesPatch>,
    pub tags: Option<Tags>,
}

impl UpdateSecret {
    pub fn check(&self) -> Result<(), ApiError> {
        validate::content_type(self.content_type.as_deref())?;
        validate::tags(self.tags.as_ref())
    }
}

impl SecretVersion {
    /// A new version made from a set.
    pub fn new(set: SetSecret, now: i64) -> Self {
        Self {
            id: new_version(),
            value: set.value,
            content_type: set.content_type,
            tags: set.tags,
            attributes: Attributes::new(set.attributes.as_ref(), now),
        }
    }

    /// Changes what the update says.
    pub fn update(&mut self, update: UpdateSecret, now: i64) {
        self.attributes.apply(update.attributes.as_ref(), now);
        self.content_type = update.content_type.or_else(|| self.content_type.take());
        self.tags = update.tags.or_else(|| self.tags.take());
    }

    /// The version with its value, as a read or a set answers.
    pub fn bundle(&self, place: &Place, name: &str) -> Value {
        let mut body = json!({ "value": self.value });
        self.describe(&mut body, place, name, Some(&self.id));
        body
    }

    /// The version without its value.
    pub fn properties(&self, place: &Place, name: &str) -> Value {
        let mut body = json!({});
        self.describe(&mut body, place, name, Some(&self.id));
        body
    }

    fn describe(&self, body: &mut Value, place: &Place, name: &str, version: Option<&str>) {
        set_some(body, "contentType", self.content_type.as_deref());
        set(body, "id", json!(place.id(Kind::Secret, name, version)));
        set(body, "attributes", self.attributes.json(&place.protection));
        set_some(body, "tags", self.tags.as_ref().map(|tags| json!(tags)));
    }
}

impl SecretItem {
    /// The newest version; an item has one from its first moment.
    pub fn newest(&self) -> Result<&SecretVersion, ApiError> {
        self.versions.last().ok_or_else(|| ApiError::internal("a secret without versions"))
    }

    /// A version by its id; none: the newest.
    pub fn version(&self, id: Option<&str>) -> Result<&SecretVersion, ApiError> {
        match id {
            None => self.newest(),
            Some(id) => self.versions.iter().find(|version| version.id == id).ok_or_else(|| self.missing(id)),
        }
    }

    pub fn version_mut(&mut self, id: Option<&str>) -> Result<&mut SecretVersion, ApiError> {
        let place = match id {
            None => self.versions.len().checked_sub(1),
            Some(id) => self.versions.iter().position(|version| version.id == id),
        };
        let missing = self.missing(id.unwrap_or_default());
        place.and_then(|place| self.versions.get_mut(place)).ok_or(missing)
    }

    /// The entry of a listing: the base id with the newest version's attributes.
    pub fn entry(&self, place: &Place) -> Result<Value, ApiError> {
        let mut body = json!({});
        self.newest()?.describe(&mut body, place, &self.name, None);
        Ok(body)
    }

    /// A deleted secret, as a delete or a read of it answers.
    pub fn deleted(&self, place: &Place, deleted: &Deleted<Self>) -> Result<Value, ApiError> {
        let mut body = self.newest()?.properties(place, &self.name);
        place.add_deleted(&mut body, Kind::Secret, &self.name, deleted);
        Ok(body)
    }

    fn missing(&self, version: &str) -> ApiError {
        Kind::Secret.not_found(&format!("{}/{version}", self.name))
    }
}
