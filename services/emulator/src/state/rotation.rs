//! When a key rotates. Policies are checked, kept and given back; nothing here rotates by itself.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::ApiError;

const DAY_S: i64 = 86_400;
/// Azure: a key lives 28 days at least.
const SHORTEST_LIFE_S: i64 = 28 * DAY_S;

/// A policy, as it was set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotation {
    pub lifetime_actions: Vec<Value>,
    pub expiry_time: Option<String>,
    pub created: i64,
    pub updated: i64,
}

impl Rotation {
    /// A policy that rotates a key so long after its creation.
    pub fn after(duration: &str, now: i64) -> Result<Self, ApiError> {
        RotationBody {
            lifetime_actions: vec![LifetimeAction {
                trigger: Trigger { time_after_create: Some(duration.to_owned()), time_before_expiry: None },
                action: Action { kind: "Rotate".to_owned() },
            }],
            attributes: None,
        }
        .checked(now, now)
    }

    /// When a version made now expires; none: the policy does not say.
    pub fn expires(&self, now: i64) -> Result<Option<i64>, ApiError> {
        self.expiry_time.as_deref().map(|text| duration_s(text).map(|life| now.saturating_add(life))).transpose()
    }

    /// As an answer shows it; a key without a policy has Azure's default, which only notifies.
    pub fn json(policy: Option<&Self>, id: &str) -> Value {
        match policy {
            None => json!({
                "id": id,
                "lifetimeActions": [{ "trigger": { "timeBeforeExpiry": "P30D" }, "action": { "type": "Notify" } }],
                "attributes": {},
            }),
            Some(policy) => json!({
                "id": id,
                "lifetimeActions": policy.lifetime_actions,
                "attributes": {
                    "expiryTime": policy.expiry_time,
                    "created": policy.created,
                    "updated": policy.updated,
                },
            }),
        }
    }
}

/// A policy as a client sends it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RotationBody {
    #[serde(default)]
    lifetime_actions: Vec<LifetimeAction>,
    attributes: Option<RotationAttributes>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RotationAttributes {
    expiry_time: Option<String>,
}

#[derive(Deserialize)]
struct LifetimeAction {
    trigger: Trigger,
    action: Action,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Trigger {
    time_after_create: Option<String>,
    time_before_expiry: Option<String>,
}

#[derive(Deserialize)]
struct Action {
    #[serde(rename = "type")]
    kind: String,
}

impl RotationBody {
    /// The policy, if Azure would take it.
    pub fn checked(self, created: i64, now: i64) -> Result<Rotation, ApiError> {
        let expiry_time = self.attributes.and_then(|attributes| attributes.expiry_time);
        if let Some(text) = &expiry_time
            && duration_s(text)? < SHORTEST_LIFE_S
        {
            return Err(ApiError::bad_parameter("Property attributes.expiryTime must be 28 days at least."));
        }
        let actions = self.lifetime_actions.into_iter().map(|action| action.checked(expiry_time.is_some()));
        let lifetime_actions = actions.collect::<Result<_, _>>()?;
        Ok(Rotation { lifetime_actions, expiry_time, created, updated: now })
    }
}

impl LifetimeAction {
    fn checked(self, expires: bool) -> Result<Value, ApiError> {
        let Trigger { time_after_create, time_before_expiry } = self.trigger;
        let kind = match self.action.kind.to_ascii_lowercase().as_str() {
            "rotate" => "Rotate",
            "notify" => "Notify",
            _ => return Err(ApiError::bad_parameter("Property lifetimeActions.action.type must be Rotate or Notify.")),
        };
        let (name, text) = match (time_after_create, time_before_expiry) {
            (Some(text), None) => ("timeAfterCreate", text),
            (None, Some(_)) if kind == "Rotate" && !expires => {
                let message = "A key that does not expire cannot rotate before it does: set attributes.expiryTime.";
                return Err(ApiError::bad_parameter(message));
            }
            (None, Some(text)) => ("timeBeforeExpiry", text),
            (Some(_), Some(_)) | (None, None) => {
                let message = "A trigger needs one of timeAfterCreate and timeBeforeExpiry.";
                return Err(ApiError::bad_parameter(message));
            }
        };
        duration_s(&text)?;
        Ok(json!({ "trigger": { name: text }, "action": { "type": kind } }))
    }
}

/// Reads an ISO 8601 duration such as `P90D` or `P1Y`; a year has 365 days and a month 30.
fn duration_s(text: &str) -> Result<i64, ApiError> {
    let refused = || ApiError::bad_parameter(format!("`{text}` is not an ISO 8601 duration such as P90D."));
    let body = text.strip_prefix('P').ok_or_else(refused)?;
    let (date, time) = body.split_once('T').unwrap_or((body, ""));
    let units = [("Y", 365 * DAY_S), ("M", 30 * DAY_S), ("W", 7 * DAY_S), ("D", DAY_S)];
    let clock = [("H", 3_600), ("M", 60), ("S", 1)];
    let sum = parts(date, &units).zip(parts(time, &clock)).map(|(date, time)| date.saturating_add(time));
    sum.filter(|sum| *sum > 0).ok_or_else(refused)
}

/// Adds up numbers with their units, each unit at most once and in order.
fn parts(mut text: &str, units: &[(&str, i64)]) -> Option<i64> {
    let mut sum: i64 = 0;
    for (unit, seconds) in units {
        if let Some((number, rest)) = text.split_once(unit) {
            sum = sum.saturating_add(number.parse::<u32>().ok().map(i64::from)?.saturating_mul(*seconds));
            text = rest;
        }
    }
    text.is_empty().then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_iso_8601_writes_them() {
        for (text, seconds) in
            [("P90D", 90 * DAY_S), ("P1Y", 365 * DAY_S), ("P1M2W", 44 * DAY_S), ("P1DT1M", DAY_S + 60)]
        {
            assert_eq!(duration_s(text), Ok(seconds), "{text}");
        }
        for bad in ["", "P", "90D", "P90", "PD", "P1D1Y", "P-1D", "P0D", "P1H", "PT1D"] {
            assert!(duration_s(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_policy_that_azure_would_not_take_is_refused() {
        let checked = |body: Value| serde_json::from_value::<RotationBody>(body).unwrap().checked(1, 2);
        let action = |kind: &str, trigger: Value| json!([{ "trigger": trigger, "action": { "type": kind } }]);
        for bad in [
            json!({ "attributes": { "expiryTime": "P27D" } }),
            json!({ "attributes": { "expiryTime": "soon" } }),
            json!({ "lifetimeActions": action("Explode", json!({ "timeAfterCreate": "P90D" })) }),
            json!({ "lifetimeActions": action("Rotate", json!({})) }),
            json!({ "lifetimeActions": action("Rotate", json!({ "timeAfterCreate": "P1X" })) }),
            json!({ "lifetimeActions": action("Rotate", json!({ "timeBeforeExpiry": "P30D" })) }),
        ] {
            assert_eq!(checked(bad.clone()).unwrap_err().status, 400, "{bad}");
        }
        let default = json!({ "lifetimeActions": action("notify", json!({ "timeBeforeExpiry": "P30D" })) });
        assert_eq!(checked(default).unwrap().expires(0), Ok(None));
        assert_eq!(
            checked(json!({ "attributes": { "expiryTime": "P28D" } })).unwrap().expires(1),
            Ok(Some(28 * DAY_S + 1))
        );
    }
}
