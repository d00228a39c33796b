//! The emulator's admin listener: what was called, and what shall go wrong.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{http, wait::until};

/// The admin listener of one emulator.
#[derive(Debug, Clone)]
pub struct EmulatorAdmin {
    http: reqwest::Client,
    base: String,
}

/// Calls by vault and operation, those Azure would count.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    calls: BTreeMap<(String, String), u64>,
    applied: BTreeMap<(String, String), u64>,
    throttled: u64,
}

#[derive(Deserialize)]
struct Answer {
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    vault: String,
    operation: String,
    calls: u64,
    applied: u64,
    throttled: u64,
}

#[derive(Deserialize)]
struct FaultStates {
    faults: Vec<FaultState>,
}

#[derive(Deserialize)]
struct FaultState {
    hits: u64,
}

impl Counts {
    /// Calls of one operation on one vault.
    pub fn of(&self, vault: &str, operation: &str) -> u64 {
        self.calls.get(&(vault.to_owned(), operation.to_owned())).copied().unwrap_or(0)
    }

    /// How often a vault did what was asked, whatever was answered.
    pub fn applied(&self, vault: &str, operation: &str) -> u64 {
        self.applied.get(&(vault.to_owned(), operation.to_owned())).copied().unwrap_or(0)
    }

    /// Calls of every operation that `wanted` takes, on every vault.
    pub fn total(&self, wanted: impl Fn(&str) -> bool) -> u64 {
        self.calls.iter().filter(|((_, operation), _)| wanted(operation)).map(|(_, count)| count).sum()
    }

    /// Calls that were answered with 429.
    pub fn throttled(&self) -> u64 {
        self.throttled
    }
}

impl EmulatorAdmin {
    pub fn new(port: u16) -> Result<Self> {
        let http = http::client().build()?;
        Ok(Self { http, base: format!("http://127.0.0.1:{port}") })
    }

    pub async fn counts(&self) -> Result<Counts> {
        let answer: Answer =
            self.http.get(format!("{}/counts", self.base)).send().await?.error_for_status()?.json().await?;
        let mut counts = Counts::default();
        for Row { vault, operation, calls, applied, throttled } in answer.rows {
            let key = (vault, operation);
            counts.applied.insert(key.clone(), applied);
            counts.calls.insert(key, calls);
            counts.throttled += throttled;
        }
        Ok(counts)
    }

    pub async fn reset_counts(&self) -> Result<()> {
        self.http.delete(format!("{}/counts", self.base)).send().await?.error_for_status()?;
        Ok(())
    }

    /// Lifts Azure's limits.
    pub async fn limits_off(&self) -> Result<()> {
        self.change_settings(json!({ "limits": "off" })).await
    }

    /// How long a token given out from now on is good for.
    pub async fn token_lifetime(&self, lifetime: Duration) -> Result<()> {
        self.change_settings(json!({ "token_lifetime_s": lifetime.as_secs() })).await
    }

    /// Changes settings of the emulator; what is not named stays.
    pub async fn change_settings(&self, settings: Value) -> Result<()> {
        self.http.patch(format!("{}/settings", self.base)).json(&settings).send().await?.error_for_status()?;
        Ok(())
    }

    /// Changes a vault from outside: its firewall, who may use it, where it is.
    pub async fn change_vault(&self, vault: &str, change: Value) -> Result<()> {
        let request = self.http.patch(format!("{}/vaults/{vault}", self.base)).json(&change);
        let answer = request.send().await?;
        ensure!(answer.status().is_success(), "the change of {vault} was refused: {}", answer.text().await?);
        Ok(())
    }

    /// Puts these faults in place of all others.
    pub async fn set_faults(&self, faults: Value) -> Result<()> {
        let request = self.http.put(format!("{}/faults", self.base)).json(&json!({ "faults": faults }));
        let answer = request.send().await?;
        ensure!(answer.status().is_success(), "the faults were refused: {}", answer.text().await?);
        Ok(())
    }

    /// Waits until the faults that are set have hit so many calls.
    pub async fn faults_hit(&self, times: u64, limit: Duration) -> Result<()> {
        until(&format!("{times} calls to be hit by a fault"), limit, || async {
            let state: FaultStates =
                self.http.get(format!("{}/faults", self.base)).send().await?.error_for_status()?.json().await?;
            Ok((state.faults.iter().map(|fault| fault.hits).sum::<u64>() >= times).then_some(()))
        })
        .await
    }
}
