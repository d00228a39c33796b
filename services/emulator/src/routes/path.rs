//! Which call a method and a path of the data plane are.

use actix_web::http::Method;

use crate::{error::ApiError, operation::Operation, state::validate};

/// A call with what its path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub operation: Operation,
    pub name: Option<String>,
    /// None: the newest.
    pub version: Option<String>,
}

/// Reads a path; none: there is no such call.
pub fn parse(method: &Method, path: &str) -> Option<Route> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let segments: Vec<&str> = path.strip_suffix('/').unwrap_or(path).split('/').collect();
    let (family, rest) = segments.split_first()?;
    match family.to_ascii_lowercase().as_str() {
        "secrets" => secrets(method.as_str(), rest),
        "deletedsecrets" => deleted(method.as_str(), rest, &SECRETS),
        "keys" => keys(method.as_str(), rest),
        "deletedkeys" => deleted(method.as_str(), rest, &KEYS),
        "certificates" => certificates(method.as_str(), rest),
        "deletedcertificates" => deleted(method.as_str(), rest, &CERTIFICATES),
        _ => None,
    }
}

impl Route {
    /// Refuses a name that no item can have.
    pub fn check(&self) -> Result<(), ApiError> {
        self.name.as_deref().map_or(Ok(()), validate::name)
    }
}

/// The calls on deleted items of one kind.
struct Deleted {
    list: Operation,
    get: Operation,
    purge: Operation,
    recover: Operation,
}

const SECRETS: Deleted = Deleted {
    list: Operation::SecretsListDeleted,
    get: Operation::SecretsGetDeleted,
    purge: Operation::SecretsPurge,
    recover: Operation::SecretsRecover,
};

const KEYS: Deleted = Deleted {
    list: Operation::KeysListDeleted,
    get: Operation::KeysGetDeleted,
    purge: Operation::KeysPurge,
    recover: Operation::KeysRecover,
};

const CERTIFICATES: Deleted = Deleted {
    list: Operation::CertificatesListDeleted,
    get: Operation::CertificatesGetDeleted,
    purge: Operation::CertificatesPurge,
    recover: Operation::CertificatesRecover,
};

fn deleted(method: &str, rest: &[&str], calls: &Deleted) -> Option<Route> {
    match (method, rest) {
        ("GET", []) => all(calls.list),
        ("GET", [name]) => one(calls.get, name),
        ("DELETE", [name]) => one(calls.purge, name),
        ("POST", [name, "recover"]) => one(calls.recover, name),
        _ => None,
    }
}

fn secrets(method: &str, rest: &[&str]) -> Option<Route> {
    match (method, rest) {
        ("GET", []) => all(Operation::SecretsList),
        ("POST", ["restore"]) => all(Operation::SecretsRestore),
        ("PUT", [name]) => one(Operation::SecretsSet, name),
        ("DELETE", [name]) => one(Operation::SecretsDelete, name),
        ("POST", [name, "backup"]) => one(Operation::SecretsBackup, name),
        ("GET", [name, "versions"]) => one(Operation::SecretsListVersions, name),
        ("GET", [name]) => one(Operation::SecretsGet, name),
        ("GET", [name, version]) => version_of(Operation::SecretsGet, name, version),
        ("PATCH", [name]) => one(Operation::SecretsUpdate, name),
        ("PATCH", [name, version]) => version_of(Operation::SecretsUpdate, name, version),
        _ => None,
    }
}

fn keys(method: &str, rest: &[&str]) -> Option<Route> {
    match (method, rest) {
        ("GET", []) => all(Operation::KeysList),
        ("POST", ["restore"]) => all(Operation::KeysRestore),
        ("PUT", [name]) => one(Operation::KeysImport, name),
        ("DELETE", [name]) => one(Operation::KeysDelete, name),
        ("POST", [name, "create"]) => one(Operation::KeysCreate, name),
        ("POST", [name, "backup"]) => one(Operation::KeysBackup, name),
        ("POST", [name, "rotate"]) => one(Operation::KeysRotate, name),
        ("GET", [name, "rotationpolicy"]) => one(Operation::KeysGetRotationPolicy, name),
        ("PUT", [name, "rotationpolicy"]) => one(Operation::KeysSetRotationPolicy, name),
        ("POST", [name, version, "sign"]) => version_of(Operation::KeysSign, name, version),
        ("POST", [name, version, "verify"]) => version_of(Operation::KeysVerify, name, version),
        ("POST", [name, "sign"]) => one(Operation::KeysSign, name),
        ("POST", [name, "verify"]) => one(Operation::KeysVerify, name),
        ("GET", [name, "versions"]) => one(Operation::KeysListVersions, name),
        ("GET", [name]) => one(Operation::KeysGet, name),
        ("GET", [name, version]) => version_of(Operation::KeysGet, name, version),
        ("PATCH", [name]) => one(Operation::KeysUpdate, name),
        ("PATCH", [name, version]) => version_of(Operation::KeysUpdate, name, version),
        _ => None,
    }
}

