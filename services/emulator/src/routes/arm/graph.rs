//! The resource graph, as far as it lists vaults.
//!
//! Any query that names the type of vaults is answered with all vaults; nothing else is understood.

use std::sync::atomic::Ordering;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{slice, views};
use crate::{error::ApiError, vault::Vault, world::World};

/// What is understood of a query.
#[derive(Deserialize)]
struct Body {
    query: String,
    /// None: all.
    subscriptions: Option<Vec<String>>,
    #[serde(default)]
    options: Options,
}

#[derive(Default, Deserialize)]
struct Options {
    #[serde(rename = "$top")]
    top: Option<usize>,
    #[serde(rename = "$skipToken")]
    token: Option<String>,
}

/// Answers a query.
pub fn answer(world: &World, body: &[u8]) -> Result<Value, ApiError> {
    let refused = |text: &str| ApiError::new(400, "BadRequest", text);
    let body: Body = serde_json::from_slice(body)
        .map_err(|_| refused("Please provide below info when asking for support: the body is not a query."))?;
    if !body.query.to_ascii_lowercase().contains("microsoft.keyvault/vaults") {
        return Err(refused("The emulator answers queries about microsoft.keyvault/vaults only."));
    }
    let is_wanted = |vault: &Vault| {
        let wanted = body.subscriptions.as_ref();
        wanted.is_none_or(|ids| ids.iter().any(|id| id.eq_ignore_ascii_case(&vault.subscription_id)))
    };
    let vaults: Vec<&Vault> = world.vaults.iter().map(AsRef::as_ref).filter(|vault| is_wanted(vault)).collect();
    let largest = world.knobs.arm_page_size.load(Ordering::Relaxed);
    let size = body.options.top.unwrap_or(largest).clamp(1, largest);
    let rows = vaults.iter().map(|vault| row(world, vault));
    let (rows, next) = slice(rows, body.options.token.as_deref(), size)?;
    let mut answer = json!({
        "totalRecords": vaults.len(),
        "count": rows.len(),
        "resultTruncated": if next.is_some() { "true" } else { "false" },
        "data": rows,
    });
    crate::state::set_some(&mut answer, "$skipToken", next);
    Ok(answer)
}

fn row(world: &World, vault: &Vault) -> Value {
    let mut row = views::vault(world, vault);
    crate::state::set(&mut row, "subscriptionId", json!(vault.subscription_id));
    crate::state::set(&mut row, "resourceGroup", json!(vault.resource_group()));
    crate::state::set(&mut row, "tenantId", json!(world.tokens.authority().tenant));
    row
}
