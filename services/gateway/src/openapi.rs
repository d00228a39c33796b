//! The OpenAPI document: `openapi.json` beside this file, with the paths of [`endpoints`](crate::routes::endpoints) and
//! the words of `proto-msgs`.
//!
//! What bodies look like is written by hand there, because the wire types derive nothing but serde; a system test holds
//! real answers against it.

use std::sync::LazyLock;

use proto_msgs::{ErrorCode, RequestCode, Status, plan::PlanAction};
use serde_json::{Map, Value, json};

use crate::endpoint::{Content, Endpoint};

const BASE: &str = include_str!("openapi.json");

/// The document, as JSON.
pub fn document() -> &'static str {
    static DOCUMENT: LazyLock<String> = LazyLock::new(|| build(&crate::routes::endpoints()).to_string());
    &DOCUMENT
}

fn build(endpoints: &[Endpoint]) -> Value {
    let mut document: Value = serde_json::from_str(BASE).expect("a test reads the file, which is part of the program");
    document["info"]["version"] = json!(env!("CARGO_PKG_VERSION"));
    let schemas = &mut document["components"]["schemas"];
    schemas["Status"]["enum"] = json!(Status::ALL);
    schemas["ErrorCode"]["enum"] = json!(ErrorCode::ALL);
    schemas["RequestCode"]["enum"] = json!(RequestCode::ALL);
    schemas["PlanAction"]["enum"] = json!(PlanAction::ALL);
    let mut paths = Map::new();
    for endpoint in endpoints {
        let path = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        path[endpoint.method.as_str().to_ascii_lowercase()] = operation(endpoint);
    }
    document["paths"] = Value::Object(paths);
    document
}

fn operation(endpoint: &Endpoint) -> Value {
    let in_path = endpoint.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let parameters = in_path
        .map(|name| format!("path-{name}"))
        .chain(endpoint.parameters.iter().map(|name| (*name).to_owned()))
        .chain(["header-X-Correlation-Id".to_owned()])
        .map(|name| reference("parameters", &name));
    let mut operation = json!({
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "parameters": parameters.collect::<Vec<_>>(),
        "responses": { endpoint.status.to_string(): answer(endpoint), "default": reference("responses", "Problem") },
    });
    operation["security"] = match endpoint.role {
        Some(role) => json!([{ "token": [role] }]),
        None => json!([]),
    };
    if let Some(schema) = endpoint.body {
        let content = json!({ "application/json": { "schema": reference("schemas", schema) } });
        operation["requestBody"] = json!({ "required": !endpoint.is_body_optional, "content": content });
    }
    operation
}

fn answer(endpoint: &Endpoint) -> Value {
    let mut headers = json!({ "X-Correlation-Id": reference("headers", "X-Correlation-Id") });
    if endpoint.has_etag {
        headers["ETag"] = reference("headers", "ETag");
    }
    let mut answer = json!({ "description": endpoint.summary, "headers": headers });
    match endpoint.content {
        Content::Json(schema) => {
            answer["content"] = json!({ "application/json": { "schema": reference("schemas", schema) } });
        }
        Content::OpenApi => answer["content"] = json!({ "application/json": { "schema": { "type": "object" } } }),
        Content::Markdown => answer["content"] = json!({ "text/markdown": { "schema": { "type": "string" } } }),
        Content::WebSocket(schema) => {
            let text = format!("The connection becomes a WebSocket; each text message is JSON of the schema {schema}.");
            answer["description"] = json!(text);
        }
    }
    answer
}

fn reference(kind: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/components/{kind}/{name}") })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    #[test]
    fn every_reference_leads_somewhere_and_nothing_lies_unused() {
        let document = build(&crate::routes::endpoints());
        let mut found = Vec::new();
        references(&document, &mut found);
        for reference in &found {
            assert!(document.pointer(&reference[1..]).is_some(), "{reference}");
        }
        for kind in ["parameters", "schemas", "responses", "headers"] {
            for name in document["components"][kind].as_object().unwrap().keys() {
                // The event stream's messages are named in words: OpenAPI has no place for them.
                let is_used = name == "Event" || found.contains(&format!("#/components/{kind}/{name}"));
                assert!(is_used, "{kind}/{name} is not used");
            }
        }
    }

    #[test]
    fn every_operation_has_a_name_of_its_own_and_a_summary() {
        let endpoints = crate::routes::endpoints();
        let names: BTreeSet<_> = endpoints.iter().map(|endpoint| endpoint.name).collect();
        let places: BTreeSet<_> = endpoints.iter().map(|endpoint| (endpoint.path, endpoint.method.as_str())).collect();
        assert_eq!((names.len(), places.len()), (endpoints.len(), endpoints.len()));
        assert!(endpoints.iter().all(|endpoint| !endpoint.summary.is_empty()));
    }

    #[test]
    fn the_words_of_the_document_are_the_programs_own() {
        let document = build(&crate::routes::endpoints());
        let words = document["components"]["schemas"]["Status"]["enum"].as_array().unwrap();
        assert_eq!(words.len(), Status::ALL.len());
    }
}
