//! What every version of every item carries: enabled, not-before, expires, created, updated.

use serde::{Deserialize, Deserializer, Serialize, de::Error};
use serde_json::{Value, json};

/// The last second of the year 9999.
pub const LATEST_S: i64 = 253_402_300_799;

/// Attributes of one version; times are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    pub enabled: bool,
    pub nbf: Option<i64>,
    pub exp: Option<i64>,
    pub created: i64,
    pub updated: i64,
}

/// What a request may say about attributes. Null means "not said".
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct AttributesPatch {
    pub enabled: Option<bool>,
    #[serde(default, deserialize_with = "moment")]
    pub nbf: Option<i64>,
    #[serde(default, deserialize_with = "moment")]
    pub exp: Option<i64>,
}

/// A time that has a date with four digits for its year: Azure's own clients cannot read any other.
fn moment<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i64>, D::Error> {
    let moment = Option::<i64>::deserialize(from)?;
    match moment.filter(|seconds| *seconds > LATEST_S) {
        Some(_) => Err(D::Error::custom("a time is after the year 9999")),
        None => Ok(moment),
    }
}

impl Attributes {
    /// Those of a version made now.
    pub fn new(patch: Option<&AttributesPatch>, now: i64) -> Self {
        let mut attributes = Self { enabled: true, nbf: None, exp: None, created: now, updated: now };
        attributes.apply(patch, now);
        attributes
    }

    /// Changes what the patch says. What it does not say stays: Azure cannot clear `exp` or `nbf`.
    pub fn apply(&mut self, patch: Option<&AttributesPatch>, now: i64) {
        if let Some(patch) = patch {
            self.enabled = patch.enabled.unwrap_or(self.enabled);
            self.nbf = patch.nbf.or(self.nbf);
            self.exp = patch.exp.or(self.exp);
        }
        self.updated = now;
    }

    /// As Azure writes them in a vault with that protection.
    pub fn json(&self, protection: &Protection) -> Value {
        let mut json = json!({ "enabled": self.enabled });
        if let Some(fields) = json.as_object_mut() {
            for (name, moment) in [("nbf", self.nbf), ("exp", self.exp)] {
                if let Some(moment) = moment {
                    fields.insert(name.to_owned(), json!(moment));
                }
            }
            fields.insert("created".to_owned(), json!(self.created));
            fields.insert("updated".to_owned(), json!(self.updated));
            fields.insert("recoveryLevel".to_owned(), json!(protection.level()));
            fields.insert("recoverableDays".to_owned(), json!(protection.days));
        }
        json
    }
}

/// How a vault keeps what is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protection {
    pub days: u32,
    /// Nobody can purge before the days are over.
    pub purge_protection: bool,
}

impl Protection {
    /// Azure's word for it.
    pub const fn level(&self) -> &'static str {
        match (self.days, self.purge_protection) {
            (90.., false) => "Recoverable+Purgeable",
            (90.., true) => "Recoverable",
            (_, false) => "CustomizedRecoverable+Purgeable",
            (_, true) => "CustomizedRecoverable",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_changes_only_what_it_says_and_clears_nothing() {
        let first = AttributesPatch { enabled: Some(false), nbf: Some(1), exp: Some(9) };
        let mut attributes = Attributes::new(Some(&first), 100);
        attributes.apply(Some(&AttributesPatch { enabled: Some(true), ..AttributesPatch::default() }), 200);
        assert_eq!(attributes, Attributes { enabled: true, nbf: Some(1), exp: Some(9), created: 100, updated: 200 });
    }

    #[test]
    fn null_in_a_request_is_not_said() {
        let patch: AttributesPatch = serde_json::from_str(r#"{"exp":null,"nbf":5,"created":1}"#).unwrap();
        assert_eq!(patch, AttributesPatch { enabled: None, nbf: Some(5), exp: None });
    }
}
