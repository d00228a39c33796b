//! The OpenAPI document tells the truth: every endpoint it names is there, and what it answers is as the document says.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use proto_msgs::api::{Page, RecordView};
use reqwest::Method;
use serde_json::{Map, Value, json};
use system_tests::{Cluster, ClusterBuilder, until};

use crate::{
    command_line::watched,
    fixtures::{LIMIT, create, pair, spec},
};

/// The document as a gateway gives it.
pub struct Document(Value);

/// One endpoint of it.
pub struct Operation {
    pub name: String,
    pub method: String,
    path: String,
    /// The least role that may call it; none: no token is needed.
    pub role: Option<String>,
    pub takes_body: bool,
    status: u16,
    /// Of the answer, where that is JSON.
    schema: Option<Value>,
}

impl Document {
    pub async fn fetch(cluster: &Cluster) -> Result<Self> {
        Ok(Self(cluster.api().call(Method::GET, "/openapi.json", None).await?))
    }

    pub fn operations(&self) -> Vec<Operation> {
        let paths = self.0["paths"].as_object().into_iter().flatten();
        paths
            .flat_map(|(path, methods)| {
                methods.as_object().into_iter().flatten().map(|(method, operation)| {
                    let responses = operation["responses"].as_object().into_iter().flatten();
                    let good = responses.into_iter().find_map(|(status, answer)| Some((status.parse().ok()?, answer)));
                    let (status, answer) = good.unwrap_or((0, &Value::Null));
                    Operation {
                        name: operation["operationId"].as_str().unwrap_or_default().to_owned(),
                        method: method.to_uppercase(),
                        path: path.clone(),
                        role: operation["security"][0]["token"][0].as_str().map(str::to_owned),
                        takes_body: operation.get("requestBody").is_some(),
                        status,
                        schema: answer.pointer("/content/application~1json/schema").cloned(),
                    }
                })
            })
            .collect()
    }

    fn operation(&self, name: &str) -> Result<Operation> {
        let found = self.operations().into_iter().find(|operation| operation.name == name);
        found.with_context(|| format!("the document has no operation {name}"))
    }

    fn schema(&self, name: &str) -> &Value {
        &self.0["components"]["schemas"][name]
    }

    /// What of `value` is not as `schema` says. Strict where clients need not be: a field it does not name is wrong.
    fn wrong(&self, schema: &Value, value: &Value, at: &str) -> Vec<String> {
        if let Some(place) = schema["$ref"].as_str() {
            return match self.0.pointer(place.trim_start_matches('#')) {
                Some(schema) => self.wrong(schema, value, at),
                None => vec![format!("{at}: {place} leads nowhere")],
            };
        }
        if let Some(choices) = schema["oneOf"].as_array() {
            let tried: Vec<_> = choices.iter().map(|choice| self.wrong(choice, value, at)).collect();
            let fitting = tried.iter().filter(|wrong| wrong.is_empty()).count();
            return if fitting == 1 { Vec::new() } else { vec![format!("{at}: {fitting} choices fit: {tried:?}")] };
        }
        let mut found = Vec::new();
        let kind = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_i64() || number.is_u64() => "integer",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        let kinds = schema["type"].as_array().cloned().unwrap_or_else(|| vec![schema["type"].clone()]);
        if !schema["type"].is_null() && !kinds.contains(&json!(kind)) {
            found.push(format!("{at}: {kind} instead of {}", schema["type"]));
        }
        let is_other = schema.get("const").is_some_and(|wanted| wanted != value);
        if is_other || schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
            found.push(format!("{at}: {value} is not one of the words"));
        }
        for (index, item) in value.as_array().into_iter().flatten().enumerate() {
            found.extend(self.wrong(&schema["items"], item, &format!("{at}/{index}")));
        }
        if let Some(fields) = value.as_object() {
            found.extend(self.wrong_fields(schema, fields, at));
        }
        found
    }

    fn wrong_fields(&self, schema: &Value, fields: &Map<String, Value>, at: &str) -> Vec<String> {
        // What a schema takes from others counts as its own.
        let bases = schema["allOf"].as_array().into_iter().flatten();
        let bases = bases.filter_map(|base| self.0.pointer(base["$ref"].as_str()?.trim_start_matches('#')));
        let parts: Vec<&Value> = bases.chain([schema]).collect();
        let required = parts.iter().flat_map(|part| part["required"].as_array().into_iter().flatten());
        let missing = required.filter_map(Value::as_str).filter(|name| !fields.contains_key(*name));
        let mut found: Vec<String> = missing.map(|name| format!("{at}: {name} is missing")).collect();
        for (name, value) in fields {
            let at = format!("{at}/{name}");
            if schema.get("propertyNames").is_some() {
                found.extend(self.wrong(&schema["propertyNames"], &json!(name), &at));
            }
            let named = parts.iter().find_map(|part| part["properties"].get(name));
            match named.or(schema.get("additionalProperties")) {
                Some(Value::Bool(false)) | None => found.push(format!("{at}: the document does not name it")),
                Some(schema) => found.extend(self.wrong(schema, value, &at)),
            }
        }
        found
    }
}