fn certificates(method: &str, rest: &[&str]) -> Option<Route> {
    match (method, rest) {
        ("GET", []) => all(Operation::CertificatesList),
        // Issuers and contacts are not emulated; they are not certificates of that name either.
        (_, ["issuers" | "contacts", ..]) => None,
        ("POST", ["restore"]) => all(Operation::CertificatesRestore),
        ("DELETE", [name]) => one(Operation::CertificatesDelete, name),
        ("POST", [name, "create"]) => one(Operation::CertificatesCreate, name),
        ("POST", [name, "import"]) => one(Operation::CertificatesImport, name),
        ("POST", [name, "backup"]) => one(Operation::CertificatesBackup, name),
        ("GET", [name, "policy"]) => one(Operation::CertificatesGetPolicy, name),
        ("PATCH", [name, "policy"]) => one(Operation::CertificatesUpdatePolicy, name),
        ("GET", [name, "pending"]) => one(Operation::CertificatesGetPending, name),
        ("PATCH", [name, "pending"]) => one(Operation::CertificatesUpdatePending, name),
        ("DELETE", [name, "pending"]) => one(Operation::CertificatesDeletePending, name),
        ("GET", [name, "versions"]) => one(Operation::CertificatesListVersions, name),
        ("GET", [name]) => one(Operation::CertificatesGet, name),
        ("GET", [name, version]) => version_of(Operation::CertificatesGet, name, version),
        ("PATCH", [name]) => one(Operation::CertificatesUpdate, name),
        ("PATCH", [name, version]) => version_of(Operation::CertificatesUpdate, name, version),
        _ => None,
    }
}

#[expect(clippy::unnecessary_wraps, reason = "one shape for all arms")]
fn all(operation: Operation) -> Option<Route> {
    Some(Route { operation, name: None, version: None })
}

#[expect(clippy::unnecessary_wraps, reason = "one shape for all arms")]
fn one(operation: Operation, name: &str) -> Option<Route> {
    Some(Route { operation, name: Some(name.to_owned()), version: None })
}

#[expect(clippy::unnecessary_wraps, reason = "one shape for all arms")]
fn version_of(operation: Operation, name: &str, version: &str) -> Option<Route> {
    let version = (!version.is_empty()).then(|| version.to_ascii_lowercase());
    Some(Route { operation, name: Some(name.to_owned()), version })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(path: &str) -> Option<Route> {
        parse(&Method::GET, path)
    }

    #[test]
    fn a_slash_at_the_end_asks_for_the_newest_version() {
        let newest = get("/secrets/db/").unwrap();
        assert_eq!(newest, Route { operation: Operation::SecretsGet, name: Some("db".to_owned()), version: None });
        assert_eq!(get("/secrets/db"), Some(newest));
        assert_eq!(get("/secrets/db/0A").unwrap().version.as_deref(), Some("0a"));
        assert_eq!(parse(&Method::POST, "/keys/k//sign").unwrap().version, None);
    }

    #[test]
    fn a_verb_is_not_taken_for_a_version() {
        assert_eq!(get("/keys/k/versions").unwrap().operation, Operation::KeysListVersions);
        assert_eq!(get("/certificates/c/pending").unwrap().operation, Operation::CertificatesGetPending);
        assert_eq!(get("/certificates/issuers"), None);
        assert_eq!(get("/certificates/issuers/x"), None);
        assert_eq!(get("/"), None);
        assert_eq!(parse(&Method::PUT, "/secrets"), None);
    }

    #[test]
    fn names_that_no_item_can_have_are_refused() {
        assert!(get("/secrets/a_b").unwrap().check().is_err());
        assert!(get("/secrets").unwrap().check().is_ok());
    }
}
