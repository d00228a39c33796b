//! The REST API as a test calls it.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::{StreamExt, TryStreamExt, stream};
use proto_msgs::{
    ConfigId, ItemType, Problem, Run, RunId,
    api::{Accepted, ConfigView, Page, RecordView},
};
use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{http, wait::until};

/// Longest until a worker looks vaults up.
const CREATE_LIMIT: Duration = Duration::from_secs(30);
/// Longest the audit stream may be behind the log.
const STORY_LIMIT: Duration = Duration::from_secs(30);
/// Histories asked for at once.
const STORIES_AT_ONCE: usize = 16;

/// A client with a token.
#[derive(Debug, Clone)]
pub struct Api {
    http: reqwest::Client,
    base: String,
    token: String,
}

impl Api {
    pub fn new(port: u16, token: String) -> Result<Self> {
        let http = http::client().build()?;
        Ok(Self { http, base: format!("http://127.0.0.1:{port}"), token })
    }

    /// Any request; the answer as it comes.
    pub async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Result<reqwest::Response> {
        let mut request = self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        Ok(request.send().await?)
    }

    /// Puts a spec in place of a config's, as it is with `if_match`; the answer as it comes.
    pub async fn edit(&self, config: &str, if_match: &str, spec: &Value) -> Result<reqwest::Response> {
        let request = self.http.put(format!("{}/api/v1/configs/{config}", self.base)).bearer_auth(&self.token);
        Ok(request.header("If-Match", if_match).json(spec).send().await?)
    }

    /// Any request that shall succeed.
    pub async fn call<T: DeserializeOwned>(&self, method: Method, path: &str, body: Option<Value>) -> Result<T> {
        let response = self.send(method, path, body).await?;
        let (status, bytes) = (response.status(), response.bytes().await?);
        if status.is_success() {
            return serde_json::from_slice(&bytes).with_context(|| format!("{path} answered with something else"));
        }
        match serde_json::from_slice::<Problem>(&bytes) {
            Ok(problem) => bail!("{path} was refused with {}: {}; {}", problem.code, problem.detail, problem.fix),
            Err(_) => bail!("{path} gave {status}: {}", String::from_utf8_lossy(&bytes)),
        }
    }

    pub async fn is_ready(&self) -> bool {
        self.http.get(format!("{}/readyz", self.base)).send().await.is_ok_and(|answer| answer.status().is_success())
    }

    /// Creates a config; a worker that has just started does not answer yet, which is waited for.
    pub async fn create(&self, spec: Value) -> Result<ConfigView> {
        until("the config to be created", CREATE_LIMIT, || async {
            let response = self.send(Method::POST, "/api/v1/configs", Some(spec.clone())).await?;
            match response.status().as_u16() {
                503 => Ok(None),
                201 => Ok(Some(response.json().await?)),
                status => bail!("creating the config gave {status}: {}", response.text().await?),
            }
        })
        .await
    }

    pub async fn config(&self, id: &ConfigId) -> Result<ConfigView> {
        self.call(Method::GET, &format!("/api/v1/configs/{id}"), None).await
    }

    pub async fn sync(&self, id: &ConfigId) -> Result<Accepted> {
        self.call(Method::POST, &format!("/api/v1/configs/{id}/sync"), None).await
    }

    pub async fn sync_record(&self, id: &ConfigId, kind: ItemType, name: &str) -> Result<Accepted> {
        self.call(Method::POST, &format!("/api/v1/configs/{id}/records/{kind}/{name}/sync"), None).await
    }

    pub async fn record(&self, id: &ConfigId, kind: ItemType, name: &str) -> Result<RecordView> {
        self.call(Method::GET, &format!("/api/v1/configs/{id}/records/{kind}/{name}"), None).await
    }

    /// Every record, all pages.
    pub async fn records(&self, id: &ConfigId) -> Result<Vec<RecordView>> {
        let mut records = Vec::new();
        let mut cursor = String::new();
        loop {
            let page: Page<RecordView> =
                self.call(Method::GET, &format!("/api/v1/configs/{id}/records?limit=500{cursor}"), None).await?;
            records.extend(page.items);
            match page.next {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(records),
            }
        }
    }

    /// A settled record with its whole history. That comes from the audit stream, which is a moment behind the log.
    pub async fn story(&self, id: &ConfigId, kind: ItemType, name: &str) -> Result<RecordView> {
        until(&format!("the whole history of {name}"), STORY_LIMIT, || async {
            let view = self.record(id, kind, name).await?;
            let last = view.record.last_attempt.as_ref().map(|attempt| attempt.started);
            // The intent that goes with the newest outcome was the message before it.
            Ok(view.history.iter().any(|past| Some(past.at) == last).then_some(view))
        })
        .await
    }

    /// Every record with its whole history; all of them were attempted.
    pub async fn stories(&self, id: &ConfigId) -> Result<Vec<RecordView>> {
        let keys = self.records(id).await?.into_iter().map(|view| view.record.id.key());
        stream::iter(keys)
            .map(|key| async move { self.story(id, key.kind, key.name.as_str()).await })
            .buffer_unordered(STORIES_AT_ONCE)
            .try_collect()
            .await
    }

    /// Every run, newest first.
    pub async fn runs(&self, id: &ConfigId) -> Result<Vec<Run>> {
        Ok(self.call::<Page<Run>>(Method::GET, &format!("/api/v1/configs/{id}/runs"), None).await?.items)
    }

    /// Waits until this run has ended; none: the newest one.
    pub async fn run_ended(&self, id: &ConfigId, run: Option<RunId>, limit: Duration) -> Result<Run> {
        until("the run to end", limit, || async {
            let Ok(runs) = self.runs(id).await else { return Ok(None) };
            let wanted = runs.into_iter().find(|known| run.is_none_or(|run| run == known.id));
            Ok(wanted.filter(|run| !run.is_open()))
        })
        .await
    }

    /// Waits until a run has ended and no record waits for anything.
    pub async fn settled(&self, id: &ConfigId, limit: Duration) -> Result<ConfigView> {
        until("every record to settle", limit, || async {
            // An answer that fails is not the end: roles are killed under this wait.
            let view = self.config(id).await.ok();
            Ok(view.filter(|view| view.summary.as_ref().is_some_and(|summary| summary.is_settled())))
        })
        .await
    }

    /// Waits until at least `count` records are active.
    pub async fn active(&self, id: &ConfigId, count: u64, limit: Duration) -> Result<()> {
        until(&format!("{count} active records"), limit, || async {
            let active = self
                .config(id)
                .await
                .ok()
                .and_then(|view| view.summary)
                .and_then(|summary| summary.by_status.get(&proto_msgs::Status::Active).copied());
            Ok((active.unwrap_or(0) >= count).then_some(()))
        })
        .await
    }
}