impl Operation {
    /// Its path, with values that are there in a cluster of these tests.
    pub fn at(&self, run: &str) -> Result<String> {
        let mut path = self.path.clone();
        let values = [("config", "pair"), ("type", "secrets"), ("name", "bulk-1"), ("run", run), ("code", "throttled")];
        for (name, value) in values {
            path = path.replace(&format!("{{{name}}}"), value);
        }
        ensure!(!path.contains('{'), "give the new parameter of {} a value here", self.path);
        Ok(path)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_endpoint_answers_as_the_document_says() -> Result<()> {
    let cluster = ClusterBuilder::new(pair(3)).unlimited().start().await?;
    let config = create(&cluster).await?;
    cluster.api().settled(&config, LIMIT).await?;
    let run = cluster.api().runs(&config).await?.first().context("the config ran")?.id.to_string();
    let document = Document::fetch(&cluster).await?;

    let mut seen = BTreeSet::new();
    for operation in document.operations().iter().filter(|operation| operation.method == "GET") {
        seen.insert(operation.name.clone());
        // The event stream and the pages have no schema.
        if operation.schema.is_some() {
            let path = operation.at(&run)?;
            answers(&cluster, &document, operation, &path, None).await?;
            let head = cluster.api().send(Method::HEAD, &path, None).await?;
            ensure!(head.status().as_u16() == operation.status, "HEAD {path}: {}", head.status());
            ensure!(head.bytes().await?.is_empty(), "HEAD {path} has a body");
        }
    }
    for (name, path, body) in requests() {
        let body = with_hash(&cluster, body).await?;
        let operation = document.operation(name)?;
        answers(&cluster, &document, &operation, path, body).await?;
        seen.insert(name.to_owned());
    }
    seen.extend(ELSEWHERE.map(str::to_owned));
    let all: BTreeSet<_> = document.operations().into_iter().map(|operation| operation.name).collect();
    ensure!(seen == all, "call the new endpoint here: {:?}", all.difference(&seen));

    let problem = cluster.api().send(Method::GET, "/api/v1/configs/nobody", None).await?.json().await?;
    let wrong = document.wrong(document.schema("Problem"), &problem, "");
    ensure!(wrong.is_empty(), "{wrong:?} in {problem}");
    for event in watched(&cluster, "json", 6).await? {
        let wrong = document.wrong(document.schema("Event"), &event, "");
        ensure!(wrong.is_empty(), "{wrong:?} in {event}");
    }
    Ok(())
}

/// Endpoints that need more than this pair has: the tests of decisions call them.
const ELSEWHERE: [&str; 3] = ["leaveRecord", "leaveRecords", "releaseDeletes"];

/// A good request to each other endpoint that is not only read, in this order.
fn requests() -> Vec<(&'static str, &'static str, Option<Value>)> {
    const OTHER: &str = "/api/v1/configs/other";
    let mut edited = spec("other");
    edited["behaviour"] = json!({ "interval": "12h" });
    let reason = Some(json!({ "reason": "to see" }));
    let set = |status: &str| Some(json!({ "filter": { "status": status, "name": "bulk-3" }, "hash": null }));
    vec![
        ("createConfig", "/api/v1/configs", Some(spec("other"))),
        ("editConfig", OTHER, Some(edited)),
        ("pauseConfig", "/api/v1/configs/other/pause", reason.clone()),
        ("resumeConfig", "/api/v1/configs/other/resume", None),
        ("disableRecords", "/api/v1/configs/pair/records/disable", set("active")),
        ("enableRecords", "/api/v1/configs/pair/records/enable", set("disabled")),
        ("disableRecord", "/api/v1/configs/pair/records/secrets/bulk-2/disable", None),
        ("enableRecord", "/api/v1/configs/pair/records/secrets/bulk-2/enable", None),
        ("syncRecord", "/api/v1/configs/pair/records/secrets/bulk-1/sync", None),
        ("syncConfig", "/api/v1/configs/pair/sync", None),
        ("expandConfig", "/api/v1/configs/pair/expand", None),
        ("deleteConfig", OTHER, None),
        ("stopAll", "/api/v1/control/stop-all", reason),
        ("resumeAll", "/api/v1/control/resume-all", None),
    ]
}

/// Puts the hash of what its filter lists into a body that wants one.
async fn with_hash(cluster: &Cluster, body: Option<Value>) -> Result<Option<Value>> {
    let Some(mut body) = body else { return Ok(None) };
    if body.get("hash").is_some_and(Value::is_null) {
        let word = |name: &str| body["filter"][name].as_str().unwrap_or_default();
        let path = format!("/api/v1/configs/pair/records?status={}&name={}", word("status"), word("name"));
        let page: Page<RecordView> = cluster.api().call(Method::GET, &path, None).await?;
        body["hash"] = json!(page.hash.context("the list has no hash")?);
    }
    Ok(Some(body))
}

/// A good request, whose answer is held against the document.
pub async fn checked(cluster: &Cluster, name: &str, path: &str, body: Value) -> Result<Value> {
    let document = Document::fetch(cluster).await?;
    let operation = document.operation(name)?;
    answers(cluster, &document, &operation, path, Some(body)).await
}

/// Holds what a command answered against a schema of the document.
pub async fn fits(cluster: &Cluster, schema: &str, value: &Value) -> Result<()> {
    let document = Document::fetch(cluster).await?;
    let wrong = document.wrong(document.schema(schema), value, "");
    ensure!(wrong.is_empty(), "{wrong:#?} in {value}");
    Ok(())
}

async fn answers(
    cluster: &Cluster,
    document: &Document,
    operation: &Operation,
    path: &str,
    body: Option<Value>,
) -> Result<Value> {
    let (status, text) = until("an answer that is not `busy`", LIMIT, || async {
        let answer = match (operation.method.as_str(), body.clone()) {
            ("PUT", Some(spec)) => {
                let config = path.rsplit('/').next().context("a path has a last part")?;
                cluster.api().edit(config, "*", &spec).await?
            }
            (method, body) => cluster.api().send(method.parse()?, path, body).await?,
        };
        let (status, text) = (answer.status().as_u16(), answer.text().await?);
        Ok(Some((status, text)).filter(|(status, _)| *status != 503))
    })
    .await?;
    ensure!(status == operation.status, "{path}: {status} instead of {}: {text}", operation.status);
    let Some(schema) = &operation.schema else { bail!("{path} gives no JSON") };
    let value: Value = serde_json::from_str(&text).with_context(|| format!("{path}: {text}"))?;
    // The document describes itself as any object.
    let is_itself = operation.name == "getDocument" && value.is_object();
    let wrong = document.wrong(schema, &value, "");
    ensure!(is_itself || wrong.is_empty(), "{path}: {wrong:#?} in {text}");
    Ok(value)
}
